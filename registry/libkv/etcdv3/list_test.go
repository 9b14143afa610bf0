package etcdv3

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// slowKV is an etcd whose answers take a while.
type slowKV struct {
	clientv3.KV
	takes time.Duration
}

// Get implements clientv3.KV.
func (s slowKV) Get(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	select {
	case <-time.After(s.takes):
		return &clientv3.GetResponse{Header: new(etcdserverpb.ResponseHeader), Kvs: []*mvccpb.KeyValue{{Key: []byte("/a/b")}}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// registry/libkv gives a list of 20,000 entries six minutes and 43 seconds, and more
// after late ones.
func TestALongListHasTheTimeThatItsReaderGivesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientv3.NewCtxClient(t.Context())
		client.KV = slowKV{takes: 403 * time.Second}
		s := &Store{client: client, timeout: callTimeout, ctx: t.Context()}
		if pairs, err := s.List("a"); err != nil || len(pairs) != 1 {
			t.Errorf("listed %v, %v", pairs, err)
		}
	})
}
