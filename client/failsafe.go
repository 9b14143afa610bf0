package client

import (
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

// swallow makes a success of a failed call. The answer to a Do is then an empty
// response, in the request's serializer.
func (c *sgClient) swallow(serviceMethod string, req, resp any, err error) {
	c.counts.swallowed.Add(1)
	c.swallowed.note(serviceMethod, err)
	if m, raw := resp.(*protocol.Message); raw {
		m.MessageType = protocol.TypeResponse
		if asked, ok := req.(*protocol.Message); ok {
			m.SerializeType = asked.SerializeType
		}
	}
}
