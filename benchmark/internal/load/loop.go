package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// errorsPerCaller is how many failed calls a caller makes before it gives up:
// a broken connection must not turn the loop into a busy one.
const errorsPerCaller = 10

// ErrWrongReply is what a call counts as whose reply is not its own request.
var ErrWrongReply = errors.New("load: the reply is not what was sent")

// Loop calls from several goroutines, each waiting for its reply before it
// sends the next request. Its Run may be called again when it has returned.
type Loop struct {
	callers []*caller
}

// NewLoop makes a loop with one caller for each of calls, whose payloads are
// size bytes of noise.
func NewLoop(calls []Call, size int) *Loop {
	l := &Loop{}
	for i, call := range calls {
		l.callers = append(l.callers, &caller{
			call: call,
			body: noise(uint64(i), size),
			next: int64(i) << 40,
		})
	}
	return l
}

// noise makes a payload that is another for every caller and the same in
// every run.
func noise(seed uint64, size int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0x5157))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// First makes one call, from the first caller.
func (l *Loop) First(ctx context.Context) error {
	return l.callers[0].once(ctx)
}

// Tally is what one Run of a [Loop] saw.
type Tally struct {
	// Calls is the number of calls that were answered rightly.
	Calls int64
	// Errors is the number of all others.
	Errors int64
	// FirstError is one of the errors, nil when there was none.
	FirstError error
	// Elapsed runs from the first request to the last reply: calls in flight
	// when the time was up are finished, counted and timed.
	Elapsed time.Duration
	// Latency holds the time of every answered call.
	Latency *Latency
}

// Run calls for d and then waits for the calls in flight.
func (l *Loop) Run(ctx context.Context, d time.Duration) *Tally {
	latency := NewLatency()
	start := make(chan struct{})
	var stop atomic.Bool
	var running sync.WaitGroup
	for _, c := range l.callers {
		c.reset(latency)
		running.Go(func() {
			<-start
			c.run(ctx, &stop)
		})
	}
	began := time.Now()
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	close(start)
	running.Wait()
	timer.Stop()
	t := &Tally{Elapsed: time.Since(began), Latency: latency}
	for _, c := range l.callers {
		t.Calls += c.calls
		t.Errors += c.errors
		if t.FirstError == nil {
			t.FirstError = c.firstError
		}
	}
	return t
}

// caller is one closed loop. Its fields belong to its goroutine while the
// loop runs and to Run before and after.
type caller struct {
	call Call
	body []byte
	next int64 // the identifier of the next request, of a range of the caller's own

	calls      int64
	errors     int64
	firstError error
	samples    samples
}

func (c *caller) reset(latency *Latency) {
	c.calls, c.errors, c.firstError = 0, 0, nil
	c.samples = samples{into: latency}
}

func (c *caller) run(ctx context.Context, stop *atomic.Bool) {
	defer c.samples.flush()
	for !stop.Load() && c.errors < errorsPerCaller {
		began := time.Now()
		err := c.once(ctx)
		took := time.Since(began)
		if err != nil {
			if c.errors++; c.firstError == nil {
				c.firstError = err
			}
			continue
		}
		c.calls++
		c.samples.add(took)
	}
}

// once makes one call and checks its reply.
func (c *caller) once(ctx context.Context) error {
	id := c.next
	c.next++
	gotID, got, err := c.call(ctx, id, c.body)
	if err != nil {
		return err
	}
	if gotID != id || !bytes.Equal(got, c.body) {
		return fmt.Errorf("%w: request %d of %d bytes, reply %d of %d bytes", ErrWrongReply, id, len(c.body), gotID, len(got))
	}
	return nil
}
