package transport

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// TestAnswerToWhatHasNotLeft: a peer that guesses the next number answers a
// request which still waits to be written. Had the call been completed, its
// frame would have belonged to whoever reused the call.
func TestAnswerToWhatHasNotLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newConfig(nil)
		r, s := rawPeer(t, cfg)
		r.Conn.(*MemConn).SetFaults(MemFaults{ToDialer: MemPath{Buffer: 10}})
		answers := make(chan error, 2)
		for range 2 { // the first fills the buffer, the second waits behind it
			go func() {
				got, err := ask(s, "M", strings.Repeat("x", 40_000), 5*time.Second)
				if err == nil && got != "true" {
					t.Errorf("the answer is %q", got)
				}
				answers <- err
			}()
			synctest.Wait()
		}
		r.send(protocol.Header{Seq: 2, MessageType: protocol.TypeResponse}, "guessed")
		synctest.Wait()
		if n := cfg.Stats.StrayResponses.Load(); n != 1 {
			t.Errorf("%d stray responses", n)
		}
		for range 2 {
			m, err := r.receive()
			if err != nil {
				t.Fatal(err)
			}
			r.send(protocol.Header{Seq: m.Seq, MessageType: protocol.TypeResponse}, "true")
		}
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestHeaderThatThePeerWouldNotTake: a header above 64 KiB would end the
// connection for everybody on it.
func TestHeaderThatThePeerWouldNotTake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{}, nil)
		for name, h := range map[string]protocol.Header{
			"a long name":       {ServiceName: strings.Repeat("S", 70_000)},
			"much metadata":     {MetaData: map[string]string{"k": strings.Repeat("v", 70_000)}},
			"both, with method": {ServiceName: strings.Repeat("S", 40_000), MethodName: strings.Repeat("M", 30_000)},
		} {
			_, err := e.client.RoundTrip(context.Background(), in(time.Second), &h, text(name))
			wantError(t, err, protocol.InvalidArgument, protocol.NotSent)
		}
		if got, err := ask(e.client, "M", "still here", time.Second); got != "still here" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestReplyMetadataOverItsBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, size := range []int{protocol.MaxMetaSize - 1, protocol.MaxMetaSize, 100_000} {
			cfg := configOf(replyWith(protocol.Header{MetaData: map[string]string{"k": strings.Repeat("v", size)}}))
			r, s := rawPeer(t, cfg)
			r.send(protocol.Header{Seq: 1}, "")
			m, err := r.receive()
			want, dropped := protocol.OK, uint64(0)
			if size >= protocol.MaxMetaSize {
				want, dropped = protocol.ResourceExhausted, 1
			}
			if err != nil || m.StatusCode != want || m.Flags&protocol.FlagNotRun != 0 || cfg.Stats.OversizedReplies.Load() != dropped || s.Err() != nil {
				t.Errorf("%d bytes: %v %q, %v, dropped %d", size, m.StatusCode, m.Error, err, cfg.Stats.OversizedReplies.Load())
			}
		}
	})
}

// TestLongErrorKeepsItsCode: an error text is cut, so its length says nothing
// about whether the reply fits.
func TestLongErrorKeepsItsCode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := configOf(replyWith(protocol.Header{StatusCode: protocol.Aborted, Error: strings.Repeat("é", 20<<20)}))
		r, _ := rawPeer(t, cfg)
		r.send(protocol.Header{Seq: 1}, "")
		m, err := r.receive()
		if err != nil || m.StatusCode != protocol.Aborted || len(m.Error) != protocol.MaxErrorLen {
			t.Errorf("%v with %d bytes of text, %v", m.StatusCode, len(m.Error), err)
		}
	})
}

// TestHelloThatAnnouncesMoreThanAFrameHolds: a frame's length has 32 bits,
// whatever the peer says it takes.
func TestHelloThatAnnouncesMoreThanAFrameHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for announced, want := range map[string]int{
			"9000000000000": 1<<31 - 1, "99999999999999999999999": protocol.DefaultMaxMessageSize,
			"-1": protocol.DefaultMaxMessageSize, "0": protocol.DefaultMaxMessageSize, "x": protocol.DefaultMaxMessageSize, "1": 1,
		} {
			r, s := rawPeer(t, newConfig(nil))
			r.send(protocol.Header{MessageType: protocol.TypeHello, MetaData: map[string]string{protocol.MetaMaxMessage: announced}}, "")
			synctest.Wait()
			if got := s.PeerMaxMessage(); got != want {
				t.Errorf("announced %s: %d, want %d", announced, got, want)
			}
		}
	})
}

func configOf(h Handler) *SessionConfig {
	cfg := newConfig(nil)
	cfg.Handler = h
	return cfg
}

// replier answers every request with one header.
type replier struct {
	service
	header protocol.Header
}

func replyWith(h protocol.Header) *replier { return &replier{header: h} }

func (v *replier) Accept(s *Session, h *protocol.Header, _ any, body *Buffer, deadline time.Time) Task {
	body.Release()
	return &replierTask{serviceTask: serviceTask{v: &v.service, s: s, h: *h, cancelled: make(chan struct{})}, header: v.header}
}

type replierTask struct {
	serviceTask
	header protocol.Header
}

func (t *replierTask) Run() {
	t.header.Seq = t.h.Seq
	_ = t.s.Reply(&t.header, nil)
}

// TestOnewaysThatADrainSpared go on when their session is closed, as it is once
// it has ended, and are cancelled with the whole client or server: their workers
// were waited for without end.
func TestOnewaysThatADrainSpared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newConfig(&service{method: func(task *serviceTask) { <-task.cancelled }})
		r, s := rawPeer(t, cfg)
		r.send(protocol.Header{Seq: 1, MessageType: protocol.TypeOneway}, "")
		r.send(protocol.Header{MessageType: protocol.TypeGoAway}, "")
		_ = r.Close()
		<-s.Done()
		_ = s.Close()
		time.Sleep(time.Minute)
		if _, tasks := s.Load(); tasks != 1 {
			t.Errorf("%d tasks run on after an orderly end, want 1", tasks)
		}
		cfg.CancelSpared(ErrSessionClosed)
		synctest.Wait()
		if _, tasks := s.Load(); tasks != 0 || cfg.Room.InFlight() != 0 || len(cfg.spared.all()) != 0 {
			t.Errorf("%d tasks, %d in flight, %d sessions kept after CancelSpared", tasks, cfg.Room.InFlight(), len(cfg.spared.all()))
		}
	})
}
