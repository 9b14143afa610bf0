package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
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

// ReadBody reads the body of r, which w answers: at most Option.MaxMessageSize
// bytes, in room that grows as bytes arrive, whatever Content-Length says. What came
// as gzip is inflated once all of it has arrived, to at most as many. Beyond 4 KiB a
// body must bring 16 KiB/s over each 10 s, before it is inflated; that a read is cut
// off in its midst needs a w that http.ResponseController can unwrap.
//
// Call release when the body is no longer needed: it counts in MaxBytesInFlight
// until then, and until the calls have ended that were made for r before, also those
// whose callers were answered at the deadline. r.Body is replaced, so that they are
// known. The error has outcome NotSent; StatusOf knows it as 413 for a body that is
// too large, 408 for one that came too slowly, 415 for another encoding, 400 for one
// that broke off, and 429 where too many bytes are in flight.
func (g *Gateway) ReadBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	held := &holding{ReadCloser: r.Body, writer: w, room: &g.room}
	if body, err = held.body(r, int64(g.option.MaxMessageSize)); err != nil {
		held.release()
		return nil, nil, err
	}
	r.Body = held
	return body, held.release, nil
}

// ReadBody is Gateway.ReadBody for handlers of routes, with a limit of theirs in
// bytes, and without MaxBytesInFlight and the least rate.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	return (&holding{ReadCloser: r.Body}).body(r, limit)
}

// body reads the body of r, at most limit bytes before and after inflating.
func (h *holding) body(r *http.Request, limit int64) ([]byte, error) {
	limit = min(limit, math.MaxInt64-1) // one byte more is read, to see that there is one
	if r.ContentLength > limit {
		return nil, BodyTooLarge(limit)
	}
	zipped := false
	switch encoding := strings.ToLower(first(r.Header, "Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		zipped = true
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, protocol.Unimplemented, "Content-Encoding %.64q is not known here: send gzip or identity", encoding)
	}
	body, err := h.receive(r.ContentLength, limit)
	if err == nil && zipped {
		body, err = h.inflate(body, limit)
	}
	if err != nil {
		return nil, bodyError(err, limit)
	}
	return body, nil
}

// receive reads what the request has, as it comes.
func (h *holding) receive(expected, limit int64) ([]byte, error) {
	body, err := h.read(h, expected, limit)
	h.writer = nil
	if h.pace != nil && !h.pace.end() && err == nil {
		err = os.ErrDeadlineExceeded
	}
	return body, err
}

// inflate makes of what arrived the body that it stands for, and gives its room
// back. It waits for nobody: a few bytes on the wire can take much room, and whoever
// sent them must not have it for as long as he likes to be silent.
func (h *holding) inflate(zipped []byte, limit int64) ([]byte, error) {
	arrived := h.taken
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	body, err := h.read(z, int64(len(zipped)), limit)
	if err == nil {
		h.shrink(arrived)
	}
	return body, err
}

// holding is one body with the room that it takes for as long as anybody needs it.
// In its request it stands for the body that was read, so that calls find it.
type holding struct {
	io.ReadCloser                     // what the request had
	writer        http.ResponseWriter // its answer; nil: any pace will do
	room          *room               // nil: any
	source        bounded
	pace          *pace // nil until the body is longer than firstRead

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

// Read reads what the request has. Whoever has more room than firstRead must keep
// the pace.
func (h *holding) Read(p []byte) (int, error) {
	if h.pace == nil && h.writer != nil && h.taken > firstRead {
		h.pace = startPace(h.writer)
	}
	n, err := h.ReadCloser.Read(p)
	if h.pace != nil && !h.pace.count(n) {
		return n, os.ErrDeadlineExceeded
	}
	return n, err
}

// read reads all of source, into a buffer that doubles up to limit; expected is a
// hint that is believed up to firstRead.
func (h *holding) read(source io.Reader, expected, limit int64) ([]byte, error) {
	h.source = bounded{source, limit}
	defer func() { h.source = bounded{} }() // calls may be long, and it is of no use any more
	size := int64(firstRead)
	if expected >= 0 && expected < firstRead {
		size = expected + 1 // so that the end is seen without growing
	}
	if !h.grow(size - 1) { // no body takes no room
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

// grow takes n bytes more.
func (h *holding) grow(n int64) bool {
	if h.room != nil && n > 0 && !h.room.take(n) {
		return false
	}
	h.taken += n
	return true
}

// shrink gives n bytes back.
func (h *holding) shrink(n int64) {
	h.taken -= n
	if h.room != nil {
		h.room.give(n)
	}
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
