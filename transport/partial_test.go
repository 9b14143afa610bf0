package transport

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// roomOf is the config of sessions that take bodies of size bytes, within bytes.
func roomOf(v *service, size int, bytes int64) *SessionConfig {
	cfg := newConfig(v)
	cfg.Room, cfg.MaxMessageSize = NewRoom(1000, bytes), size
	return cfg
}

// upload sends a request of size bytes: quick at once, and the rest at that rate, in
// bytes a second, for as long as somebody reads it.
func upload(r *raw, size, quick, rate int) {
	frame := protocol.AppendFrame(nil, &protocol.Header{Seq: 1}, make([]byte, size))
	_, err := r.Write(frame[:quick])
	for at := quick; err == nil && at < len(frame); {
		time.Sleep(time.Second)
		n := min(rate, len(frame)-at)
		_, err = r.Write(frame[at : at+n])
		at += n
	}
}

// holds has another body of size bytes hold all of them before they are there, false
// where there is no room.
func holds(r *Room, size int) bool { return r.takePartial(need{grow: size, whole: size}) }

// served sends a request of size bytes and returns what it was answered.
func served(t *testing.T, r *raw, size int) protocol.Code {
	t.Helper()
	r.send(protocol.Header{Seq: 1}, strings.Repeat("x", size))
	m, err := r.receive()
	if err != nil {
		t.Fatal(err)
	}
	return m.StatusCode
}

// Who sends large bodies slowly keeps no others from being served: small ones not for
// a moment, and large ones for no longer than it takes to see that he is slow.
func TestSlowSendersLeaveRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 16<<20, 64<<20)
		var slow []*Session
		var uploads sync.WaitGroup
		for range 2 {
			r, s := rawPeer(t, cfg)
			slow = append(slow, s)
			uploads.Go(func() { upload(r, 16<<20-100, 5<<20, 20<<10) })
		}
		time.Sleep(time.Second)
		for _, size := range []int{10 << 10, 20 << 10, 60 << 10} {
			r, _ := rawPeer(t, cfg)
			if code := served(t, r, size); code != protocol.OK {
				t.Errorf("a body of %d bytes: %v", size, code)
			}
		}
		begun := time.Now()
		for r, _ := rawPeer(t, cfg); served(t, r, 1<<20) != protocol.OK && time.Since(begun) < time.Minute; {
			time.Sleep(time.Second)
		}
		if took := time.Since(begun); took > 2*DefaultFrameTimeout {
			t.Errorf("a body of 1 MiB found no room for %v", took)
		}
		for _, s := range slow {
			_ = s.Close()
		}
		uploads.Wait()
	})
}

// A slow body is read to its end where nobody lacks its room, and a small one also
// where somebody does.
func TestSlowBodiesThatAreInNobodysWay(t *testing.T) {
	for name, c := range map[string]struct {
		size   int
		lacked bool
	}{"large": {4 << 20, false}, "small": {900 << 10, true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := roomOf(&service{}, 16<<20, 64<<20)
				r, s := rawPeer(t, cfg)
				var done sync.WaitGroup
				done.Go(func() { upload(r, c.size, 100<<10, 20<<10) })
				defer done.Wait()
				if c.lacked {
					time.Sleep(time.Second)
					if !holds(cfg.Room, 30<<20) || holds(cfg.Room, 16<<20) {
						t.Error("the room is not what it should be")
					}
				}
				if m, err := r.receive(); err != nil || m.StatusCode != protocol.OK {
					t.Errorf("%v, %v, %v", m.StatusCode, err, s.Cause())
				}
			})
		})
	}
}

// A body that is all there needs no room that bodies which are still arriving have
// among them.
func TestBodyThatIsAllThereIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 1<<20, 1<<20)
		for holds(cfg.Room, 10<<10) {
		}
		r, _ := rawPeer(t, cfg)
		if code := served(t, r, 60<<10); code != protocol.OK {
			t.Error(code)
		}
	})
}

// A body that is larger than half of all room is served while it is alone.
func TestBodyAboveHalfOfTheRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 48<<20, 64<<20)
		r, _ := rawPeer(t, cfg)
		r.send(protocol.Header{Seq: 1, MessageType: protocol.TypeHello, MetaData: map[string]string{protocol.MetaMaxMessage: "100000000"}}, "")
		var done sync.WaitGroup
		done.Go(func() { upload(r, 40<<20, 1<<20, 500<<10) })
		defer done.Wait()
		if m, err := r.receive(); err != nil || m.StatusCode != protocol.OK {
			t.Errorf("%v, %v", m.StatusCode, err)
		}
	})
}

