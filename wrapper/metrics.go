package wrapper

import (
	"context"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Recorder keeps what Metrics measures. wrapper/prometheus has one; another
// library needs these two methods, and should not allocate in them nor in the
// Meters. All may run concurrently.
type Recorder interface {
	// InFlight is told 1 when something begins and -1 when it ends.
	InFlight(kind Kind, change int)
	// Meter returns what the measurements of a series go to. It is asked when a
	// series begins, for few series in all, and may be asked for one again: its
	// Meters for one series count together.
	Meter(s Series) Meter
}

// Meter takes the measurements of one series.
type Meter interface {
	// Measured is told of each end: protocol.OK or why it failed, and how long
	// it took.
	Measured(code protocol.Code, took time.Duration)
}

// Kind is what is measured.
type Kind uint8

const (
	// Call is a call of a client, however many attempts it took.
	Call Kind = iota
	// Attempt is one try of a call at one provider.
	Attempt
	// Request is a request that a server admitted.
	Request
)

// Kinds is how many kinds there are.
const Kinds = 3

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Call:
		return "call"
	case Attempt:
		return "attempt"
	case Request:
		return "request"
	}
	return "unknown"
}

// Other stands in each name of the series that takes what is not kept apart.
const Other = "other"

// Series is what measurements are told apart by.
type Series struct {
	Kind            Kind
	Service, Method string
	// Provider is the key of who was called, for attempts that are kept apart
	// by it; else empty.
	Provider string
}

// DefaultMaxSeries is how many series Metrics and AttemptMetrics keep apart.
const DefaultMaxSeries = 512

// Metrics tells a Recorder of every call and every request: how many are in
// flight, what they came to, and how long they took. It allocates nothing for a
// call.
//
// The names that it reports are bounded, whatever callers call: a server's
// wrappers see none but registered methods, and on a client a name has a series
// of its own once a provider has answered a call of it. All else is in Other:
// oneways too, which nobody answers, until then. A FailSafe client's calls of names
// without a series of their own do cost allocations.
//
// A request that a server refuses before its wrappers run, by Admit among other
// things, is in server.Stats and not here.
type Metrics struct {
	server.BaseWrapper

	// Recorder keeps the measurements. With none, Metrics does nothing.
	Recorder Recorder
	// MaxSeries bounds the methods told apart on each side. The default is
	// DefaultMaxSeries; negative is no bound.
	MaxSeries int

	calls    meters[string] // by "Service.Method"
	requests meters[requestName]
}

// requestName is a request's Service and Method, as they stand in its header.
type requestName struct{ service, method string }

var (
	_ client.Wrapper = (*Metrics)(nil)
	_ server.Wrapper = (*Metrics)(nil)
)

// WrapCall implements client.Wrapper.
func (m *Metrics) WrapCall(option *client.SGOption, next client.CallFunc) client.CallFunc {
	if m.Recorder == nil {
		return next
	}
	safe := option != nil && option.FailMode == client.FailSafe
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		var swallowed *client.Swallowed
		if safe && !m.calls.have(serviceMethod) {
			ctx, swallowed = client.WithSwallowed(ctx)
		}
		d := measure(m.Recorder, Call)
		defer m.endCall(serviceMethod, &d)
		err := next(ctx, serviceMethod, req, resp)
		d.outcome(err)
		d.known = d.known && resp != client.Oneway && ran(swallowed.Err())
		return err
	}
}

func (m *Metrics) endCall(serviceMethod string, d *measurement) {
	d.end(m.Recorder, Call, m.calls.of(m.Recorder, m.MaxSeries, serviceMethod, seriesOfCall, d.known))
}

func seriesOfCall(serviceMethod string) Series {
	service, method := split(serviceMethod)
	return Series{Kind: Call, Service: service, Method: method}
}

// WrapHandleRequest implements server.Wrapper.
func (m *Metrics) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	if m.Recorder == nil {
		return next
	}
	return func(ctx context.Context, req, res *protocol.Message) error {
		name := requestName{req.ServiceName, req.MethodName} // wrappers may change the message
		d := measure(m.Recorder, Request)
		defer m.endRequest(name, &d)
		err := next(ctx, req, res)
		d.outcome(err)
		return err
	}
}

func (m *Metrics) endRequest(name requestName, d *measurement) {
	d.end(m.Recorder, Request, m.requests.of(m.Recorder, m.MaxSeries, name, seriesOfRequest, true))
}

func seriesOfRequest(n requestName) Series {
	return Series{Kind: Request, Service: n.service, Method: n.method}
}

// AttemptMetrics is Metrics for the attempts of calls, beside or without it. It
// makes each attempt cost one allocation, as every client.AttemptWrapper does.
type AttemptMetrics struct {
	// Recorder keeps the measurements. With none, AttemptMetrics does nothing.
	Recorder Recorder
	// PerProvider keeps the providers of a method apart, too. Where providers
	// come and go, MaxSeries is reached in time, and newer ones are in Other.
	PerProvider bool
	// MaxSeries bounds what is told apart. The default is DefaultMaxSeries;
	// negative is no bound.
	MaxSeries int

	attempts meters[Series]
}

var (
	_ client.Wrapper        = (*AttemptMetrics)(nil)
	_ client.AttemptWrapper = (*AttemptMetrics)(nil)
)

// WrapCall returns next.
func (*AttemptMetrics) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return next
}

// WrapAttempt implements client.AttemptWrapper.
func (m *AttemptMetrics) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	if m.Recorder == nil {
		return next
	}
	return func(ctx context.Context, a *client.Attempt) error {
		service, method := split(a.ServiceMethod)
		s := Series{Kind: Attempt, Service: service, Method: method}
		if m.PerProvider {
			s.Provider = a.Provider.ProviderKey
		}
		d := measure(m.Recorder, Attempt)
		defer m.endAttempt(s, &d)
		err := next(ctx, a)
		d.outcome(err)
		d.known = d.known && !a.IsOneway()
		return err
	}
}

func (m *AttemptMetrics) endAttempt(s Series, d *measurement) {
	d.end(m.Recorder, Attempt, m.attempts.of(m.Recorder, m.MaxSeries, s, seriesItself, d.known))
}

func seriesItself(s Series) Series { return s }

// measurement is one call, attempt or request from its beginning to its end. It
// lives on the stack.
type measurement struct {
	begun time.Duration // since epoch
	code  protocol.Code
	known bool // the method exists
}

// epoch is what the monotonic clock is read against: that alone costs half of
// what time.Now does.
var epoch = time.Now()

func measure(r Recorder, k Kind) measurement {
	r.InFlight(k, 1)
	return measurement{begun: time.Since(epoch), code: protocol.Internal} // a panic comes past without an outcome
}

// outcome notes what it came to.
func (d *measurement) outcome(err error) {
	d.code, d.known = protocol.CodeOf(err), ran(err)
}

// ran reports whether what ended with err, which may be nil, says that its method
// exists.
func ran(err error) bool { return protocol.OutcomeOf(err) == protocol.Ran }

// end reports it, after a panic too.
func (d *measurement) end(r Recorder, k Kind, m Meter) {
	m.Measured(d.code, time.Since(epoch)-d.begun)
	r.InFlight(k, -1)
}

// split returns the two parts of "Service.Method".
func split(serviceMethod string) (service, method string) {
	dot := strings.LastIndexByte(serviceMethod, '.')
	if dot < 0 {
		return "", serviceMethod
	}
	return serviceMethod[:dot], serviceMethod[dot+1:]
}
