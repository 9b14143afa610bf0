package endpoint

import (
	"context"
	"errors"
	"maps"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// HandleFunc serves a request whose body is still encoded.
type HandleFunc func(ctx context.Context, req, res *protocol.Message) error

// Dispatcher serves the requests that arrive on sessions: it is their Handler.
// It does not change once a session uses it.
type Dispatcher struct {
	// Methods is what is served.
	Methods *Table
	// Chain is the server's wrappers round Serve; nil is Serve alone.
	Chain HandleFunc
	// Admission is asked for each request after the framework's own checks,
	// before the body is read, and counts what it refuses. May be nil.
	Admission func(ctx context.Context, h *protocol.Header, bodyLen int) error
	// OnHello is told on a worker what the peer says of itself. May be nil.
	OnHello func(s *transport.Session, h *protocol.Header)

	MaxElements       int // see protocol.Unmarshal
	MaxMessageSize    int // bytes, of an inflated request; 0 is the default of a frame
	CompressThreshold int // bytes; replies below travel as they are
	// CompressType is used for replies to requests that came uncompressed from
	// peers that announced it.
	CompressType protocol.CompressType
	// Room bounds what the requests of Do make of their bodies; those of sessions
	// have their session's. nil is no bound.
	Room *transport.Room

	// Stats counts what was not served. It is set by the dispatcher alone.
	Stats Stats

	sizes sizeHint
}

// Stats counts requests and oneways that led to no call of a method, and panics.
// Its fields may be read at any time.
type Stats struct {
	Unknown    atomic.Uint64 // no such service or method
	Unreadable atomic.Uint64 // serializer, compressor, metadata or body that cannot be used
	NoRoom     atomic.Uint64 // no room for what their body inflates to
	Expired    atomic.Uint64 // their time was up, or their caller had gone, before the method was entered
	Panics     atomic.Uint64 // of methods and wrappers
	// PanickedAdmits counts panics of Admission for calls that came over no session;
	// others are among a session's.
	PanickedAdmits atomic.Uint64
}

var _ transport.Handler = (*Dispatcher)(nil)

// Admit refuses what cannot be served, then asks Admission. Its ticket is the
// *Method.
func (d *Dispatcher) Admit(ctx context.Context, h *protocol.Header, bodyLen int) (ticket any, err error) {
	m, err := d.lookup(h)
	if err != nil {
		return nil, err
	}
	return m, d.admit(ctx, h, bodyLen)
}

func (d *Dispatcher) admit(ctx context.Context, h *protocol.Header, bodyLen int) error {
	if err := readable(h); err != nil {
		d.Stats.Unreadable.Add(1)
		return err
	}
	if d.Admission != nil || d.Chain != nil { // these see the map itself
		h.OwnMeta()
	}
	if d.Admission == nil {
		return nil
	}
	return d.Admission(ctx, h, bodyLen)
}

// readable says what in a header makes its request one that cannot be read.
func readable(h *protocol.Header) error {
	if _, ok := protocol.SerializerOf(h.SerializeType); !ok {
		return unreadable(h)
	}
	if h.CompressType != protocol.CompressTypeNone {
		if _, ok := protocol.CompressorOf(h.CompressType); !ok {
			return unreadable(h)
		}
	}
	if h.MetaTooLarge() {
		return unreadable(h)
	}
	return nil
}

// unreadable is readable's error. It is kept out of readable's frame, the deepest
// on the stack of a connection's reader: that is most of what an idle one costs.
//
//go:noinline
func unreadable(h *protocol.Header) error {
	if _, ok := protocol.SerializerOf(h.SerializeType); !ok {
		return protocol.Errorf(protocol.Unimplemented, "serializer %d is not known here", h.SerializeType)
	}
	if _, ok := protocol.CompressorOf(h.CompressType); !ok && h.CompressType != protocol.CompressTypeNone {
		return protocol.Errorf(protocol.Unimplemented, "compressor %d is not known here", h.CompressType)
	}
	return protocol.Errorf(protocol.InvalidArgument, "metadata of %d bytes; at most %d are taken", protocol.MetaSize(h.MetaData), protocol.MaxMetaSize)
}

func (d *Dispatcher) lookup(h *protocol.Header) (*Method, error) {
	m, state := d.Methods.Lookup(h.ServiceName, h.MethodName)
	switch state {
	case UnknownService:
		d.Stats.Unknown.Add(1)
		return nil, protocol.Errorf(protocol.Unimplemented, "unknown service %.128q", h.ServiceName)
	case UnknownMethod:
		d.Stats.Unknown.Add(1)
		return nil, protocol.Errorf(protocol.Unimplemented, "unknown method %s", transport.Quote(h.ServiceName, h.MethodName))
	}
	return m, nil
}

// Hello passes the peer's hello on.
func (d *Dispatcher) Hello(s *transport.Session, h *protocol.Header) {
	if d.OnHello != nil {
		d.OnHello(s, h)
	}
}

// task is one request being served: its context, its messages and what the
// session has to know, in one allocation.
type task struct {
	Context
	d       *Dispatcher
	method  *Method // that was admitted
	seq     uint64
	req     protocol.Message
	body    *transport.Buffer // of req
	reply   *transport.Buffer // of the response, as Serve encoded it
	held    int               // bytes of room for what was inflated
	entered bool              // the method was entered: only Serve says so
	replied bool              // answer was reached
}

var _ transport.Task = (*task)(nil)

// Accept makes the task of an admitted request.
func (d *Dispatcher) Accept(s *transport.Session, h *protocol.Header, ticket any, body *transport.Buffer, deadline time.Time) transport.Task {
	t := &task{d: d, method: ticket.(*Method), seq: h.Seq, body: body}
	t.req = protocol.Message{Header: *h, Body: body.B}
	t.Context.parent, t.Context.session = context.Background(), s
	t.Context.deadline, t.Context.task = deadline, t
	return t
}

// Oneway reports whether nobody waits for the answer.
func (t *task) Oneway() bool { return t.req.MessageType == protocol.TypeOneway }

// Cancel ends the request's context.
func (t *task) Cancel(error) { t.Context.Cancel(context.Canceled) }

// Run serves the request and answers it. Where no wrapper can keep it, the
// response is no allocation of its own.
func (t *task) Run() {
	watch := t.startWatch()
	defer t.leave(watch)
	if t.d.Chain != nil {
		res := t.response()
		err := t.handle(&res)
		t.answer(&res, err, watch)
	} else {
		res := t.response()
		err := t.handlePlain(&res)
		t.answer(&res, err, watch)
	}
}

// leave ends the request's context, and answers where a method or wrapper has ended its
// goroutine instead of returning.
func (t *task) leave(watch time.Duration) {
	if !t.replied {
		res := t.response()
		t.answer(&res, t.fled(), watch)
	}
	t.Context.End()
}

// fled is what the caller is told of a method that called runtime.Goexit.
func (t *task) fled() error {
	name := transport.Quote(t.req.ServiceName, t.req.MethodName)
	log.Errorf("sinew: %s ended its goroutine, as runtime.Goexit and the FailNow of a test do", name)
	return protocol.Errorf(protocol.Internal, "%s did not return", name)
}

// response is the response as the chain finds it.
func (t *task) response() protocol.Message {
	return protocol.Message{Header: protocol.Header{Seq: t.seq, MessageType: protocol.TypeResponse, SerializeType: t.req.SerializeType}}
}

// handle runs the chain.
func (t *task) handle(res *protocol.Message) (err error) {
	defer t.contain(&err)
	if t.d.Chain == nil {
		return t.handlePlain(res)
	}
	if err := t.Context.Err(); err != nil {
		return t.d.expired(err)
	}
	return t.d.Chain(&t.Context, &t.req, res)
}

// handlePlain is handle for a chain without wrappers.
func (t *task) handlePlain(res *protocol.Message) (err error) {
	defer t.contain(&err)
	if err := t.Context.Err(); err != nil {
		return t.d.expired(err)
	}
	return t.d.Serve(&t.Context, &t.req, res)
}

// expired is the answer to a request whose caller waits no more: it is dropped
// before it runs.
func (d *Dispatcher) expired(err error) error {
	d.Stats.Expired.Add(1)
	if errors.Is(err, context.DeadlineExceeded) {
		return protocol.NewError(protocol.DeadlineExceeded, "the deadline passed before the method was entered")
	}
	return protocol.NewError(protocol.Canceled, "cancelled before the method was entered")
}

// contain makes a panic this call's alone.
func (t *task) contain(err *error) {
	if p := recover(); p != nil {
		t.d.Stats.Panics.Add(1)
		name := transport.Quote(t.req.ServiceName, t.req.MethodName)
		log.Errorf("sinew: %s panicked: %v\n%s", name, p, debug.Stack())
		*err = protocol.Errorf(protocol.Internal, "%s panicked; the server's log has the stack", name)
	}
}

// Serve is the end of the chain: decode, method, encode.
func (d *Dispatcher) Serve(ctx context.Context, req, res *protocol.Message) error {
	t := taskOf(ctx)
	if t == nil { // whether the method was entered would not be known
		return protocol.NewError(protocol.Internal, "a wrapper passed on a context that does not derive from the one it was given")
	}
	m := t.method
	if m.Name != req.MethodName || m.Service != req.ServiceName { // a wrapper sent it elsewhere
		var err error
		if m, err = d.lookup(&req.Header); err != nil {
			return err
		}
	}
	args := m.NewRequest()
	if err := t.unmarshal(req, args); err != nil {
		return d.unreadableBody(m, err)
	}
	var reply any
	if m.NeedsReply() {
		reply = m.NewReply()
	}
	if d.Chain != nil { // wrappers may have taken their time
		if err := ctx.Err(); err != nil {
			return d.expired(err)
		}
	}
	t.entered = true
	reply, err := m.Call(ctx, args, reply)
	if err != nil || req.MessageType == protocol.TypeOneway {
		return err
	}
	body := d.sizes.lend()
	if body.B, err = protocol.Marshal(res.SerializeType, body.B, reply); err != nil {
		body.Release()
		return protocol.Errorf(protocol.Internal, "%s: the reply cannot be encoded: %w", m.FullName(), err)
	}
	d.sizes.learn(len(body.B))
	res.Body, t.reply = body.B, body
	return nil
}

// taskOf returns the task that ctx belongs to, nil where it is of none.
func taskOf(ctx context.Context) *task {
	c, ok := ctx.(*Context)
	if !ok {
		if c = Incoming(ctx); c == nil {
			return nil
		}
	}
	return c.task
}

// unreadableBody is the refusal of a request whose body came to err, and counts it.
func (d *Dispatcher) unreadableBody(m *Method, err error) error {
	if errors.Is(err, errNoRoom) {
		d.Stats.NoRoom.Add(1)
		refusal := protocol.Errorf(protocol.ResourceExhausted, "%s: %w", m.FullName(), err)
		refusal.Elsewhere = true
		return refusal
	}
	d.Stats.Unreadable.Add(1)
	return decodeError(m, err)
}

func decodeError(m *Method, err error) error {
	code := protocol.InvalidArgument
	switch {
	case errors.Is(err, protocol.ErrInflatedTooLarge), errors.Is(err, protocol.ErrTooManyElements):
		code = protocol.ResourceExhausted
	case errors.Is(err, protocol.ErrUnknownSerializer), errors.Is(err, protocol.ErrUnknownCompressor):
		code = protocol.Unimplemented
	}
	return protocol.Errorf(code, "%s: %w", m.FullName(), err)
}

// answer sends what the chain came to. It stops the watch when that is ready to be
// sent.
func (t *task) answer(res *protocol.Message, err error, watch time.Duration) {
	t.replied = true
	if t.Oneway() {
		t.stopWatch(watch)
		if err != nil {
			log.Warningf("sinew: oneway %s failed: %v", transport.Quote(t.req.ServiceName, t.req.MethodName), err)
		}
		t.reply.Release()
		t.body.Release()
		t.hold(0)
		t.session.Finish(t.seq)
		return
	}
	h := &res.Header
	h.Seq = t.seq // whatever a wrapper made of it
	body := t.reply
	if err != nil {
		body.Release()
		body = nil
		h.CompressType = protocol.CompressTypeNone
		h.MetaData = maps.Clone(h.MetaData) // the wrapper's, which it may share with other calls
		protocol.ToResponse(h, err, !t.entered)
	} else {
		h.StatusCode, h.Error, h.Flags = protocol.OK, "", 0
		body = t.replyBody(res)
	}
	t.body.Release() // before the answer goes out, which may wait for a peer that reads slowly
	t.hold(0)
	if meta := t.takeReplyMeta(); meta != nil {
		h.MetaData = mergeMeta(h.MetaData, meta)
	}
	t.stopWatch(watch)
	if err := t.session.Reply(h, body); err != nil && bool(log.V(1)) {
		log.V(1).Infof("sinew: the answer to %s was lost: %v", transport.Quote(t.req.ServiceName, t.req.MethodName), err)
	}
}

// replyBody returns the reply's body, as Serve encoded it or as a wrapper
// replaced it, compressed where the caller can read that.
func (t *task) replyBody(res *protocol.Message) *transport.Buffer {
	body := t.reply
	if body == nil || len(res.Body) != len(body.B) || (len(body.B) > 0 && &res.Body[0] != &body.B[0]) {
		replaced := transport.NewBuffer(len(res.Body))
		replaced.B = append(replaced.B, res.Body...)
		body.Release()
		body = replaced
	}
	h := &res.Header
	if h.CompressType != protocol.CompressTypeNone || len(body.B) < t.d.CompressThreshold {
		return body
	}
	with := t.compressor()
	if with == protocol.CompressTypeNone {
		return body
	}
	small, err := compress(with, body)
	if err != nil {
		log.Errorf("sinew: %s: the reply goes uncompressed: %v", transport.Quote(t.req.ServiceName, t.req.MethodName), err)
		return body
	}
	if small != body {
		h.CompressType = with
	}
	return small
}

// compressor is the request's own, or one that the peer announced.
func (t *task) compressor() protocol.CompressType {
	if t.req.CompressType != protocol.CompressTypeNone {
		return t.req.CompressType
	}
	own := t.d.CompressType
	if own != protocol.CompressTypeNone && t.session.PeerAccepts(protocol.CompressorName(own)) {
		return own
	}
	return protocol.CompressTypeNone
}

func mergeMeta(a, b map[string]string) map[string]string {
	if len(a) == 0 {
		return b
	}
	merged := make(map[string]string, len(a)+len(b))
	for k, v := range a {
		merged[k] = v
	}
	for k, v := range b {
		merged[k] = v
	}
	return merged
}
