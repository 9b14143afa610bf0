package wrapper

import (
	"cmp"
	"context"
	"time"

	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Defaults of Breaker.
const (
	DefaultBreakerThreshold = 20
	DefaultBreakerWindow    = time.Second
)

// BreakerState is what the breaker of a method does with requests.
type BreakerState = breaker.State

// The states of a breaker.
const (
	BreakerClosed   = breaker.Closed   // it lets requests pass
	BreakerOpen     = breaker.Open     // it refuses them
	BreakerHalfOpen = breaker.HalfOpen // one request probes, the others are refused
)

// Breaker keeps a server's requests away from a method that fails, so that it
// does not tie up what other methods need, and its callers turn elsewhere at
// once. Each method has a breaker of its own: Threshold failures within Window
// open it, and for one Window requests are refused by their header, with
// Unavailable, Elsewhere and RetryAfter (Refused). The next request is the
// probe that decides. A client's own breakers, one for each provider, are set
// in client.SGOption.
//
// Put it inside what refuses requests of its own accord, such as RateLimit, so
// that it judges the method alone, and outside ConcurrencyLimit, which counts on
// what it admits. A panic counts as a failure; ResourceExhausted tells nothing.
type Breaker struct {
	server.BaseWrapper

	// Threshold is how many failures open the breaker of a method. The default
	// is 20; negative switches all of them off.
	Threshold int
	// Window is how long a failure counts, and how long a breaker stays open
	// before a request probes. The default is 1 s.
	Window time.Duration
	// Failure tells whether an answer speaks against the method; took is how
	// long that ran, at most until its caller's deadline. It is not asked about
	// calls that their caller cancelled. It may run concurrently. The default is
	// MethodFailed.
	Failure func(err error, took time.Duration) bool
	// OnChange is told when the breaker of a method opens, probes or closes; of
	// probes of which nothing is learnt, such as those that their callers cancel,
	// the first alone is told. It may run concurrently, on the goroutine of a
	// request. The default logs openings as warnings, closings as information.
	OnChange func(serviceMethod string, state BreakerState)

	methods perMethod[breaker.Breaker]
}

var (
	_ server.Wrapper  = (*Breaker)(nil)
	_ server.Admitter = (*Breaker)(nil)
)

// leastPatience is how long a caller must have waited for its deadline to say
// something about the method rather than about the caller.
const leastPatience = 50 * time.Millisecond

// MethodFailed is what counts as a failure of a method by default: Internal
// (panics too), Unavailable, and DeadlineExceeded after 50 ms or more. A caller
// that has set a shorter deadline says nothing by it. Plain errors of a handler
// (Unknown) and codes that speak of the request do not count.
func MethodFailed(err error, took time.Duration) bool {
	switch protocol.CodeOf(err) {
	case protocol.Internal, protocol.Unavailable:
		return true
	case protocol.DeadlineExceeded:
		return took >= leastPatience
	}
	return false
}

// States returns the state of the breaker of each method that was called.
func (b *Breaker) States() map[string]BreakerState {
	all := b.methods.snapshot()
	states := make(map[string]BreakerState, len(all))
	for name, of := range all {
		states[name.String()] = of.State()
	}
	return states
}

// Admit implements server.Admitter. It claims no probe, since what it admits
// may not arrive.
func (b *Breaker) Admit(_ context.Context, h *protocol.Header, _ int) error {
	if b.Threshold < 0 {
		return nil
	}
	if of := b.of(h); !of.Ready() {
		return broken(h, of)
	}
	return nil
}

// WrapHandleRequest implements server.Wrapper.
func (b *Breaker) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	if b.Threshold < 0 {
		return next
	}
	return func(ctx context.Context, req, res *protocol.Message) error {
		of := b.of(&req.Header)
		pass, ok := of.Allow()
		if !ok {
			return broken(&req.Header, of)
		}
		begun, result := time.Now(), breaker.Failure // of a panic
		defer func() { of.Report(pass, result) }()
		err := next(ctx, req, res)
		result = b.judge(ctx, err, begun)
		return err
	}
}

// judge says what the end of a request tells of its method.
func (b *Breaker) judge(ctx context.Context, err error, begun time.Time) breaker.Result {
	end := ctx.Err()
	if end == nil && err == nil {
		return breaker.Success
	}
	took := time.Since(begun)
	if end != nil {
		if !ranOut(ctx, took) {
			return breaker.Ignored
		}
		err = context.DeadlineExceeded // whatever it answered comes too late
		if deadline, ok := ctx.Deadline(); ok {
			took = min(took, deadline.Sub(begun)) // it was not given more, though it may have run on
		}
	}
	failed := MethodFailed
	if b.Failure != nil {
		failed = b.Failure
	}
	switch {
	case failed(err, took):
		return breaker.Failure
	case protocol.CodeOf(err) == protocol.DeadlineExceeded, protocol.CodeOf(err) == protocol.ResourceExhausted:
		return breaker.Ignored // too early to tell; not let in to tell
	}
	return breaker.Success
}

// ranOut reports whether a request that was ended after took had its time. At a
// deadline the caller's cancel arrives as the server's own clock strikes.
func ranOut(ctx context.Context, took time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= took/10
}

func (b *Breaker) of(h *protocol.Header) *breaker.Breaker {
	if of := b.methods.get(h.ServiceName, h.MethodName); of != nil {
		return of
	}
	return b.methods.add(h.ServiceName, h.MethodName, b.made)
}

func (b *Breaker) made(name methodName) *breaker.Breaker {
	serviceMethod := name.String()
	tell := b.OnChange
	if tell == nil {
		tell = logChange
	}
	return breaker.New(breaker.Settings{
		Threshold: cmp.Or(b.Threshold, DefaultBreakerThreshold),
		Window:    cmp.Or(max(0, b.Window), DefaultBreakerWindow),
		OnChange:  func(c breaker.Change) { tell(serviceMethod, c.To) },
	})
}

// logChange tells of the beginning and the end of an outage, not of every probe.
func logChange(serviceMethod string, state BreakerState) {
	switch state {
	case BreakerOpen:
		log.Warningf("sinew: %s fails: its breaker is open", serviceMethod)
	case BreakerClosed:
		log.Infof("sinew: %s works again: its breaker is closed", serviceMethod)
	}
}

func broken(h *protocol.Header, of *breaker.Breaker) *protocol.Error {
	e := protocol.Errorf(protocol.Unavailable, "%.64s.%.64s fails here: its breaker is %s", h.ServiceName, h.MethodName, of.State())
	e.Elsewhere = true
	e.RetryAfter = max(time.Until(of.RetryAt()), time.Millisecond)
	return e
}
