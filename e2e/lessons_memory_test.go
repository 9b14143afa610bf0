package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Each test here is named by an accident that users of RPC frameworks reported:
// with memory, concurrency and safety.

// memPair returns a server on the in-memory network and a client of it.
func memPair(t testing.TB, so server.Option, co client.Option) (*server.SGServer, client.RPCClient) {
	t.Helper()
	so.Mem = transport.NewMemNetwork()
	co.Mem = so.Mem
	s := newServer(t, so, new(echo.Echo))
	return s, dial(t, "mem", serve(t, s, "mem", "a"), co)
}

// rpcx #753: what a handler was given stays its own, however long it keeps it,
// and so does what a caller got.
func TestArgumentsAndRepliesAreNeverShared(t *testing.T) {
	s, c := memPair(t, server.Option{}, client.Option{RequestTimeout: time.Minute})
	var mu sync.Mutex
	kept := make(map[int64]*echo.Body)
	err := server.Handle(s, "Echo.Keep", func(_ context.Context, req *echo.Body) (*echo.Body, error) {
		mu.Lock()
		defer mu.Unlock()
		kept[req.ID] = req
		return &echo.Body{ID: req.ID, Data: req.Data}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const calls = 2000
	data := func(id int64) []byte { return fmt.Appendf(nil, "data of %d, and only of that one", id) }
	replies := make([]*echo.Body, calls)
	var wg sync.WaitGroup
	for caller := range 20 {
		wg.Go(func() {
			for id := int64(caller); id < calls; id += 20 {
				res, err := client.Invoke[echo.Body](t.Context(), c, "Echo.Keep", &echo.Body{ID: id, Data: data(id)})
				if err != nil {
					t.Error(err)
				}
				replies[id] = res
			}
		})
	}
	wg.Wait()
	for id := range int64(calls) {
		if !bytes.Equal(kept[id].Data, data(id)) || !bytes.Equal(replies[id].Data, data(id)) {
			t.Errorf("%d: the handler kept %q, the caller got %q", id, kept[id].Data, replies[id].Data)
		}
	}
}

// rpcx #650: one context, and one client's metadata, under many calls at once;
// handlers write to what they are given.
func TestMetadataIsSharedByNobody(t *testing.T) {
	s, c := memPair(t, server.Option{}, client.Option{MetaData: map[string]string{"all": "yes"}, RequestTimeout: time.Minute})
	err := server.Handle(s, "Echo.Meta", func(ctx context.Context, req *echo.Body) (*echo.Body, error) {
		meta := protocol.MetaFrom(ctx)
		got := meta["all"] + meta["base"] + meta["own"]
		meta["all"], meta["more"] = "no", "no"
		return &echo.Body{Data: []byte(got)}, server.SetReplyMeta(ctx, "own", meta["own"])
	})
	if err != nil {
		t.Fatal(err)
	}
	base := protocol.WithMeta(t.Context(), "base", "+")
	var wg sync.WaitGroup
	for caller := range 20 {
		wg.Go(func() {
			own := fmt.Sprint(caller)
			for range 50 {
				var meta map[string]string
				ctx := client.With(protocol.WithMeta(base, "own", own), client.ReplyMeta(&meta))
				res, err := client.Invoke[echo.Body](ctx, c, "Echo.Meta", new(echo.Body))
				if err != nil || string(res.Data) != "yes+"+own || meta["own"] != own {
					t.Errorf("%s: %v, %v, %v", own, res, meta, err)
				}
				meta["own"] = "mine now"
			}
		})
	}
	wg.Wait()
}

// touchy panics when it is encoded or decoded, as it is told.
type touchy struct{ Panics string }

func (x *touchy) MarshalBinary() ([]byte, error) {
	if x.Panics == "encoding" {
		panic("on purpose")
	}
	return []byte(x.Panics), nil
}

func (x *touchy) UnmarshalBinary(b []byte) error {
	if x.Panics = string(b); x.Panics == "decoding" {
		panic("on purpose")
	}
	return nil
}

// rpcx #665, grpc-go #441: a codec or a handler that panics, on either side,
// costs its own call; the connection and the calls beside it live.
func TestPanicsCostTheirCallAlone(t *testing.T) {
	s, c := memPair(t, server.Option{}, client.Option{RequestTimeout: time.Minute})
	err := server.Handle(s, "Touchy.Answer", func(_ context.Context, req *echo.Body) (*touchy, error) {
		return &touchy{string(req.Data)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Handle(s, "Touchy.Take", func(_ context.Context, req *touchy) (*echo.Body, error) { return &echo.Body{}, nil }); err != nil {
		t.Fatal(err)
	}
	beside := c.Go(t.Context(), "Echo.Sleep", &echo.Body{ID: 100}, new(echo.Body), nil)
	for _, x := range []struct {
		name, method string
		req, resp    any
		code         protocol.Code
		outcome      protocol.Outcome
	}{
		{"handler", "Echo.Panic", new(echo.Body), nil, protocol.Internal, protocol.Ran},
		{"request cannot be encoded", "Touchy.Take", &touchy{"encoding"}, nil, protocol.InvalidArgument, protocol.NotSent},
		{"request cannot be decoded", "Touchy.Take", &touchy{"decoding"}, nil, protocol.InvalidArgument, protocol.Refused},
		{"reply cannot be encoded", "Touchy.Answer", &echo.Body{Data: []byte("encoding")}, new(touchy), protocol.Internal, protocol.Ran},
		{"reply cannot be decoded", "Touchy.Answer", &echo.Body{Data: []byte("decoding")}, new(touchy), protocol.Internal, protocol.Ran},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantError(t, c.Call(t.Context(), x.method, x.req, x.resp), x.code, x.outcome)
			say(t, c)
		})
	}
	if <-beside.Done; beside.Error != nil {
		t.Errorf("the call beside: %v", beside.Error)
	}
}

// grpc-go #2444: a reply that is too large to be sent gives back all that the
// call held. More of them than the server has room for come one after the other.
func TestOversizedRepliesLeaveNothingBehind(t *testing.T) {
	s, c := memPair(t, server.Option{MaxRequestsInFlight: 2, MaxBytesInFlight: 64 << 10}, client.Option{MaxMessageSize: 64 << 10, RequestTimeout: time.Minute})
	err := server.Handle(s, "Echo.Grow", func(_ context.Context, req *echo.Body) (*echo.Body, error) {
		return &echo.Body{Data: make([]byte, req.ID)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		wantError(t, c.Call(t.Context(), "Echo.Grow", &echo.Body{ID: 256 << 10}, new(echo.Body)), protocol.ResourceExhausted, protocol.Ran)
	}
	say(t, c)
}

// grpc-go #8500: a burst of large messages is not remembered by buffers.
func TestBuffersDoNotHoardLargeMessages(t *testing.T) {
	// The headroom, which heavy traffic brings, is no message.
	transport.SetHeadroom(0)
	defer transport.SetHeadroom(transport.DefaultHeadroom)
	_, c := memPair(t, server.Option{}, client.Option{RequestTimeout: time.Minute})
	say(t, c)
	before := heap()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2 {
				if err := c.Call(t.Context(), "Echo.Say", &echo.Body{Data: make([]byte, 6<<20)}, new(echo.Body)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	say(t, c)
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("the heap has %d KiB more after a burst of 6 MiB messages", grown>>10)
	}
}

// heap returns the bytes in use once the pools have been emptied.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// refuser admits nothing.
type refuser struct{ server.BaseWrapper }

func (refuser) Admit(context.Context, *protocol.Header, int) error {
	return protocol.NewError(protocol.PermissionDenied, "nobody")
}

// grpc-go PR #6652: what will not be served is refused when its header is there,
// before any of its body was sent.
func TestRefusedBeforeTheBodyIsSent(t *testing.T) {
	s := newServer(t, server.Option{Wrappers: []server.Wrapper{refuser{}}}, new(echo.Echo))
	conn, err := net.Dial("tcp", serve(t, s, "tcp", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	h := protocol.Header{Seq: 5, ServiceName: "Echo", MethodName: "Say"}
	if _, err := conn.Write(protocol.AppendFrameHead(nil, &h, 1<<20)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if got = append(got, buf[:n]...); bytes.Contains(got, []byte("nobody")) {
			return
		}
	}
}

// grpc-go #1850, #5644: both sides send to each other as much as they can, over
// a line that holds little; nobody waits for ever.
func TestFloodsInBothDirectionsDoNotLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Buffer: 4 << 10, Latency: time.Millisecond}))
		s := newServer(t, server.Option{Mem: n, RequestTimeout: time.Hour, MaxBytesInFlight: 8 << 20}, new(echo.Echo))
		err := server.Handle(s, "Echo.Bounce", func(ctx context.Context, req *echo.Body) (*echo.Body, error) {
			res := new(echo.Body)
			return res, server.PeerFrom(ctx).Call(ctx, "Client.Say", req, res)
		})
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, "mem", serve(t, s, "mem", "a"), client.Option{Mem: n, RequestTimeout: time.Hour})
		if err := c.RegisterName("Client", new(echo.Echo)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 3 {
					if err := c.Call(t.Context(), "Echo.Bounce", &echo.Body{Data: make([]byte, 32<<10)}, new(echo.Body)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// rpcx #583: of what a server pushes to a client that is slow to handle it,
// everything arrives for which Notify returned nil.
func TestPushesToASlowClientAreNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int32
		s, c := memPair(t, server.Option{RequestTimeout: time.Hour}, client.Option{RequestTimeout: time.Hour})
		err := server.Handle(s, "Echo.Push", func(ctx context.Context, req *echo.Body) (*echo.Body, error) {
			peer := server.PeerFrom(ctx)
			for range req.ID {
				if err := peer.Notify(ctx, "Client.Note", req); err != nil {
					return nil, err
				}
			}
			return req, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Handle(c, "Client.Note", func(context.Context, *echo.Body) (*echo.Body, error) {
			time.Sleep(10 * time.Millisecond)
			handled.Add(1)
			return new(echo.Body), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		const pushes = 1000 // MaxRequestsInFlight of a client is 1024
		if err := c.Call(t.Context(), "Echo.Push", &echo.Body{ID: pushes}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := handled.Load(); n != pushes {
			t.Errorf("%d of %d pushes were handled", n, pushes)
		}
	})
}
