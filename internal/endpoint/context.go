package endpoint

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Context is the context of a call that this side makes, and of a request that
// it serves: one allocation for everything that a call needs. Deadline and Err
// are true by the clock, so a deadline that nobody waits for costs no timer; it
// is armed at Done. It implements AfterFunc, so that package context derives
// from it without starting a goroutine.
type Context struct {
	parent   context.Context
	deadline time.Time          // zero: none
	limit    time.Duration      // what made deadline; 0 where it is the parent's
	session  *transport.Session // nil for a call that this side makes
	owner    context.Context    // whose end ends it too; nil: nobody's
	task     *task              // the request being served; nil for a call that this side makes

	mu sync.Mutex
	// Guarded by mu:
	err  error
	rare *rarely // nil until one of its fields is needed
}

// rarely is what few calls need of a Context.
type rarely struct {
	seen      error         // what Err has said
	done      chan struct{} // nil until asked for
	timer     *time.Timer   // runs once done is there and a deadline is set
	detach    func() bool   // ends the watch on parent
	disown    func() bool   // ends the watch on owner
	after     []*afterFunc
	replyMeta map[string]string
}

type afterFunc struct{ f func() }

var _ context.Context = (*Context)(nil)

// Bound returns a context that ends with parent, or after timeout if that is
// positive and earlier. Its End must be called.
func Bound(parent context.Context, timeout time.Duration) *Context {
	c := &Context{parent: parent}
	c.narrow(timeout)
	return c
}

// Owned returns a context that ends with parent, and with owner, of which it holds
// no values. Its End must be called.
func Owned(parent, owner context.Context) *Context {
	c := &Context{parent: parent, owner: owner}
	c.narrow(0)
	return c
}

// Deadline returns when the call ends.
func (c *Context) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done returns a channel that is closed when the call ends.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rarely()
	if r.done != nil {
		return r.done
	}
	r.done = make(chan struct{})
	if c.errLocked() != nil {
		close(r.done)
		return r.done
	}
	if !c.deadline.IsZero() {
		r.timer = time.AfterFunc(time.Until(c.deadline), func() { c.Cancel(context.DeadlineExceeded) })
	}
	if c.session == nil && c.parent.Done() != nil {
		parent := c.parent
		r.detach = context.AfterFunc(parent, func() { c.Cancel(parent.Err()) })
	}
	if c.owner != nil {
		r.disown = context.AfterFunc(c.owner, func() { c.Cancel(context.Canceled) })
	}
	return r.done
}

// rarely returns what few calls need, with mu held.
func (c *Context) rarely() *rarely {
	if c.rare == nil {
		c.rare = new(rarely)
	}
	return c.rare
}

// Err returns why the context has ended, nil while it has not.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errLocked()
}

// errLocked is Err with mu held. What was said once stays, whatever ends besides.
func (c *Context) errLocked() error {
	if c.err != nil {
		return c.err
	}
	if c.rare != nil && c.rare.seen != nil {
		return c.rare.seen
	}
	err := c.errNow()
	if err != nil {
		c.rarely().seen = err
	}
	return err
}

// errNow is why the context ends that nobody has cancelled, with mu held.
func (c *Context) errNow() error {
	if c.session == nil {
		if err := c.parent.Err(); err != nil {
			return err
		}
	}
	if c.owner != nil && c.owner.Err() != nil {
		return context.Canceled
	}
	if !c.deadline.IsZero() && time.Until(c.deadline) <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

type (
	contextKey struct{}
	limitKey   struct{} // of the limit of a call that this side makes
)

// Value returns what the parent holds; for a request its metadata and its
// session, and nothing of a parent: what a gateway beside the server keeps in
// its context is not known to the handlers of another process either.
func (c *Context) Value(key any) any {
	switch key.(type) {
	case contextKey:
		if c.task != nil {
			return c
		}
	case protocol.IncomingMetaKey:
		if c.task != nil {
			return c.task.req.MetaData
		}
	case limitKey:
		if c.limit > 0 {
			return limit{"RequestTimeout", c.limit, c.deadline}
		}
	}
	switch {
	case c.session != nil:
		return c.session.Value(key)
	case c.task != nil:
		return nil
	}
	return c.parent.Value(key)
}

// Incoming returns the context of the request that ctx serves, nil outside one.
func Incoming(ctx context.Context) *Context {
	c, _ := ctx.Value(contextKey{}).(*Context)
	return c
}

// Session returns the session on which the request came; nil where it came from
// a gateway beside the server.
func (c *Context) Session() *transport.Session { return c.session }

// Message returns the request.
func (c *Context) Message() *protocol.Message { return &c.task.req }

// Cancel ends the context with err, unless it has ended.
func (c *Context) Cancel(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	r := c.rare
	if r == nil {
		c.mu.Unlock()
		return
	}
	if r.seen != nil {
		c.err = r.seen
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.done != nil && !isClosed(r.done) {
		close(r.done)
	}
	after, detach, disown := r.after, r.detach, r.disown
	r.after, r.detach, r.disown = nil, nil, nil
	c.mu.Unlock()
	if detach != nil {
		detach()
	}
	if disown != nil {
		disown()
	}
	for _, a := range after {
		go a.f()
	}
}

// End releases what the context holds when its call is over. Contexts derived
// from it end too.
func (c *Context) End() { c.Cancel(context.Canceled) }

// AfterFunc arranges for f to run on a goroutine of its own when the context
// ends; stop takes that back, true if f had not been started. Package context
// uses it.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	done := c.Done() // arms the clock
	a := &afterFunc{f}
	c.mu.Lock()
	ended := c.err != nil || isClosed(done)
	if !ended {
		c.rare.after = append(c.rare.after, a)
	}
	c.mu.Unlock()
	if ended {
		go f()
		return func() bool { return false }
	}
	return func() bool { return c.dropAfter(a) }
}

// dropAfter takes back an AfterFunc, true if it had not been started.
func (c *Context) dropAfter(a *afterFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.rare.after)
	c.rare.after = slices.DeleteFunc(c.rare.after, func(other *afterFunc) bool { return other == a })
	return len(c.rare.after) < n
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// SetReplyMeta adds to the metadata of the reply.
func (c *Context) SetReplyMeta(k, v string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rarely()
	next := mergeMeta(r.replyMeta, map[string]string{k: v})
	if err := protocol.CheckMeta(next); err != nil {
		return protocol.Errorf(protocol.InvalidArgument, "reply metadata: %w", err)
	}
	r.replyMeta = next
	return nil
}

func (c *Context) takeReplyMeta() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil {
		return nil
	}
	return c.rare.replyMeta
}
