package server_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxConnections: 2})
		running(t, s)
		first, second := dial(t, mem, nil), dial(t, mem, nil)
		first.add(t)
		second.add(t)
		third := dial(t, mem, nil)
		if reason := <-third.away; !strings.Contains(reason, "MaxConnections") {
			t.Errorf("turned away for %q", reason)
		}
		<-third.ended
		wantError(t, third.call(t.Context(), "Arith", "Add", &AddRequest{}, nil), protocol.Unavailable, protocol.NotSent)

		stubborn := dialRaw(t, mem)
		begun := time.Now()
		if last := stubborn.wantEnd(); last.MessageType != protocol.TypeGoAway {
			t.Errorf("last frame %+v", last)
		}
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("a connection that was turned away stayed for %v", took)
		}
		first.Close()
		synctest.Wait()
		dial(t, mem, nil).add(t)
	})
}

// TestRequestsAreBounded fills the server with stuck handlers and sends one
// request more, on a connection that may be paused.
func TestRequestsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     server.Option
		body  int // of the request beyond the bound
		after time.Duration
	}{
		{"requests", server.Option{MaxRequestsInFlight: 3}, 16, 20 * time.Millisecond},
		{"bytes", server.Option{MaxBytesInFlight: 1000}, 900, 20 * time.Millisecond},
		{"without a pause", server.Option{MaxRequestsInFlight: 3, ReadPause: -1}, 16, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, c.o)
				entered, _ := stuck(t, s)
				running(t, s)
				conn := dialRaw(t, mem)
				body := marshal(t, map[string]any{"X": make([]byte, 100)})
				for i := range 3 {
					conn.sendFrame(protocol.Header{Seq: uint64(i), ServiceName: "Stuck", MethodName: "Wait"}, body)
					<-entered
				}
				begun := time.Now()
				conn.sendFrame(request(9), marshal(t, map[string]any{"X": make([]byte, c.body)}))
				h, _ := conn.next()
				if h.Seq != 9 || h.StatusCode != protocol.ResourceExhausted || h.Flags&(protocol.FlagNotRun|protocol.FlagElsewhere) != protocol.FlagNotRun|protocol.FlagElsewhere {
					t.Errorf("answer %+v", h)
				}
				if took := time.Since(begun); took != c.after {
					t.Errorf("refused after %v, want %v", took, c.after)
				}
				conn.sendFrame(protocol.Header{Seq: 1, MessageType: protocol.TypeCancel}, nil)
				conn.next()
				conn.sendFrame(request(10), marshal(t, &AddRequest{1, 2}))
				if h, _ := conn.next(); h.Seq != 10 || h.StatusCode != protocol.OK {
					t.Errorf("with room again: %+v", h)
				}
			})
		})
	}
}

// A peer that keeps methods busy has its share and no more: one request beyond it
// is refused at once, its body unread, and others are served as if it were not
// there. What it has back it may use again.
func TestOneConnectionLeavesRoomForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const share = 3
		s, mem := on(t, server.Option{MaxRequestsInFlight: 2 * share, MaxRequestsPerConnection: share})
		entered, _ := stuck(t, s)
		running(t, s)
		patient := dialRaw(t, mem)
		wait := func(seq uint64) {
			patient.sendFrame(protocol.Header{Seq: seq, ServiceName: "Stuck", MethodName: "Wait"}, marshal(t, map[string]any{}))
		}
		for seq := range uint64(share) {
			wait(seq)
			<-entered
		}
		begun := time.Now()
		for seq := uint64(share); seq < 100; seq++ {
			wait(seq)
			h, _ := patient.next()
			if h.Seq != seq || h.StatusCode != protocol.ResourceExhausted || h.Flags&protocol.FlagNotRun == 0 || !strings.Contains(h.Error, "of this connection") {
				t.Fatalf("beyond its share: %+v", h)
			}
		}
		for range 10 {
			dial(t, mem, nil).add(t)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("others waited %v for what the patient one has", took)
		}
		if refused := s.Stats().Refused.Room; refused != 100-share {
			t.Errorf("%d are counted as refused, want %d", refused, 100-share)
		}
		patient.sendFrame(protocol.Header{Seq: 1, MessageType: protocol.TypeCancel}, nil)
		patient.next()
		wait(200)
		<-entered
	})
}

