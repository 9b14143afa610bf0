package transport

import (
	"io"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// What the block does to a process is seen in its heap, after collections.
func TestHeadroomIsHeldWhileTheCollectorIsBusyWithTraffic(t *testing.T) {
	defer SetHeadroom(DefaultHeadroom)
	paceAsDefault(t)
	session, heard := answered(t), discarded(t)
	idle(t)
	settleShelves()
	none := heapObjects()
	becomes := func(when string, want int64, after func(t *testing.T)) {
		t.Helper()
		const about = DefaultHeadroom / 4
		var more int64
		for range 200 {
			after(t)
			if more = heapObjects() - none; more > want-about && more < want+about {
				return
			}
		}
		t.Errorf("%s: it holds %d bytes more, want about %d", when, more, want)
	}
	busy := func(t *testing.T) {
		t.Helper()
		for range 10 {
			reply, err := session.RoundTrip(t.Context(), time.Time{}, &protocol.Header{ServiceName: "Any", MethodName: "Thing"}, twice(trafficSize))
			if err != nil {
				t.Fatal(err)
			}
			reply.Release()
			runtime.GC()
		}
	}

	heartbeats := func(t *testing.T) {
		t.Helper()
		for range 10 {
			if err := session.Ping(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
		}
	}

	writing := func(t *testing.T) {
		t.Helper()
		for range 10 {
			if err := heard.Notify(t.Context(), time.Time{}, &protocol.Header{MessageType: protocol.TypeOneway}, twice(trafficSize)); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
		}
	}

	becomes("collected without pause", DefaultHeadroom, busy)
	becomes("heartbeats alone", 0, heartbeats)
	becomes("writes alone", DefaultHeadroom, writing)
	becomes("idle", 0, idle)
	SetHeadroom(2 * DefaultHeadroom)
	becomes("set to more", 2*DefaultHeadroom, busy)
	SetHeadroom(DefaultHeadroom)
	becomes("set to less", DefaultHeadroom, busy)
	SetHeadroom(0)
	becomes("set to 0", 0, busy)
	SetHeadroom(DefaultHeadroom)
	becomes("set again", DefaultHeadroom, busy)

	debug.SetGCPercent(150)
	becomes("GOGC is set", 0, busy)
	debug.SetGCPercent(defaultGOGC)
	becomes("GOGC is 100", DefaultHeadroom, busy)
	debug.SetMemoryLimit(8 << 30)
	becomes("GOMEMLIMIT is set", 0, busy)
	debug.SetMemoryLimit(math.MaxInt64)
	SetHeadroom(math.MaxInt)
	becomes("set to too much", MaxHeadroom, busy)
	SetHeadroom(-1)
	becomes("set to less than 0", 0, busy)
}

// Collections far between, or few of them, ask for nothing.
func TestHeadroomIsForFrequentCollections(t *testing.T) {
	paceAsDefault(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHeadroom()
		for _, c := range []struct {
			after time.Duration
			held  bool
		}{
			{after: time.Hour},
			{after: 10 * time.Millisecond},
			{after: 10 * time.Millisecond},
			{after: frequentInterval}, // begins anew
			{after: 99 * time.Millisecond},
			{after: 99 * time.Millisecond},
			{after: 99 * time.Millisecond, held: true},
			{after: time.Second, held: true}, // that is what it is for
			{after: seldomInterval, held: true},
			{after: seldomInterval + 1},
			{after: time.Millisecond},
			{after: time.Millisecond},
			{after: time.Millisecond, held: true},
		} {
			for end := time.Now().Add(c.after); time.Now().Before(end); {
				h.traffic.Store(int64(time.Since(began)))
				time.Sleep(min(trafficAge/2, time.Until(end)))
			}
			h.collected(time.Now())
			if held := holdsBlock(h); held != c.held {
				t.Fatalf("%v after the collection before: held %t, want %t", c.after, held, c.held)
			}
		}
		time.Sleep(2 * trafficAge)
		synctest.Wait()
		if holdsBlock(h) {
			t.Error("it is held where nothing was read for a while")
		}
	})
}

// paceAsDefault takes back what the environment sets.
func paceAsDefault(t *testing.T) {
	percent, limit := debug.SetGCPercent(defaultGOGC), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

func holdsBlock(h *headroom) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.block != nil
}

// answered returns a session whose peer answers.
func answered(t *testing.T) *Session {
	t.Helper()
	here, there := net.Pipe()
	var workers Workers
	t.Cleanup(workers.Close)
	var sessions []*Session
	for _, conn := range []net.Conn{here, there} {
		s, err := NewSession(conn, &SessionConfig{Workers: &workers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		sessions = append(sessions, s)
	}
	return sessions[0]
}

// discarded returns a session whose peer reads, and says nothing.
func discarded(t *testing.T) *Session {
	t.Helper()
	here, there := net.Pipe()
	cfg := newConfig(nil)
	s := start(t, here, cfg)
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, there) })
	t.Cleanup(func() {
		_ = s.Close()
		_ = there.Close()
		cfg.Workers.Close()
		reading.Wait()
	})
	return s
}

func twice(n int) *Buffer {
	b := NewBuffer(2 * n)
	b.B = b.B[:2*n]
	return b
}

// idle has no traffic, and then collections. The moments that the block goes by are
// the collector's, which no bubble has.
func idle(*testing.T) {
	<-time.After(2 * trafficAge)
	runtime.GC()
	runtime.GC()
}

func heapObjects() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
