package endpoint

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

type echoMsg struct {
	ID   int64
	Body []byte
}

type echoService struct{}

func (echoService) Echo(_ context.Context, req, res *echoMsg) error {
	*res = *req
	return nil
}

var names atomic.Int64

// pair returns a session over which the other end serves echoService.
func pair(tb testing.TB, network string) *transport.Session {
	tb.Helper()
	var table Table
	if err := table.Register("Echo", echoService{}); err != nil {
		tb.Fatal(err)
	}
	return served(tb, network, &Dispatcher{Methods: &table})
}

// served returns a session over which the other end serves what d does.
func served(tb testing.TB, network string, d *Dispatcher) *transport.Session {
	tb.Helper()
	workers := &transport.Workers{}
	ln, err := transport.Listen(network, map[string]string{"tcp": "127.0.0.1:0", "mem": tb.Name() + strconv.FormatInt(names.Add(1), 10)}[network], transport.ListenOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	accepted := make(chan *transport.Session, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s, _ := transport.NewSession(conn, &transport.SessionConfig{Handler: d, Workers: workers, Room: transport.NewRoom(1<<16, 64<<20), Intern: d.Methods.Intern})
		accepted <- s
	}()
	conn, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		conn2, err2 := transport.Dial(context.Background(), network, ln.Addr().String(), transport.DialOptions{})
		if err2 != nil {
			tb.Fatal(err, err2)
		}
		conn = conn2
	}
	s, err := transport.NewSession(conn, &transport.SessionConfig{Workers: workers})
	if err != nil {
		tb.Fatal(err)
	}
	peer := <-accepted
	tb.Cleanup(func() { s.Close(); peer.Close(); ln.Close(); workers.Close() })
	return s
}

// What a failure brings is not written into the metadata that a wrapper has put into
// the response: that may be one map for all calls.
func TestMetadataOfAFailureIsNotTheWrappers(t *testing.T) {
	var table Table
	if err := table.Register("Echo", echoService{}); err != nil {
		t.Fatal(err)
	}
	shared := map[string]string{"version": "1"}
	s := served(t, "mem", &Dispatcher{Methods: &table, Chain: func(_ context.Context, _, res *protocol.Message) error {
		res.MetaData = shared
		return &protocol.Error{Code: protocol.Aborted, MetaData: map[string]string{"call": "mine"}, RetryAfter: time.Second}
	}})
	var failure *protocol.Error
	err := new(Caller).Call(context.Background(), s, "Echo", "Echo", &echoMsg{}, &echoMsg{}, nil)
	if !errors.As(err, &failure) || failure.Code != protocol.Aborted || failure.MetaData["call"] != "mine" || failure.MetaData["version"] != "1" {
		t.Errorf("%v", err)
	}
	if len(shared) != 1 {
		t.Errorf("the wrapper's metadata is %v", shared)
	}
}

func TestEcho(t *testing.T) {
	for _, network := range []string{"tcp", "mem"} {
		for _, size := range []int{0, 16, 5000, 70000, 3 << 20} {
			s := pair(t, network)
			c := &Caller{}
			for i := range 5 {
				ctx := Bound(context.Background(), 10*time.Second)
				req := &echoMsg{ID: int64(i), Body: make([]byte, size)}
				var res echoMsg
				if err := c.Call(ctx, s, "Echo", "Echo", req, &res, nil); err != nil {
					t.Fatal(network, size, err)
				}
				if res.ID != int64(i) || len(res.Body) != size {
					t.Fatal(network, size, res.ID, len(res.Body))
				}
				ctx.End()
			}
			s.Close()
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{16, 1024, 65536} {
		for _, callers := range []int{1, 100, 1000} {
			b.Run(byteSize(size)+"/"+byteSize(callers), func(b *testing.B) {
				s := pair(b, "tcp")
				c := &Caller{SerializeType: protocol.SerializeTypeMsgpack}
				var n atomic.Int64
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						req := &echoMsg{Body: make([]byte, size)}
						for n.Add(1) <= int64(b.N) {
							ctx := Bound(context.Background(), time.Second)
							var res echoMsg
							if err := c.Call(ctx, s, "Echo", "Echo", req, &res, nil); err != nil {
								b.Error(err)
								return
							}
							ctx.End()
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func byteSize(n int) string { return time.Duration(n).String() }
