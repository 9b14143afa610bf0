package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is what a Breaker does with calls.
type State uint8

const (
	// Closed: every call passes.
	Closed State = iota
	// Open: none does. When the window is over the next call is the probe.
	Open
	// HalfOpen: a probe is under way, and no other call passes but those of
	// AllowBeside; or nothing was learnt of it, and the next call is the probe.
	HalfOpen
)

// String returns the name that logs and metrics use.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "unknown"
}

// Result is what became of a call, as far as the breaker cares.
type Result uint8

const (
	// Success: what the call went to is well.
	Success Result = iota
	// Failure: it is not.
	Failure
	// Ignored: the call tells nothing, as one that its caller cancelled. A
	// probe of which nothing is learnt leaves its place to the next call, and
	// is no change: however many there are, nobody is told.
	Ignored
)

// Change is one change of state.
type Change struct {
	From, To State
	// Generation grows with each change of one Breaker.
	Generation uint64
	// RetryAt is when the next call may pass; zero unless To is Open.
	RetryAt time.Time
}

// Settings of a Breaker.
type Settings struct {
	// Threshold is how many failures within Window open the breaker; at least
	// 1. Each takes 8 bytes.
	Threshold int
	// Window is how long a failure counts, and how long the breaker stays open
	// before a probe; at least 1 ns. A probe that has reported nothing for a
	// Window does not keep the next one waiting.
	Window time.Duration
	// OnChange is told of every change, on the goroutine of the call that
	// caused it and without a lock held: two changes may be told out of order,
	// and Generation says so. Nil: nobody is told.
	OnChange func(Change)
}

// Breaker is a circuit breaker. Its methods may run concurrently, and none of
// them allocates. While it is closed, Allow is one atomic load and a Success is
// nothing at all; only failures and what happens beside Closed take its lock.
type Breaker struct {
	settings Settings
	born     time.Time // the origin of the times below

	word    atomic.Uint64 // generation and state; stored with mu held
	retryAt atomic.Int64  // beside Closed: when the next call may pass; stored with mu held

	mu sync.Mutex
	// Guarded by mu:
	failures []int64 // the times of the last ones of this generation, as a ring
	failed   int     // how many of this generation, the oldest forgotten
}

// Pass is the permission of one call, to be reported once.
type Pass struct {
	word   uint64
	beside bool // it is no probe's
}

// The state is in the lowest bits of a word, the generation above. Generations
// begin with 1, so that no word is a zero Pass.
const (
	stateBits = 2
	stateMask = 1<<stateBits - 1
)

func stateOf(word uint64) State { return State(word & stateMask) }

// New returns a closed breaker.
func New(s Settings) *Breaker {
	s.Threshold = max(1, s.Threshold)
	s.Window = max(1, s.Window)
	b := &Breaker{settings: s, born: time.Now(), failures: make([]int64, s.Threshold)}
	b.word.Store(1<<stateBits | uint64(Closed))
	return b
}

// State returns the state. An open breaker stays Open until a call probes.
func (b *Breaker) State() State { return stateOf(b.word.Load()) }

// RetryAt returns when the next call may pass, which may be over; the zero time
// while the breaker is closed.
func (b *Breaker) RetryAt() time.Time {
	if b.State() == Closed {
		return time.Time{}
	}
	return b.born.Add(time.Duration(b.retryAt.Load()))
}

// Ready reports whether Allow would let a call pass now. It claims nothing.
func (b *Breaker) Ready() bool {
	return b.State() == Closed || b.now() >= b.retryAt.Load()
}

// ReadyBeside reports whether AllowBeside would let a call pass now. It claims nothing.
func (b *Breaker) ReadyBeside() bool {
	return b.State() != Open || b.now() >= b.retryAt.Load()
}

// Allow asks for permission to make a call. A call that got it reports what
// became of it.
func (b *Breaker) Allow() (Pass, bool) {
	if word := b.word.Load(); stateOf(word) == Closed {
		return Pass{word: word}, true
	}
	if !b.Ready() {
		return Pass{}, false
	}
	return b.probe()
}

