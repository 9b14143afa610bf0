package concurrency

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// server is what a Limiter protects: it works on as many requests at one time as
// it has slots, and the others wait.
type server struct {
	limiter *Limiter
	slots   chan struct{}
	late    time.Duration // an answer after so long is of no use

	all sync.WaitGroup
	mu  sync.Mutex
	// Guarded by mu:
	served, good, refused []int // by level
	slowest               time.Duration
}

func newServer(slots int, s Settings) *server {
	v := &server{limiter: New(s), late: 200 * time.Millisecond}
	v.setSlots(slots)
	v.forget()
	return v
}

// setSlots is for between two loads.
func (v *server) setSlots(n int) { v.slots = make(chan struct{}, n) }

// forget begins to count anew.
func (v *server) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.served, v.good, v.refused = make([]int, v.limiter.levels), make([]int, v.limiter.levels), make([]int, v.limiter.levels)
	v.slowest = 0
}

// traffic is requests of one sort: so many a second, each of which holds a slot
// for what hold returns.
type traffic struct {
	perSecond int
	level     int
	kind      *Kind
	hold      func() time.Duration
}

// stalling holds a slot for d, and whoever holds one when the whole server stands
// still, for span every so often, until that is over.
func stalling(d, span, every time.Duration) func() time.Duration {
	begun := time.Now()
	return func() time.Duration {
		if at := time.Since(begun) % every; at+d > every-span {
			return every - at
		}
		return d
	}
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// load sends requests for so long at random times (an open loop), and waits for
// those that were let in.
func (v *server) load(t *testing.T, span time.Duration, sorts ...traffic) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var senders sync.WaitGroup
	for i, sort := range sorts {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		senders.Go(func() {
			gap := float64(time.Second) / float64(sort.perSecond)
			for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Duration(random.ExpFloat64() * gap)) {
				v.request(sort)
			}
		})
	}
	senders.Wait()
	v.all.Wait()
}

func (v *server) request(s traffic) {
	arrived := time.Now()
	if _, ok := v.limiter.Admit(s.level); !ok {
		v.count(s.level, false, 0)
		return
	}
	hold, slots := s.hold(), v.slots
	v.all.Go(func() {
		ticket, _, ok := v.limiter.Begin(s.level)
		if !ok {
			v.count(s.level, false, 0)
			return
		}
		slots <- struct{}{}
		time.Sleep(hold)
		<-slots
		v.limiter.End(ticket, s.kind, true)
		v.count(s.level, true, time.Since(arrived))
	})
}

func (v *server) count(level int, served bool, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !served {
		v.refused[level]++
		return
	}
	v.served[level]++
	if took <= v.late {
		v.good[level]++
	}
	v.slowest = max(v.slowest, took)
}
