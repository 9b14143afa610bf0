package wrapper

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/concurrency"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Defaults of ConcurrencyLimit.
const (
	DefaultConcurrencyInitial = 20
	DefaultConcurrencyMin     = 1
	DefaultConcurrencyMax     = server.DefaultMaxRequestsInFlight
)

// ConcurrencyLimit protects a server from more requests than it can work on. It
// finds out how many that are from how long they take, and refuses the rest by
// their headers: ResourceExhausted, Elsewhere, RetryAfter (Refused). Under
// overload those that are served are then served in time, where without it all
// would wait for each other until none is in time.
//
// Requests of low priority (client.Priority) are refused first, and get what
// those of high priority leave. A new server finds its limit out within a second
// or two under load, and follows a change of what it can do within seconds. How
// the limit moves is told in package internal/concurrency.
//
// The limit is for all requests of the servers that share the wrapper. Put it
// last, after RateLimit and Breaker: what it admits counts as about to run.
type ConcurrencyLimit struct {
	server.BaseWrapper

	// Initial is the limit to begin with. The default is 20.
	Initial int
	// Min and Max are bounds of the limit. The defaults are 1 and 16,384.
	Min, Max int
	// Exempt lists methods that the limit does not count, as "Service.Method":
	// those that wait by design, for news for example.
	Exempt []string
	// Priority says how much a request matters, from protocol.MinPriority to
	// protocol.MaxPriority; what is beyond is cut. It must not wait. The default
	// is what the client asks for, protocol.PriorityOf: set it where clients are
	// not to be trusted with that.
	Priority func(ctx context.Context, h *protocol.Header) int

	once    sync.Once
	limiter *concurrency.Limiter // set by once
	methods perMethod[limitedMethod]
}

var (
	_ server.Wrapper  = (*ConcurrencyLimit)(nil)
	_ server.Admitter = (*ConcurrencyLimit)(nil)
)

// limitedMethod is what is known of one method.
type limitedMethod struct {
	exempt bool
	kind   concurrency.Kind
}

// ConcurrencyStats is what a ConcurrencyLimit does now.
type ConcurrencyStats struct {
	// Limit is how many requests may be served at one time, Running how many
	// are.
	Limit, Running int
	// Refused counts all requests that were refused.
	Refused uint64
}

// Stats returns the numbers of this moment.
func (c *ConcurrencyLimit) Stats() ConcurrencyStats {
	s := c.limit().Stats()
	return ConcurrencyStats{Limit: s.Limit, Running: s.Running, Refused: s.Refused}
}

// Admit implements server.Admitter.
func (c *ConcurrencyLimit) Admit(ctx context.Context, h *protocol.Header, _ int) error {
	if c.method(h).exempt {
		return nil
	}
	if retryAfter, ok := c.limit().Admit(c.level(ctx, h)); !ok {
		return overloaded(retryAfter)
	}
	return nil
}

// WrapHandleRequest implements server.Wrapper.
func (c *ConcurrencyLimit) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		m := c.method(&req.Header)
		if m.exempt {
			return next(ctx, req, res)
		}
		limit := c.limit()
		ticket, retryAfter, ok := limit.Begin(c.level(ctx, &req.Header))
		if !ok {
			return overloaded(retryAfter)
		}
		told := false // by a panic
		defer func() { limit.End(ticket, &m.kind, told) }()
		err := next(ctx, req, res)
		told = err == nil || protocol.CodeOf(ctx.Err()) == protocol.DeadlineExceeded
		return err
	}
}

func (c *ConcurrencyLimit) limit() *concurrency.Limiter {
	c.once.Do(func() {
		c.limiter = concurrency.New(concurrency.Settings{
			Initial: cmp.Or(max(0, c.Initial), DefaultConcurrencyInitial),
			Min:     cmp.Or(max(0, c.Min), DefaultConcurrencyMin),
			Max:     cmp.Or(max(0, c.Max), DefaultConcurrencyMax),
			Levels:  protocol.MaxPriority - protocol.MinPriority + 1,
		})
	})
	return c.limiter
}

// level returns a request's priority, counted from 0.
func (c *ConcurrencyLimit) level(ctx context.Context, h *protocol.Header) int {
	priority := 0
	if c.Priority != nil {
		priority = c.Priority(ctx, h)
	} else {
		priority = protocol.PriorityOf(h.MetaData)
	}
	return min(max(priority, protocol.MinPriority), protocol.MaxPriority) - protocol.MinPriority
}

func (c *ConcurrencyLimit) method(h *protocol.Header) *limitedMethod {
	if m := c.methods.get(h.ServiceName, h.MethodName); m != nil {
		return m
	}
	return c.methods.add(h.ServiceName, h.MethodName, func(name methodName) *limitedMethod {
		return &limitedMethod{exempt: slices.Contains(c.Exempt, name.String())}
	})
}

func overloaded(retryAfter time.Duration) *protocol.Error {
	return &protocol.Error{
		Code:       protocol.ResourceExhausted,
		Message:    "the server has more requests than it can serve in time",
		Elsewhere:  true,
		RetryAfter: retryAfter,
	}
}
