package load

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace is how often an open loop looks which calls are due: none goes out later
// than that by design.
const pace = time.Millisecond

// Phase is a rate of calls for some time.
type Phase struct {
	PerSecond int           `json:"per_second"`
	For       time.Duration `json:"for_ns"`
}

// OpenLoop calls at a rate, whatever becomes of the calls before: a crowd of
// users does not slow down because a server does. A call's deadline counts from
// when it was due, not from when the loop came to make it.
type OpenLoop struct {
	Call     Call
	Size     int           // bytes of payload
	Deadline time.Duration // of each call
	Phases   []Phase
}

// Second is what became of the calls that were due in one second.
type Second struct {
	Sent    int64 `json:"sent"`
	Good    int64 `json:"good"`    // answered rightly before the deadline
	Refused int64 `json:"refused"` // failed before the deadline
	Late    int64 `json:"late"`    // neither before the deadline
}

// OpenTally is what one Run of an [OpenLoop] saw.
type OpenTally struct {
	Seconds []Second
	// Lateness is how long after they were due calls were made.
	Lateness *Latency
	// FirstRefusal is the error of one refused call, nil when there was none.
	FirstRefusal error
}

// second is a Second that calls add to at the same time.
type second struct{ sent, good, refused, late atomic.Int64 }

// openRun is one Run.
type openRun struct {
	*OpenLoop
	body         []byte
	seconds      []second
	lateness     samples
	firstRefusal atomic.Pointer[error]
	calls        sync.WaitGroup
}

// Run makes the calls of all phases and waits for those in flight.
func (l *OpenLoop) Run(ctx context.Context) *OpenTally {
	var whole time.Duration
	for _, p := range l.Phases {
		whole += p.For
	}
	lateness := NewLatency()
	r := &openRun{OpenLoop: l, body: noise(1, l.Size), seconds: make([]second, (whole+time.Second-1)/time.Second), lateness: samples{into: lateness}}
	begun, from := time.Now(), time.Duration(0)
	id := int64(0)
	for _, p := range l.Phases {
		for n := 0; ; n++ {
			due := from + time.Duration(float64(n)*float64(time.Second)/float64(p.PerSecond))
			if due >= from+p.For {
				break
			}
			r.start(ctx, begun, due, id)
			id++
		}
		from += p.For
	}
	r.calls.Wait()
	r.lateness.flush()
	return r.tally(lateness)
}

// start makes a call when it is due.
func (r *openRun) start(ctx context.Context, begun time.Time, due time.Duration, id int64) {
	at := begun.Add(due)
	for time.Until(at) > 0 {
		time.Sleep(pace)
	}
	r.lateness.add(max(0, time.Since(at)))
	s := &r.seconds[due/time.Second]
	s.sent.Add(1)
	r.calls.Go(func() { r.once(ctx, s, at.Add(r.Deadline), id) })
}

func (r *openRun) once(ctx context.Context, s *second, deadline time.Time, id int64) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	gotID, got, err := r.Call(ctx, id, r.body)
	if err == nil && (gotID != id || !bytes.Equal(got, r.body)) {
		err = ErrWrongReply
	}
	switch {
	case !time.Now().Before(deadline):
		s.late.Add(1)
	case err != nil:
		s.refused.Add(1)
		r.firstRefusal.CompareAndSwap(nil, &err)
	default:
		s.good.Add(1)
	}
}

func (r *openRun) tally(lateness *Latency) *OpenTally {
	t := &OpenTally{Lateness: lateness}
	for i := range r.seconds {
		s := &r.seconds[i]
		t.Seconds = append(t.Seconds, Second{s.sent.Load(), s.good.Load(), s.refused.Load(), s.late.Load()})
	}
	if err := r.firstRefusal.Load(); err != nil {
		t.FirstRefusal = *err
	}
	return t
}
