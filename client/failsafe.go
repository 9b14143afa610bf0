package client

import (
	"context"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// swallowPause is how often FailSafe writes a line at most.
const swallowPause = time.Second

// swallowed has the failures of FailSafe logged, but not each of them. The zero
// value is ready.
type swallowed struct {
	mu sync.Mutex
	// Guarded by mu:
	next   time.Time // no line before
	silent int       // failures since the last line
}

// note logs a failure, or counts it for the next line.
func (s *swallowed) note(serviceMethod string, err error) {
	now := time.Now()
	s.mu.Lock()
	if now.Before(s.next) {
		s.silent++
		s.mu.Unlock()
		return
	}
	silent := s.silent
	s.next, s.silent = now.Add(swallowPause), 0
	s.mu.Unlock()
	if silent > 0 {
		log.Warningf("sinew: FailSafe swallows the failure of %.128q: %v; %d others since the last line", serviceMethod, err, silent)
		return
	}
	log.Warningf("sinew: FailSafe swallows the failure of %.128q: %v", serviceMethod, err)
}

// Swallowed is what FailSafe has kept from the wrappers of a call. Its method may run
// concurrently; on nil it tells of nothing.
type Swallowed struct {
	mu sync.Mutex
	// Guarded by mu:
	err error
}

// Err returns the failure that was swallowed last, nil where there was none.
func (s *Swallowed) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Swallowed) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

type swallowedKey struct{}

// WithSwallowed is for a Wrapper that has to tell the successes of a FailSafe
// client's calls from their failures: it passes on the context, and asks the
// Swallowed when next has returned. Wrappers of one call share it.
func WithSwallowed(ctx context.Context) (context.Context, *Swallowed) {
	if s, shared := ctx.Value(swallowedKey{}).(*Swallowed); shared {
		return ctx, s
	}
	s := new(Swallowed)
	return context.WithValue(ctx, swallowedKey{}, s), s
}

// swallow makes a success of a failed call. The answer to a Do is then an empty
// response, in the request's serializer.
func (c *sgClient) swallow(ctx context.Context, serviceMethod string, req, resp any, err error) {
	if s, asked := ctx.Value(swallowedKey{}).(*Swallowed); asked {
		s.note(err)
	}
	c.counts.swallowed.Add(1)
	c.swallowed.note(serviceMethod, err)
	if m, raw := resp.(*protocol.Message); raw {
		m.MessageType = protocol.TypeResponse
		if asked, ok := req.(*protocol.Message); ok {
			m.SerializeType = asked.SerializeType
		}
	}
}