// Requests that arrive in one read have their share together.
func TestAShareCountsWhatCameTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxRequestsPerConnection: 2})
		stuck(t, s)
		running(t, s)
		conn := dialRaw(t, mem)
		var frames []byte
		for seq := range uint64(5) {
			h := protocol.Header{Seq: seq, ServiceName: "Stuck", MethodName: "Wait"}
			frames = protocol.AppendFrame(frames, &h, marshal(t, map[string]any{}))
		}
		if _, err := conn.Write(frames); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if stats := s.Stats(); stats.RequestsInFlight != 2 || stats.Refused.Room != 3 {
			t.Errorf("%d run and %d were refused, want 2 and 3", stats.RequestsInFlight, stats.Refused.Room)
		}
	})
}

// What a large header takes is among the bytes in flight: its keys take much more
// room than they have bytes.
func TestLargeHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 1 << 20
		s, mem := on(t, server.Option{MaxBytesInFlight: bound})
		entered, _ := stuck(t, s)
		running(t, s)
		conn := dialRaw(t, mem)
		meta := make(map[string]string)
		for i := range protocol.MaxMetaSize / 4 {
			meta[fmt.Sprintf("%04x", i)] = ""
		}
		for seq := range uint64(10) {
			conn.sendFrame(protocol.Header{Seq: seq, ServiceName: "Stuck", MethodName: "Wait", MetaData: meta}, marshal(t, map[string]any{}))
		}
		for range 7 {
			if h, _ := conn.next(); h.StatusCode != protocol.ResourceExhausted || h.Flags&protocol.FlagElsewhere == 0 {
				t.Errorf("answer %+v", h)
			}
		}
		synctest.Wait()
		if stats := s.Stats(); len(entered) != 3 || stats.Refused.Room != 7 || stats.BytesInFlight > bound {
			t.Errorf("%d run, %+v", len(entered), stats)
		}
	})
}

// flakyListener fails to accept until it has done so many times.
type flakyListener struct {
	net.Listener
	failures atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		inner, err := mem.Listen("server")
		if err != nil {
			t.Fatal(err)
		}
		ln := &flakyListener{Listener: inner}
		ln.failures.Store(7)
		begun := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- s.ServeListener(ln, nil) }()
		<-s.Listening()
		dial(t, mem, nil).add(t)
		// 5 ms doubling to 1 s; of each delay at least half.
		if took := time.Since(begun); took < 317*time.Millisecond || took > 635*time.Millisecond {
			t.Errorf("seven failures took %v", took)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestOneListenerMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		running(t, s)
		ln, err := mem.Listen("other")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.ServeListener(ln, nil) }()
		synctest.Wait()
		ln.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "other") {
			t.Errorf("Serve of the closed listener returned %v", err)
		}
		dial(t, mem, nil).add(t)
	})
}

// unserved is a wrapper that does not let the server serve.
type unserved struct{ server.BaseWrapper }

var errNotLeader = errors.New("not the leader")

func (unserved) WrapServe(*server.SGServer, server.ServeFunc) server.ServeFunc {
	return func(string, string, map[string]string) error { return errNotLeader }
}

func TestListenerThatAWrapperRefusesIsClosed(t *testing.T) {
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{unserved{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ServeListener(ln, nil); !errors.Is(err, errNotLeader) {
		t.Errorf("ServeListener: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of its listener: %v", err)
	}
}

func TestServeErrors(t *testing.T) {
	s, err := server.NewSGServer(&server.Option{TransportType: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct{ network, addr, says string }{
		{"unix", "x", "TransportType"},
		{"tcp", "127.0.0.1:notaport", "notaport"},
	} {
		if err := s.Serve(c.network, c.addr, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Serve(%q, %q) returned %v", c.network, c.addr, err)
		}
	}
	if err := s.Serve("", "127.0.0.1:0", map[string]string{"weight": "heavy"}); err == nil || !strings.Contains(err.Error(), "weight") {
		t.Errorf("a weight that is no number: %v", err)
	}
	<-s.Listening() // closed: Serve has failed
	if s.Addr() != nil {
		t.Error("an address without a listener")
	}
	plain, err := server.NewSGServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.Serve("carrier-pigeon", "", nil); err == nil || !strings.Contains(err.Error(), "carrier-pigeon") {
		t.Errorf("an unknown network: %v", err)
	}
	if err := plain.Serve("tls", "127.0.0.1:0", nil); err == nil || !strings.Contains(err.Error(), "TLSConfig") {
		t.Errorf("tls without a certificate: %v", err)
	}
}
