package endpoint

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// What Do answers and what it is given share no metadata with anybody: neither with
// wrappers, nor with the handler's context, which outlives it where a goroutine has it.
func TestMetadataOfDoIsItsOwn(t *testing.T) {
	var kept *Context
	var failure error
	var table Table
	answer := func(ctx context.Context, req *echoMsg) (*echoMsg, error) {
		kept = Incoming(ctx)
		if err := kept.SetReplyMeta("k", "v"); err != nil {
			t.Error(err)
		}
		return req, failure
	}
	if err := table.Handle("Meta.Echo", NewTyped(answer)); err != nil {
		t.Fatal(err)
	}
	shared := map[string]string{"shared": "yes"}
	for name, d := range map[string]*Dispatcher{
		"plain": {Methods: &table},
		"with a wrapper": {Methods: &table, Chain: func(ctx context.Context, req, res *protocol.Message) error {
			req.MetaData["wrapper"], res.MetaData = "was here", shared
			return (&Dispatcher{Methods: &table}).Serve(ctx, req, res)
		}},
		"with an admission": {Methods: &table, Admission: func(_ context.Context, h *protocol.Header, _ int) error {
			h.MetaData["admission"] = "was here"
			return nil
		}},
	} {
		for _, failure = range []error{nil, &protocol.Error{Code: protocol.Aborted, MetaData: map[string]string{"e": "f"}, RetryAfter: time.Second}} {
			body, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, &echoMsg{})
			if err != nil {
				t.Fatal(err)
			}
			given := map[string]string{"a": "b"}
			m := &protocol.Message{Header: protocol.Header{ServiceName: "Meta", MethodName: "Echo", MetaData: given}, Body: body}
			res, err := d.Do(t.Context(), context.Background(), m)
			if protocol.CodeOf(err) != protocol.CodeOf(failure) {
				t.Fatal(name, err)
			}
			if res != nil {
				if res.MetaData["k"] != "v" {
					t.Errorf("%s: the reply has %v", name, res.MetaData)
				}
				res.MetaData["mine"] = "yes"
			}
			if got := kept.takeReplyMeta(); !maps.Equal(got, map[string]string{"k": "v"}) {
				t.Errorf("%s, %v: the context has %v", name, failure, got)
			}
			if len(given) != 1 || len(shared) != 1 {
				t.Errorf("%s: the caller's metadata is %v, the wrapper's %v", name, given, shared)
			}
		}
	}
}
