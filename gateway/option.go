package gateway

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// What zero stands for in an Option.
const (
	DefaultRequestTimeout   = 30 * time.Second
	DefaultMaxBytesInFlight = 64 << 20 // bytes
	DefaultCompressMin      = 1 << 10  // bytes
)

// AuthorizeFunc decides with which credential the call of r is made: what it
// returns travels as "sinew-auth"; empty sends none. One that cannot travel (CR, LF,
// NUL, or longer than metadata may be) fails the call with InvalidArgument, NotSent,
// and is not shown: often it is the caller's, passed on. Its error refuses the call: a
// *protocol.Error keeps its code, any other becomes Unauthenticated with its text.
// serviceMethod is "Service.Method", or empty for a document about all services. It
// may wait, with r's context, and runs concurrently. It is asked once for each call,
// before r.Body is read, which it leaves alone; only where the body says what is
// called, in JSON-RPC, is the body read before.
type AuthorizeFunc func(r *http.Request, serviceMethod string) (auth string, err error)

// Option is how a gateway behaves. The zero value is a good one: in each field
// zero stands for the default, and in a duration or count a negative value
// switches the thing off. New copies it.
type Option struct {
	// Headers names the request headers that go in as metadata, under their name
	// in lower case. A name that ends in "*" stands for all that begin so. The
	// default, nil, is DefaultHeaders; an empty slice is none. Authorization,
	// Sinew-Tag-<key> and X-Request-Id have rules of their own and pass always;
	// names that begin with "sinew-" and those of one hop never do. What stands for
	// a header that is named beside DefaultHeaders comes from that header alone, and
	// always: the metadata of a request to the header bridge cannot say it, and
	// Connection, which the caller writes too, does not take it out.
	Headers []string

	// Authorize decides with which credential a call is made. The default
	// passes on what the caller brought in Authorization, without a leading
	// "Bearer ", or none.
	Authorize AuthorizeFunc

	// Internal lets services whose names begin with "sinew." be called.
	Internal bool

	// ErrorDetails tells callers all that the backend says of a call that failed:
	// which providers were tried, at which addresses, and what became of each. The
	// default tells what a provider said, and of what a client of many found out
	// itself the code with a few words; the rest is logged at V(2). A handler that
	// returns the error of a call of its own says what that says.
	ErrorDetails bool

	// RequestTimeout bounds every call; a caller may ask for less, by
	// Connect-Timeout-Ms or Timeout. The default is 30 s; negative is none.
	RequestTimeout time.Duration

	// MaxMessageSize bounds the body of a request and of a reply, in bytes,
	// before and after compression. The default is 16 MiB; it cannot be
	// switched off.
	MaxMessageSize int

	// MaxBytesInFlight bounds the request bodies held at one time, in bytes,
	// counted as they arrive, and until their calls have ended: a handler beside
	// the gateway that does not heed its context holds its body beyond the answer.
	// The default is 64 MiB; negative is any number.
	MaxBytesInFlight int64

	// CompressMin is the size of a JSON reply, in bytes, from which it is
	// compressed for a caller that takes gzip. The default is 1 KiB; negative
	// compresses nothing.
	CompressMin int
}

// DefaultHeaders returns the names that Option.Headers stands for when it is
// nil: those of trace context (W3C's, B3's, Jaeger's), a fresh slice.
func DefaultHeaders() []string {
	return []string{"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-*", "Uber-Trace-Id"}
}

// prepare returns a copy of o that is whole.
func (o *Option) prepare() (Option, error) {
	var p Option
	if o != nil {
		p = *o
	}
	if p.MaxMessageSize < 0 {
		return p, wrong("MaxMessageSize is %d: a body's size is always bounded, 0 is %d", p.MaxMessageSize, protocol.DefaultMaxMessageSize)
	}
	p.Headers = slices.Clone(p.Headers)
	if p.Headers == nil {
		p.Headers = DefaultHeaders()
	}
	p.RequestTimeout = max(0, cmp.Or(p.RequestTimeout, DefaultRequestTimeout))
	p.MaxMessageSize = cmp.Or(p.MaxMessageSize, protocol.DefaultMaxMessageSize)
	p.MaxBytesInFlight = orOff(p.MaxBytesInFlight, DefaultMaxBytesInFlight, math.MaxInt64)
	p.CompressMin = orOff(p.CompressMin, DefaultCompressMin, math.MaxInt)
	return p, nil
}

// orOff returns v, or byDefault for 0, or off for a negative one.
func orOff[T ~int | ~int64](v, byDefault, off T) T {
	switch {
	case v == 0:
		return byDefault
	case v < 0:
		return off
	}
	return v
}

// wrong is an error about a field of Option, with which the format begins.
func wrong(format string, args ...any) error {
	return fmt.Errorf("gateway: Option."+format, args...)
}
