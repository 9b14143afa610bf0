package server_test

import (
	"context"
	"strings"
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

// slowly is a compressor that takes its time.
type slowly struct{}

func (slowly) Append(dst, src []byte) ([]byte, error) {
	time.Sleep(3 * time.Millisecond)
	return append(dst, src[:len(src)/2]...), nil
}

func (slowly) AppendInflated(dst, src []byte, _ int) ([]byte, error) {
	return append(dst, src...), nil // of requests, which are not compressed
}

// What a method costs is decoding, the method, encoding and compressing: none that is
// slow by any of these is served by its connection's reader.
func TestMethodThatIsSlowToCompress(t *testing.T) {
	const compressor = protocol.FirstUserCompressor + 7
	if _, err := protocol.Compress(compressor, nil, nil); err != nil { // else an earlier run has registered it
		if err := protocol.RegisterCompressor(compressor, "slowly", slowly{}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		type text struct{ Text string }
		large := &text{strings.Repeat("x", 8<<10)}
		for name, reply := range map[string]*text{"Text.Large": large, "Text.Small": {"x"}} {
			if err := server.Handle(s, name, func(context.Context, *text) (*text, error) { return reply, nil }); err != nil {
				t.Fatal(err)
			}
		}
		running(t, s)
		raw := dialRaw(t, mem)
		ask := func(seq uint64, method string) []byte {
			h := protocol.Header{Seq: seq, MessageType: protocol.TypeRequest, ServiceName: "Text", MethodName: method, CompressType: compressor}
			return protocol.AppendFrame(nil, &h, marshal(t, &text{}))
		}
		for seq := range uint64(1000) {
			raw.send(ask(seq+1, []string{"Large", "Small"}[seq%2]))
			if h, _ := raw.next(); h.StatusCode != protocol.OK {
				t.Fatalf("answer to %d: %v", h.Seq, h.StatusCode)
			}
		}
		begun := time.Now()
		raw.send(append(ask(2001, "Large"), ask(2002, "Small")...))
		if h, _ := raw.next(); h.Seq != 2002 || time.Since(begun) > 0 {
			t.Errorf("%d was answered first, after %v", h.Seq, time.Since(begun))
		}
		if h, _ := raw.next(); h.Seq != 2001 || h.CompressType != compressor {
			t.Errorf("%d was answered then, compressed by %v", h.Seq, h.CompressType)
		}
	})
}
