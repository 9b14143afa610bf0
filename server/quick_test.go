package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// A method that was quick a thousand times is served by its connection's reader. When
// it is not quick after all, the connection is held up for 8 ms once, and a cancel
// reaches it all the same; after that it holds up nobody.
func TestQuickMethodThatOnceTakesLong(t *testing.T) {
	for name, o := range map[string]server.Option{
		"plain":          {},
		"with a wrapper": {Wrappers: []server.Wrapper{server.BaseWrapper{}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, o)
				type request struct{ Wait bool }
				err := server.Handle(s, "Cache.Get", func(ctx context.Context, req *request) (*AddReply, error) {
					if req.Wait {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return &AddReply{}, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				running(t, s)
				client := dial(t, mem, nil)
				for range 1000 {
					if err := client.call(t.Context(), "Cache", "Get", &request{}, nil); err != nil {
						t.Fatal(err)
					}
				}
				raw := dialRaw(t, mem)
				for _, limit := range []time.Duration{8 * time.Millisecond, 0} {
					var burst []byte
					for seq := range uint64(8) {
						h := protocol.Header{Seq: seq + 1, MessageType: protocol.TypeRequest, ServiceName: "Cache", MethodName: "Get"}
						burst = protocol.AppendFrame(burst, &h, marshal(t, &request{Wait: seq == 2}))
					}
					begun := time.Now()
					raw.send(burst)
					for range 7 {
						if h, _ := raw.next(); h.Seq == 3 || h.StatusCode != protocol.OK {
							t.Fatalf("answer to %d: %v", h.Seq, h.StatusCode)
						}
					}
					if took := time.Since(begun); took > limit || limit > 0 && took == 0 {
						t.Errorf("the others took %v; at most %v, and more than 0 the first time", took, limit)
					}
					raw.sendFrame(protocol.Header{Seq: 3, MessageType: protocol.TypeCancel}, nil)
					if h, _ := raw.next(); h.Seq != 3 || h.StatusCode == protocol.OK {
						t.Errorf("answer to %d: %v", h.Seq, h.StatusCode)
					}
				}
			})
		})
	}
}
