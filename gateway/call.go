package gateway

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// lastWord is how long a call whose time is up waits for the backend's own
// error, which knows the outcome.
const lastWord = 50 * time.Millisecond

// Call makes the call that m names for the HTTP request r, with all that r
// brings beside its body: its deadline and its end, the credential, tags, request
// id and forwarded headers. m is a request or a oneway; its own MetaData goes
// too, but for keys that begin with "sinew-", and wins over headers; its Timeout
// counts where it is the shortest. m is not changed. The reply is the caller's,
// its body as it arrived.
//
// Call returns when the time is up, whatever the backend does. The error is a
// *protocol.Error that knows its outcome; NotSent is one of the gateway's own.
// It may run concurrently, also for one r, as for the calls of a batch.
func (g *Gateway) Call(r *http.Request, m *protocol.Message) (*protocol.Message, error) {
	out := *m
	if err := g.admit(r, &out); err != nil {
		return nil, err
	}
	return g.send(r, &out)
}

// admit is what of Call comes before the request's body is read, so that nobody
// who is refused has room for one: it makes of m the message that send sends.
func (g *Gateway) admit(r *http.Request, m *protocol.Message) error {
	if err := g.checkNames(m.ServiceName, m.MethodName); err != nil {
		return err
	}
	return g.prepareCall(r, m)
}

// send makes the call of a message that was prepared, and is its own.
func (g *Gateway) send(r *http.Request, m *protocol.Message) (*protocol.Message, error) {
	ctx := r.Context()
	if m.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.Timeout)
		defer cancel()
	}
	return g.do(ctx, m, heldFor(r))
}

// CallJSON is Call for a body in JSON, with the reply's JSON inflated. Which
// serializer the provider's own clients use does not matter: the message says
// what its body is.
func (g *Gateway) CallJSON(r *http.Request, service, method string, body []byte) (*protocol.Message, error) {
	m, err := g.admitJSON(r, service, method)
	if err != nil {
		return nil, err
	}
	return g.sendJSON(r, m, body)
}

// admitJSON is admit for a call in JSON.
func (g *Gateway) admitJSON(r *http.Request, service, method string) (*protocol.Message, error) {
	m := &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, ServiceName: service, MethodName: method}}
	return m, g.admit(r, m)
}

// sendJSON sends what admitJSON made, with its body.
func (g *Gateway) sendJSON(r *http.Request, m *protocol.Message, body []byte) (*protocol.Message, error) {
	m.Body = body
	res, err := g.send(r, m)
	if err != nil {
		return nil, err
	}
	if res.SerializeType != protocol.SerializeTypeJSON {
		return nil, ran(protocol.Internal, "%.128s.%.128s answered %v to a request in JSON", m.ServiceName, m.MethodName, res.SerializeType)
	}
	if len(res.Body) == 0 { // of a client whose FailSafe swallowed a failure
		res.Body, res.CompressType = []byte("{}"), protocol.CompressTypeNone
	}
	if res.CompressType == protocol.CompressTypeNone {
		return res, nil
	}
	if res.Body, err = protocol.Inflate(res.CompressType, nil, res.Body, g.option.MaxMessageSize); err != nil {
		return nil, ran(protocol.Internal, "the reply of %.128s.%.128s: %w", m.ServiceName, m.MethodName, err)
	}
	res.CompressType = protocol.CompressTypeNone
	return res, nil
}

// ran is an error about a reply: the method answered.
func ran(code protocol.Code, format string, args ...any) error {
	return protocol.Errorf(code, format, args...).WithOutcome(protocol.Ran)
}

// Authorize tells whether Option.Authorize lets r see what stands beside the calls:
// nil, also where the gateway has no authoriser of its own, or the error to answer
// with.
func (g *Gateway) Authorize(r *http.Request) error {
	_, err := g.authorize(r, "")
	return err
}

// AuthorizeServices tells whether r may read what is said of all services: as
// Authorize says, or, where the gateway has no authoriser of its own, as providers
// do when they are asked for their services with what r brings. An answer that a
// client's FailSafe made up is a refusal. It may wait as a call does.
func (g *Gateway) AuthorizeServices(r *http.Request) error {
	if !g.providersAuthorize {
		return g.Authorize(r)
	}
	m := &protocol.Message{
		Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, ServiceName: introspection, MethodName: listing},
		Body:   []byte("{}"),
	}
	if err := g.prepareCall(r, m); err != nil {
		return err
	}
	res, err := g.send(r, m)
	switch {
	case protocol.CodeOf(err) == protocol.Unimplemented: // a backend that is none of ours
		return nil
	case err == nil && len(res.Body) == 0: // FailSafe swallowed a failure, which may be a refusal
		return notSent(protocol.Unavailable, "no provider says who may read of its services")
	}
	return err
}

// The method that every provider has, protocol.MethodServices.
const introspection, listing = "sinew.Introspect", "Services"