// AllowBeside is Allow for a call whose success would tell nothing, such as one that
// nobody answers: it is no probe. It passes a breaker that is half-open, beside the
// probe and others like it, and keeps none of them waiting; its failure opens the
// breaker again.
func (b *Breaker) AllowBeside() (Pass, bool) {
	word := b.word.Load()
	if stateOf(word) == Open && b.Ready() {
		word = b.halve()
	}
	if stateOf(word) == Open { // still, or anew
		return Pass{}, false
	}
	return Pass{word, true}, true
}

// halve makes an open breaker half-open, with the probe's place free. It returns the
// word that there is then.
func (b *Breaker) halve() uint64 {
	b.mu.Lock()
	word := b.word.Load()
	if stateOf(word) != Open || b.now() < b.retryAt.Load() { // meanwhile
		b.mu.Unlock()
		return word
	}
	change := b.becomeLocked(HalfOpen)
	word = b.word.Load()
	b.mu.Unlock()
	b.tell(change)
	return word
}

// probe makes the caller the probe, unless another was quicker.
func (b *Breaker) probe() (Pass, bool) {
	b.mu.Lock()
	word, now := b.word.Load(), b.now()
	if stateOf(word) == Closed { // meanwhile
		b.mu.Unlock()
		return Pass{word: word}, true
	}
	if now < b.retryAt.Load() {
		b.mu.Unlock()
		return Pass{}, false
	}
	b.retryAt.Store(b.after(now))
	if stateOf(word) == HalfOpen { // the probe before is late, or told nothing: the first to tell decides
		b.mu.Unlock()
		return Pass{word: word}, true
	}
	change := b.becomeLocked(HalfOpen)
	word = b.word.Load()
	b.mu.Unlock()
	b.tell(change)
	return Pass{word: word}, true
}

// Report says what became of the call that p was given to. It counts for
// nothing when the state has changed since; so does a zero Pass.
func (b *Breaker) Report(p Pass, r Result) {
	if r != Failure && stateOf(p.word) == Closed {
		return
	}
	b.mu.Lock()
	if b.word.Load() != p.word {
		b.mu.Unlock()
		return
	}
	now := b.now()
	var change Change
	switch {
	case r == Success:
		change = b.becomeLocked(Closed)
	case r == Ignored:
		if !p.beside {
			b.retryAt.Store(now)
		}
		b.mu.Unlock()
		return
	case stateOf(p.word) == HalfOpen || b.countLocked(now):
		b.retryAt.Store(b.after(now))
		change = b.becomeLocked(Open)
	default:
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	b.tell(change)
}

// Reset closes the breaker and forgets what it has counted: for when what it
// guards is another one now.
func (b *Breaker) Reset() {
	b.mu.Lock()
	change := b.becomeLocked(Closed)
	b.mu.Unlock()
	if change.From != Closed {
		b.tell(change)
	}
}

// countLocked notes a failure and reports whether it is one too many, with mu
// held.
func (b *Breaker) countLocked(now int64) bool {
	place := b.failed % len(b.failures)
	b.failures[place] = now
	b.failed++
	if b.failed < len(b.failures) {
		return false
	}
	oldest := b.failures[b.failed%len(b.failures)]
	return now-oldest < int64(b.settings.Window)
}

// becomeLocked begins a new generation, with mu held.
func (b *Breaker) becomeLocked(to State) Change {
	word := b.word.Load()
	generation := word>>stateBits + 1
	b.failed = 0
	b.word.Store(generation<<stateBits | uint64(to))
	change := Change{From: stateOf(word), To: to, Generation: generation}
	if to == Open {
		change.RetryAt = b.born.Add(time.Duration(b.retryAt.Load()))
	}
	return change
}

func (b *Breaker) tell(c Change) {
	if b.settings.OnChange != nil {
		b.settings.OnChange(c)
	}
}

func (b *Breaker) now() int64 { return int64(time.Since(b.born)) }

// after returns the end of a window that begins now, without overflow.
func (b *Breaker) after(now int64) int64 {
	if end := now + int64(b.settings.Window); end > now {
		return end
	}
	return 1<<63 - 1
}
