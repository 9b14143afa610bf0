package endpoint

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Caller makes calls over sessions: it encodes, waits, and decodes on the
// goroutine of who calls. It does not change once in use.
type Caller struct {
	SerializeType     protocol.SerializeType
	CompressType      protocol.CompressType
	CompressThreshold int               // bytes; bodies below travel as they are
	MaxElements       int               // see protocol.Unmarshal
	MaxMessageSize    int               // bytes, of an inflated reply
	Meta              map[string]string // goes with every call, framework keys included
	// Owner is what the Contexts of Owned end with whose calls need not watch that:
	// who ends it ends the sessions first. nil is none.
	Owner context.Context

	sizes sizeHint
}

// oneway is the type of Oneway.
type oneway struct{}

// Oneway stands in for the reply of a call that wants none.
var Oneway any = oneway{}

// Exchange is one call to be made. A Caller does not change it.
type Exchange struct {
	Service, Method string
	// Req is encoded. Resp is what the reply is decoded into: nil to ignore it,
	// Oneway to want none. A *protocol.Message as Req and as Resp stands for a body
	// that is encoded already.
	Req, Resp any
	// Meta goes with this call alone, keys of the framework included.
	Meta map[string]string
	// ReplyMeta is where the reply's metadata is stored, unless it is nil.
	ReplyMeta *map[string]string

	limit    time.Duration // see Limit; 0: none
	deadline time.Time     // that limit makes
}

// Limit has x end after limit, as a context of Bound would, where that is before
// ctx does: for a call whose context nobody sees, so that it needs none of its own.
func (x *Exchange) Limit(ctx context.Context, limit time.Duration) {
	at := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && !at.Before(d) {
		return
	}
	x.limit, x.deadline = limit, at
}

// Within returns a context that ends as x does, or ctx where x has no limit. end
// must be called.
func (x *Exchange) Within(ctx context.Context) (_ context.Context, end func()) {
	if x.limit <= 0 {
		return ctx, func() {}
	}
	c := &Context{parent: ctx, deadline: x.deadline, limit: x.limit}
	return c, c.End
}

// Call is Make, with what an Exchange holds as its arguments. The error is a
// *protocol.Error.
func (c *Caller) Call(ctx context.Context, s *transport.Session, service, method string, req, resp any, replyMeta *map[string]string) error {
	return c.Make(ctx, s, &Exchange{Service: service, Method: method, Req: req, Resp: resp, ReplyMeta: replyMeta})
}

// Make makes the call x over s. The error is a *protocol.Error.
func (c *Caller) Make(ctx context.Context, s *transport.Session, x *Exchange) error {
	var h protocol.Header // no literal: that would be made beside it and copied
	h.MessageType, h.SerializeType = protocol.TypeRequest, c.SerializeType
	h.ServiceName, h.MethodName = x.Service, x.Method
	if x.Resp == Oneway {
		h.MessageType = protocol.TypeOneway
	}
	body, err := c.encode(ctx, &h, x)
	if err != nil {
		return err
	}
	wait, deadline := waitOn(ctx, c.Owner)
	if x.limit > 0 {
		deadline = x.deadline
	}
	reply, callErr := s.RoundTrip(wait, deadline, &h, body)
	if callErr != nil {
		return c.explain(ctx, &h, x, callErr)
	}
	if h.MessageType == protocol.TypeRequest && reply.Header.StatusCode != protocol.OK {
		defer reply.Release()
		if held, ok := x.Resp.(*Held); ok {
			held.Release() // of a call before, if someone made two
		}
		return c.failure(ctx, &h, x, deadline, &reply.Header)
	}
	if held, ok := x.Resp.(*Held); ok {
		held.keep(c, &h, reply)
		return nil
	}
	defer reply.Release()
	if h.MessageType == protocol.TypeOneway {
		return nil
	}
	if x.ReplyMeta != nil {
		*x.ReplyMeta = reply.Header.MetaData
	}
	return c.decode(&h, reply, x.Resp)
}