// prepareCall makes of m the message that goes to the backend.
func (g *Gateway) prepareCall(r *http.Request, m *protocol.Message) error {
	limit, err := timeoutOf(r.Header)
	if err != nil {
		return err
	}
	auth, err := g.authorize(r, m.ServiceName+"."+m.MethodName)
	if err != nil {
		return err
	}
	m.Timeout = shortest(limit, m.Timeout, g.option.RequestTimeout)
	m.StatusCode, m.Error = protocol.OK, ""
	m.MetaData, err = g.metadata(r, m.MetaData, auth)
	return err
}

// metadata returns what goes with the call.
func (g *Gateway) metadata(r *http.Request, own map[string]string, auth string) (map[string]string, error) {
	meta := make(map[string]string, 4+len(own))
	g.forward.incoming(r.Header, g.trusted, meta)
	for k, v := range own {
		if !strings.HasPrefix(k, protocol.MetaReserved) {
			meta[k] = v
		}
	}
	if auth != "" {
		meta[protocol.MetaAuth] = auth
	}
	if id := RequestID(r); id != "" {
		meta[protocol.MetaRequestID] = id
	}
	if err := protocol.CheckMeta(meta); err != nil {
		return nil, notSent(protocol.InvalidArgument, "%w", err)
	}
	return meta, nil
}

func (g *Gateway) authorize(r *http.Request, serviceMethod string) (string, error) {
	auth, err := g.option.Authorize(r, serviceMethod)
	if err == nil {
		return auth, nil
	}
	var e *protocol.Error
	if errors.As(err, &e) && e != nil {
		return "", e.WithOutcome(protocol.NotSent)
	}
	return "", notSent(protocol.Unauthenticated, "%w", err)
}

// shortest returns the least of those that are positive, 0 when none is.
func shortest(limits ...time.Duration) time.Duration {
	var least time.Duration
	for _, d := range limits {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

type answer struct {
	message *protocol.Message
	err     error
}

// do asks the backend on a goroutine of the gateway: a handler beside it that
// ignores its context must not keep the caller beyond its time. The body of m is
// part of held, for as long as the backend has it.
func (g *Gateway) do(ctx context.Context, m *protocol.Message, held *holding) (*protocol.Message, error) {
	if !g.begin() {
		return nil, protocol.Draining("the gateway is closed").WithOutcome(protocol.NotSent)
	}
	held.begin()
	answered := make(chan answer, 1)
	go func() {
		defer g.running.Done()
		growStack(0)
		message, err := g.ask(ctx, m, held)
		answered <- answer{message, err}
	}()
	select {
	case a := <-answered:
		return a.message, told(ctx, m, g.outward(m, a.err))
	case <-ctx.Done():
	}
	patience := time.NewTimer(lastWord)
	defer patience.Stop()
	select {
	case a := <-answered:
		return a.message, told(ctx, m, g.outward(m, a.err))
	case <-patience.C:
		return nil, ended(ctx, m).WithOutcome(protocol.MaybeRun)
	}
}

// callStack is what a call of a server beside the gateway has on its stack at most,
// as a rule, in bytes.
const callStack = 12 << 10

// growStack makes a young goroutine's stack large enough for a call at once. It
// would grow in several steps, in the midst of decoding, and each copies what is
// there by then: more than a quarter of the time of a small call.
//
//go:noinline
func growStack(i int) byte {
	var room [callStack]byte
	return room[i]
}

// told is what the caller hears of the backend's error: that its own time is up,
// where that is so, whatever a handler made of its context's end.
func told(ctx context.Context, m *protocol.Message, err error) error {
	if err == nil || !isOver(ctx) {
		return err
	}
	end := ended(ctx, m)
	if protocol.CodeOf(err) == end.Code {
		return err
	}
	return end.WithCause(err).WithOutcome(protocol.OutcomeOf(err))
}

// isOver tells that ctx has ended, or its deadline has passed: the backend's own
// timer may have been a moment earlier.
func isOver(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && !time.Now().Before(deadline)
}

// ended says how the caller's own context ended.
func ended(ctx context.Context, m *protocol.Message) *protocol.Error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return protocol.Errorf(protocol.DeadlineExceeded, "no answer within %v", m.Timeout)
	}
	return protocol.NewError(protocol.Canceled, "the caller left")
}

// ask calls the backend. A panic in it costs this call, not the process.
func (g *Gateway) ask(ctx context.Context, m *protocol.Message, held *holding) (out *protocol.Message, err error) {
	defer held.end()
	defer func() {
		if p := recover(); p != nil {
			log.Errorf("sinew: gateway: %.128q.%.128q panicked: %v\n%s", m.ServiceName, m.MethodName, p, debug.Stack())
			out, err = nil, protocol.NewError(protocol.Internal, "the backend panicked; the gateway's log has the stack")
		}
	}()
	out, err = g.backend.Do(ctx, m)
	if err == nil && out == nil {
		return nil, protocol.NewError(protocol.Internal, "the backend answered neither a message nor an error")
	}
	return out, err
}
