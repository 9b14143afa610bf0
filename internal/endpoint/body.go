package endpoint

import (
	"cmp"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// sizeHint remembers how large bodies were, so that the next is encoded into a
// buffer that it fits. It forgets slowly what buffers are kept for, and quickly what
// each body would have a buffer made for. The zero value is ready; all methods may run
// concurrently.
type sizeHint struct{ size atomic.Int64 }

// largestKept is the size, in bytes, of the largest buffers that are kept for others.
const largestKept = 1 << 20

func (s *sizeHint) lend() *transport.Buffer { return transport.NewBuffer(int(s.size.Load())) }

func (s *sizeHint) learn(n int) {
	known := s.size.Load()
	forgotten := known/64 + 1
	if known > largestKept {
		forgotten = known / 2
	}
	next := max(int64(n), known-forgotten)
	if next != known && (int64(n) > known || known > 1024) {
		s.size.Store(next)
	}
}

// compress replaces body by its compressed form where that is asked for and
// smaller.
func (c *Caller) compress(h *protocol.Header, body *transport.Buffer) (*transport.Buffer, error) {
	if c.CompressType == protocol.CompressTypeNone || len(body.B) < c.CompressThreshold {
		return body, nil
	}
	small, err := compress(c.CompressType, body)
	if err != nil {
		body.Release()
		return nil, protocol.Errorf(protocol.Internal, "%s: the request cannot be compressed: %w", fullName(h), err).WithOutcome(protocol.NotSent)
	}
	if small != body {
		h.CompressType = c.CompressType
	}
	return small, nil
}

// compress returns the compressed form of body, releasing it, or body itself
// when that is not longer. On error body is still the caller's.
func compress(t protocol.CompressType, body *transport.Buffer) (*transport.Buffer, error) {
	small := transport.NewBuffer(len(body.B) / 2)
	var err error
	small.B, err = protocol.Compress(t, small.B, body.B)
	if err != nil {
		small.Release()
		return nil, err
	}
	if len(small.B) >= len(body.B) {
		small.Release()
		return body, nil
	}
	body.Release()
	return small, nil
}

// unmarshal reads a body, compressed or not, into v. limit bounds its inflated
// size in bytes, 0 is the default of a frame.
func unmarshal(h *protocol.Header, body []byte, v any, limit, maxElements int) error {
	if h.CompressType == protocol.CompressTypeNone {
		return protocol.Unmarshal(h.SerializeType, body, v, maxElements)
	}
	return unmarshalInflated(h, body, v, limit, maxElements)
}

func unmarshalInflated(h *protocol.Header, body []byte, v any, limit, maxElements int) error {
	inflated, err := inflate(h, body, cmp.Or(limit, protocol.DefaultMaxMessageSize))
	if err != nil {
		return err
	}
	defer inflated.Release()
	return protocol.Unmarshal(h.SerializeType, inflated.B, v, maxElements)
}

// inflate returns what body was compressed from, at most limit bytes, in a buffer
// that is the caller's.
func inflate(h *protocol.Header, body []byte, limit int) (*transport.Buffer, error) {
	inflated := transport.NewBuffer(4 * min(len(body), limit/4))
	var err error
	if inflated.B, err = protocol.Inflate(h.CompressType, inflated.B, body, limit); err != nil {
		inflated.Release()
		return nil, err
	}
	return inflated, nil
}
