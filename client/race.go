package client

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// race is several attempts of one call side by side. Each runs on a worker and
// has a place of its own for its reply, which is decoded by who began the race
// and nowhere else. The race belongs to that goroutine: it starts runners, hears
// of their end, and has waited for all of them when end returns. So nothing
// reads the request or writes to the reply once the call has returned.
type race struct {
	p       *pursuit
	call    *perCall        // the call's, without a place for the reply's metadata
	ctx     context.Context // of the attempts; ends with the race
	cancel  context.CancelFunc
	ended   chan *runner
	running int
	delay   time.Duration // after which the first is hedged; 0: never
	latency *latency      // learns how long answers take; nil: nobody does
}

// runner is one attempt of a race. Its fields are the worker's until it is sent
// on ended.
type runner struct {
	member *member
	target target
	begun  time.Time
	took   time.Duration
	record AttemptRecord // should it fail
	reply  endpoint.Held
	err    error
}

func (p *pursuit) newRace() *race {
	call := *p.target.call
	call.replyMeta = nil
	r := &race{p: p, call: &call, ended: make(chan *runner)}
	r.ctx, r.cancel = context.WithCancel(p.ctx)
	return r
}

// start begins an attempt at m, of which record says what is known before. When it
// has ended, next says so; until then only the attempt's member and its beginning
// are for reading.
func (r *race) start(m *member, record AttemptRecord) *runner {
	p := r.p
	n := &runner{member: m, target: p.target, begun: time.Now(), record: record}
	n.target.call, n.target.info.Attempt, n.target.begun = r.call, record.Number, n.begun
	n.record.Timeout = p.slice(n.begun)
	r.running++
	p.c.workers.Go(func() {
		defer func() { r.ended <- n }()
		n.run(p.c, r.ctx, p.req)
	})
	return n
}

// run makes the attempt. A panic is its error, and so is the end of the goroutine, as
// by t.FailNow in a wrapper: who began the race waits for all.
func (n *runner) run(c *sgClient, ctx context.Context, req any) {
	returned := false
	defer func() {
		n.took = time.Since(n.begun)
		if p := recover(); p != nil {
			log.Errorf("sinew: an attempt of %.128q panicked: %v\n%s", n.target.info.ServiceMethod, p, debug.Stack())
			n.err = protocol.Errorf(protocol.Internal, "an attempt of %.128q panicked: %v", n.target.info.ServiceMethod, p)
		} else if !returned {
			n.err = protocol.Errorf(protocol.Internal, "an attempt of %.128q ended its goroutine", n.target.info.ServiceMethod)
		}
	}()
	if n.record.Timeout > 0 {
		bounded := endpoint.BoundAttempt(ctx, n.record.Timeout)
		defer bounded.End()
		ctx = bounded
	}
	n.err = c.attempt(ctx, n.member, &n.target, req, &n.reply)
	returned = true
}

// next waits for the next attempt that ends, and returns nil when none runs.
func (r *race) next() *runner {
	if r.running == 0 {
		return nil
	}
	n := <-r.ended
	r.finished(n)
	return n
}

// ready is next, but nil when none has ended yet.
func (r *race) ready() *runner {
	select {
	case n := <-r.ended:
		r.finished(n)
		return n
	default:
		return nil
	}
}

// nextWithin is next, but nil when none ends in that time.
func (r *race) nextWithin(d time.Duration) *runner {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case n := <-r.ended:
		r.finished(n)
		return n
	case <-timer.C:
		return nil
	}
}

func (r *race) finished(n *runner) {
	r.running--
	if r.latency != nil {
		r.latency.learn(r.p.ctx, n, r.delay)
	}
}

// end cancels the attempts that still run, on the wire too, and waits for them.
func (r *race) end() {
	r.cancel()
	for r.running > 0 {
		r.next().reply.Release()
	}
}

// won decodes the reply of n, which succeeded, for the caller.
func (r *race) won(n *runner) error {
	r.cancel() // the others need not finish while this decodes
	p := r.p
	meta, err := n.reply.Decode(p.resp)
	if into := p.target.call.replyMeta; into != nil && err == nil {
		*into = withoutReserved(meta)
	}
	return err
}
