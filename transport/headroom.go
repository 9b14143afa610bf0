package transport

import (
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultHeadroom is what SetHeadroom begins with, in bytes.
	DefaultHeadroom = 16 << 20
	// MaxHeadroom is the most that SetHeadroom takes, in bytes.
	MaxHeadroom = 256 << 20
)

const (
	// A process that is collected frequentCollections times, each less than
	// frequentInterval after the one before, gets its headroom; one that is
	// collected seldomInterval after the last time does not need it.
	frequentCollections = 3
	frequentInterval    = 100 * time.Millisecond
	seldomInterval      = 2 * time.Second

	// trafficSize is how many bytes a read or write moves at least where there is
	// traffic: more than the heartbeats of idle connections, or one small call.
	trafficSize = 512
	// trafficAge is how long after the last of them a process is taken to be idle.
	trafficAge = 50 * time.Millisecond
	// trafficGrain is how exact the moment of the last traffic is.
	trafficGrain = time.Millisecond

	// defaultGOGC is what the collector's GOGC is where nobody has set it.
	defaultGOGC = 100
)

// SetHeadroom sets how many bytes of heap the sessions of this process hold, and
// never write to, while they carry so much that the process is collected more than
// ten times a second. The default is DefaultHeadroom, 0 or less is none, and more than
// MaxHeadroom is taken for that. It may be called at any time, and concurrently.
//
// Go collects when the heap has doubled. A process that holds 8 MiB and moves a
// gigabyte a second is collected a hundred times a second, which was measured to
// cost a quarter of its throughput and more. With a block of heap beside it is
// collected as seldom as a larger process, for up to so many bytes more of memory that
// waits to be collected. Nobody touches the block, so it takes pages of the operating
// system only as far as it lies where the process had some already. It is let go 50 to
// 100 ms after the last traffic, and is free by the next collection. It is known as a
// heap ballast: Ross Engers, "Go memory ballast: How I learnt to stop worrying and love
// the heap", 2019.
//
// Who has set GOMEMLIMIT, or GOGC to other than 100, or their like in runtime/debug,
// has decided how often to collect: then there is no headroom.
func SetHeadroom(bytes int) { processHeadroom.size.Store(int64(min(bytes, MaxHeadroom))) }

// processHeadroom is one for all sessions, as the collector is.
var processHeadroom = newHeadroom()

type headroom struct {
	size    atomic.Int64
	traffic atomic.Int64 // when there was, in nanoseconds from began
	watched atomic.Bool  // the next collection will be noticed

	mu sync.Mutex
	// Guarded by mu:
	last     time.Time // when a collection was noticed last
	frequent int       // how many came soon after another, without one that did not
	block    *untouched
	idle     *time.Timer // looks whether there is traffic, while there is a block; nil before the first
}

func newHeadroom() *headroom {
	h := new(headroom)
	h.size.Store(DefaultHeadroom)
	return h
}

// moved notes that a session has read or written n bytes at a moment.
func (h *headroom) moved(n int, at time.Duration) {
	if n < trafficSize {
		return
	}
	if age := at - time.Duration(h.traffic.Load()); age > trafficGrain || age < 0 {
		h.traffic.Store(int64(at))
	}
	if !h.watched.Load() && h.watched.CompareAndSwap(false, true) {
		h.watch()
	}
}

// watch has the next collection noticed, by what it collects.
func (h *headroom) watch() {
	type sentinel struct{ _ *headroom } // a pointer keeps it out of the blocks that tiny objects share
	runtime.AddCleanup(new(sentinel), (*headroom).noticed, h)
}

// noticed is called by the runtime, a moment after each collection while there is
// traffic.
func (h *headroom) noticed() {
	now := time.Now()
	if !h.busy(now) {
		h.watched.Store(false)
		return
	}
	h.collected(now)
	h.watch()
}

// busy reports whether there was traffic shortly before now.
func (h *headroom) busy(now time.Time) bool {
	return now.Sub(began)-time.Duration(h.traffic.Load()) < trafficAge
}

// collected takes, keeps or leaves the block after a collection at now, amid traffic.
func (h *headroom) collected(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	interval := now.Sub(h.last)
	h.last = now
	switch {
	case interval > seldomInterval:
		h.frequent, h.block = 0, nil
	case interval < frequentInterval:
		h.frequent++
	case h.block == nil:
		h.frequent = 0
	}
	if h.frequent < frequentCollections {
		return
	}
	switch size := h.size.Load(); {
	case size <= 0 || !paceIsDefault():
		h.block = nil
	case h.block.size() != size:
		h.block = newUntouched(size)
		h.lookForTraffic()
	}
}

// lookForTraffic has the block left when there is none. The collector would not tell:
// an idle process may go minutes without a collection, and the block is to be free by
// the first. mu is held.
func (h *headroom) lookForTraffic() {
	if h.idle == nil {
		h.idle = time.AfterFunc(trafficAge, h.leaveWhenIdle)
	} else {
		h.idle.Reset(trafficAge)
	}
}

func (h *headroom) leaveWhenIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.block == nil:
	case h.busy(time.Now()):
		h.lookForTraffic()
	default:
		h.frequent, h.block = 0, nil
	}
}

// untouched is heap that nobody writes to.
type untouched struct {
	room strings.Builder // what the standard library has that does not clear its room
	n    int64
}

func newUntouched(n int64) *untouched {
	u := &untouched{n: n}
	u.room.Grow(int(n))
	return u
}

// size returns 0 for nil.
func (u *untouched) size() int64 {
	if u == nil {
		return 0
	}
	return u.n
}

// paceIsDefault reports whether nobody has set how often to collect.
func paceIsDefault() bool {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(s)
	return s[0].Value.Kind() == metrics.KindUint64 && s[0].Value.Uint64() == defaultGOGC &&
		s[1].Value.Kind() == metrics.KindUint64 && s[1].Value.Uint64() == math.MaxInt64
}