// Small bodies that come in pieces have room while one that is larger than half of all
// takes its time, and so have others when small ones have taken theirs.
func TestSmallBodiesBesideALargeOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 16<<20, 16<<20)
		slow, s := rawPeer(t, cfg)
		var uploads sync.WaitGroup
		uploads.Go(func() { upload(slow, 12<<20, 5<<20, 20<<10) })
		time.Sleep(100 * time.Millisecond)
		if held := cfg.Room.partial.Load(); held != 12<<20 {
			t.Errorf("the large body holds %d bytes", held)
		}
		for range 16 {
			r, _ := rawPeer(t, cfg)
			uploads.Go(func() {
				upload(r, 60<<10, 20<<10, 40<<10)
				if m, err := r.receive(); err != nil || m.StatusCode != protocol.OK {
					t.Errorf("a small body: %v, %v", m.StatusCode, err)
				}
			})
		}
		time.Sleep(3 * time.Second)
		if err := s.Cause(); err != nil {
			t.Errorf("the large body was given up: %v", err)
		}
		_ = s.Close()
		uploads.Wait()
		synctest.Wait()
		if partial, small := cfg.Room.partial.Load(), cfg.Room.small.Load(); partial != 0 || small != 0 {
			t.Errorf("%d bytes are held by nobody, %d of them small", partial, small)
		}

		count := 0
		for holds(cfg.Room, 64<<10) {
			count++
		}
		if count != 9*16 { // nine sixteenths of 16 MiB
			t.Errorf("%d small bodies have room", count)
		}
		cfg.Room.givePartial(8<<20, 64<<10)
		if !holds(cfg.Room, 8<<20) || holds(cfg.Room, 8<<20) {
			t.Error("a large one has not the half")
		}
	})
}

// A body that finds no room to grow waits for it as a request does.
func TestBodyWaitsForRoomToGrow(t *testing.T) {
	for name, c := range map[string]struct {
		given time.Duration // when there is room
		code  protocol.Code
		after time.Duration
	}{
		"too long": {time.Second, protocol.ResourceExhausted, DefaultReadPause},
		"a little": {DefaultReadPause / 2, protocol.OK, DefaultReadPause / 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := roomOf(&service{}, 1<<20, 1<<20)
				if !holds(cfg.Room, 512<<10) {
					t.Fatal("no room")
				}
				begun := time.Now()
				time.AfterFunc(c.given, func() { cfg.Room.givePartial(512<<10, 512<<10) })
				r, _ := rawPeer(t, cfg)
				if code := served(t, r, 500<<10); code != c.code {
					t.Error(code)
				}
				if took := time.Since(begun); took != c.after {
					t.Errorf("answered after %v, want %v", took, c.after)
				}
				synctest.Wait()
				time.Sleep(time.Second)
				if left := cfg.Room.partial.Load(); left != 0 {
					t.Errorf("%d bytes are held by nobody", left)
				}
			})
		})
	}
}

// After a body that found no room to grow the next ones are refused at once, until
// another has given room back: neither room for requests, nor what the refused one held
// itself, is a sign of that.
func TestBodiesAreRefusedAtOnceAfterOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 1<<20, 1<<20)
		if !holds(cfg.Room, 400<<10) {
			t.Fatal("no room")
		}
		r, _ := rawPeer(t, cfg)
		refused := func(after time.Duration) {
			t.Helper()
			begun := time.Now()
			if code := served(t, r, 500<<10); code != protocol.ResourceExhausted {
				t.Error(code)
			}
			if took := time.Since(begun); took != after {
				t.Errorf("refused after %v, want %v", took, after)
			}
		}
		refused(DefaultReadPause)
		refused(0)
		if code := served(t, r, 10); code != protocol.OK {
			t.Error(code)
		}
		refused(0)
		cfg.Room.givePartial(1, 400<<10)
		refused(DefaultReadPause)
		refused(0)
	})
}

// Who waits for a body to grow is woken by bodies alone: requests that end do not so
// much as look for him.
func TestRequestsDoNotWakeWhoWaitsToGrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := roomOf(&service{}, 1<<20, 1<<20)
		if !holds(cfg.Room, 400<<10) {
			t.Fatal("no room")
		}
		r, _ := rawPeer(t, cfg)
		var sent sync.WaitGroup
		sent.Go(func() { r.send(protocol.Header{Seq: 1}, strings.Repeat("x", 500<<10)) })
		defer sent.Wait()
		synctest.Wait()
		if !cfg.Room.growing.Load() || cfg.Room.asked.Load() {
			t.Errorf("waits to grow: %v, for a request: %v", cfg.Room.growing.Load(), cfg.Room.asked.Load())
		}
		cfg.Room.givePartial(400<<10, 400<<10)
		if m, err := r.receive(); err != nil || m.StatusCode != protocol.OK {
			t.Errorf("%v, %v", m.StatusCode, err)
		}
	})
}
