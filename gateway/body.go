package gateway

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
)

// room is what is left of the bytes that may be held at one time.
type room struct{ left atomic.Int64 }

func (r *room) take(n int64) bool {
	if r.left.Add(-n) >= 0 {
		return true
	}
	r.left.Add(n)
	return false
}

func (r *room) give(n int64) { r.left.Add(n) }

// firstRead is how much room a body gets before any of it has arrived, in bytes.
const firstRead = 4 << 10

// ReadBody reads the body of r, inflated where it came as gzip: at most
// Option.MaxMessageSize bytes before and after, in room that grows as bytes
// arrive, whatever Content-Length says. Call release when the body is no longer
// needed: it counts in MaxBytesInFlight until then, and until the calls have ended
// that were made for r before, also those whose callers were answered at the
// deadline. r.Body is replaced, so that they are known. The error has outcome
// NotSent; StatusOf knows it as 413 for a body that is too large, 408 for one that
// came too slowly, 415 for another encoding, 400 for one that broke off, and 429
// where too many bytes are in flight.
func (g *Gateway) ReadBody(r *http.Request) (body []byte, release func(), err error) {
	held := &holding{ReadCloser: r.Body, room: &g.room}
	if body, err = held.body(r, int64(g.option.MaxMessageSize)); err != nil {
		held.release()
		return nil, nil, err
	}
	r.Body = held
	return body, held.release, nil
}

// ReadBody is Gateway.ReadBody for handlers of routes, with a limit of theirs in
// bytes, and without MaxBytesInFlight.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	return new(holding).body(r, limit)
}

// body reads the body of r, at most limit bytes before and after inflating.
func (h *holding) body(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, BodyTooLarge(limit)
	}
	source := io.Reader(r.Body)
	switch encoding := strings.ToLower(first(r.Header, "Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		zipped, err := gzip.NewReader(&bounded{r.Body, limit})
		if err != nil {
			return nil, bodyError(err, limit)
		}
		source = zipped
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, protocol.Unimplemented, "Content-Encoding %.64q is not known here: send gzip or identity", encoding)
	}
	h.source = bounded{source, limit}
	body, err := h.read(r.ContentLength, limit)
	h.source = bounded{} // what inflates is of no use any more, and calls may be long
	if err != nil {
		return nil, bodyError(err, limit)
	}
	return body, nil
}

// holding is one body with the room that it takes for as long as anybody needs it.
// In its request it stands for the body that was read, so that calls find it.
type holding struct {
	io.ReadCloser       // what the request had
	room          *room // nil: any
	source        bounded

	mu sync.Mutex
	// Guarded by mu, once it is read:
	taken    int64
	released bool // whoever read it does not need it any more
	calls    int  // that are under way with it
}

// heldFor returns what ReadBody read for r; nil where it has not.
func heldFor(r *http.Request) *holding {
	held, _ := r.Body.(*holding)
	return held
}

// read reads all of h.source, into a buffer that doubles up to limit; expected is a
// hint that is believed up to firstRead.
func (h *holding) read(expected, limit int64) ([]byte, error) {
	size := int64(firstRead)
	if expected >= 0 && expected < firstRead {
		size = expected + 1 // so that the end is seen without growing
	}
	if !h.grow(size) {
		return nil, errNoRoom
	}
	buffer := make([]byte, 0, size)
	for {
		if len(buffer) == cap(buffer) {
			larger := min(2*size, max(limit+1, size+1)) // one more, so that the end is seen
			if !h.grow(larger - size) {
				return nil, errNoRoom
			}
			size = larger
			buffer = append(make([]byte, 0, size), buffer...)
		}
		n, err := h.source.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err == io.EOF {
			return buffer, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (h *holding) grow(n int64) bool {
	if h.room != nil && !h.room.take(n) {
		return false
	}
	h.taken += n
	return true
}

func (h *holding) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	h.giveLocked()
}

// begin and end enclose a call with the body; h may be nil.
func (h *holding) begin() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
}

func (h *holding) end() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls--
	h.giveLocked()
}

// giveLocked gives the room back when nobody needs the body.
func (h *holding) giveLocked() {
	if h.released && h.calls == 0 {
		h.room.give(h.taken)
		h.taken = 0
	}
}

var (
	errNoRoom      = errors.New("too many bytes of requests in flight")
	errBodyTooLong = errors.New("the body is longer than allowed")
)

// bounded fails when there is more than left.
type bounded struct {
	source io.Reader
	left   int64
}

// Read reads at most one byte beyond the bound, to see that there is one.
func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.source.Read(p)
	if int64(n) > b.left {
		return int(b.left), errBodyTooLong
	}
	b.left -= int64(n)
	return n, err
}

// BodyTooLarge is the error, of status 413, about a body longer than limit bytes.
func BodyTooLarge(limit int64) error {
	return refuse(http.StatusRequestEntityTooLarge, protocol.ResourceExhausted, "the body is larger than the %d bytes that are taken", limit)
}

// bodyError says what a body that could not be read means to its sender.
func bodyError(err error, limit int64) error {
	var overLimit *http.MaxBytesError
	switch {
	case errors.Is(err, errBodyTooLong):
		return BodyTooLarge(limit)
	case errors.As(err, &overLimit):
		return BodyTooLarge(overLimit.Limit)
	case errors.Is(err, errNoRoom):
		e := notSent(protocol.ResourceExhausted, "%w", err)
		e.Elsewhere = true
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, protocol.DeadlineExceeded, "the body did not arrive in time")
	}
	return notSent(protocol.InvalidArgument, "the body cannot be read: %w", err)
}