// encode makes the body and completes the header.
func (c *Caller) encode(ctx context.Context, h *protocol.Header, x *Exchange) (*transport.Buffer, error) {
	meta, err := protocol.SharedOutgoingMeta(ctx)
	if err != nil {
		return nil, err
	}
	h.MetaData = c.merge(meta)
	if len(x.Meta) > 0 {
		h.MetaData = mergeMeta(h.MetaData, x.Meta)
	}
	if m, ok := x.Req.(*protocol.Message); ok {
		return c.encodeMessage(h, m)
	}
	body := c.sizes.lend()
	if body.B, err = protocol.Marshal(h.SerializeType, body.B, x.Req); err != nil {
		body.Release()
		return nil, unencodable(h, err)
	}
	c.sizes.learn(len(body.B))
	return c.compress(h, body)
}

func unencodable(h *protocol.Header, err error) error {
	return protocol.Errorf(protocol.InvalidArgument, "%s: the request cannot be encoded: %w", fullName(h), err).WithOutcome(protocol.NotSent)
}

// encodeMessage takes the body of m as it is.
func (c *Caller) encodeMessage(h *protocol.Header, m *protocol.Message) (*transport.Buffer, error) {
	h.SerializeType, h.CompressType = m.SerializeType, m.CompressType
	if len(m.MetaData) > 0 {
		h.MetaData = mergeMeta(h.MetaData, m.MetaData)
		if err := protocol.CheckMeta(h.MetaData); err != nil {
			return nil, protocol.Errorf(protocol.InvalidArgument, "%s: %w", fullName(h), err).WithOutcome(protocol.NotSent)
		}
	}
	body := transport.NewBuffer(len(m.Body))
	body.B = append(body.B, m.Body...)
	return body, nil
}

// merge returns the caller's own metadata with that of one call over it. What
// the framework set cannot be overwritten: users cannot set its keys.
func (c *Caller) merge(meta map[string]string) map[string]string {
	switch {
	case len(meta) == 0:
		return c.Meta
	case len(c.Meta) == 0:
		return meta
	}
	return mergeMeta(c.Meta, meta)
}

// decode reads the reply into resp on the caller's goroutine.
func (c *Caller) decode(h *protocol.Header, reply *transport.Reply, resp any) error {
	if m, ok := resp.(*protocol.Message); ok {
		m.Header = reply.Header
		m.Body = append([]byte(nil), reply.Body...)
		return nil
	}
	if resp == nil {
		return nil
	}
	err := unmarshal(&reply.Header, reply.Body, resp, c.MaxMessageSize, c.MaxElements)
	if err == nil {
		return nil
	}
	return undecodable(h, resp, err)
}

// undecodable leaves nothing of a reply that could not be read whole.
func undecodable(h *protocol.Header, resp any, err error) error {
	if v := reflect.ValueOf(resp); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero() // half a reply is worse than none
	}
	code := protocol.Internal
	if errors.Is(err, protocol.ErrInflatedTooLarge) {
		code = protocol.ResourceExhausted
	}
	return protocol.Errorf(code, "%s: the method ran, but its reply cannot be read: %w", fullName(h), err).WithOutcome(protocol.Ran)
}

// failure returns the error that a response carries. A plain error that comes when
// the call's time is up is most likely that of the method's context, which has the
// same deadline: the call ended at its deadline then, whether its clock or the
// response was quicker.
func (c *Caller) failure(ctx context.Context, h *protocol.Header, x *Exchange, deadline time.Time, response *protocol.Header) error {
	err := protocol.FromResponse(response)
	if protocol.CodeOf(err) != protocol.Unknown || deadline.IsZero() || time.Until(deadline) > 0 {
		return err
	}
	late := protocol.NewError(protocol.DeadlineExceeded, "the deadline passed").WithCause(err).WithOutcome(protocol.Ran)
	return c.explain(ctx, h, x, late)
}

// explain says which limit ended the call.
func (c *Caller) explain(ctx context.Context, h *protocol.Header, x *Exchange, err error) error {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return protocol.Errorf(protocol.Internal, "%s: %w", fullName(h), err)
	}
	explained, text := *e, e.Message
	if e.Code == protocol.DeadlineExceeded {
		within, end := x.Within(ctx)
		text = LimitText(within)
		end()
		explained = *e.WithCause(&OutOfTime{Given: h.Timeout, cause: e.Unwrap()})
	}
	explained.Message = fullName(h) + ": " + text
	return &explained
}

func fullName(h *protocol.Header) string {
	return fmt.Sprintf("%.64s.%.64s", h.ServiceName, h.MethodName)
}
