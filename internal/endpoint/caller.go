package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

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

	sizes sizeHint
}

// oneway is the type of Oneway.
type oneway struct{}

// Oneway stands in for the reply of a call that wants none.
var Oneway any = oneway{}

// Call calls service.method over s with req, and decodes the reply into resp.
// resp may be nil to ignore it, Oneway to want none, and *protocol.Message
// together with a *protocol.Message as req for bodies that are encoded already.
// The reply's metadata is stored in replyMeta unless that is nil. The error is
// a *protocol.Error.
func (c *Caller) Call(ctx context.Context, s *transport.Session, service, method string, req, resp any, replyMeta *map[string]string) error {
	return c.CallWith(ctx, s, nil, service, method, req, resp, replyMeta)
}

// CallWith is Call with metadata of this call alone, keys of the framework
// included. extra is not changed.
func (c *Caller) CallWith(ctx context.Context, s *transport.Session, extra map[string]string, service, method string, req, resp any, replyMeta *map[string]string) error {
	h := protocol.Header{
		MessageType:   protocol.TypeRequest,
		SerializeType: c.SerializeType,
		ServiceName:   service,
		MethodName:    method,
	}
	if resp == Oneway {
		h.MessageType = protocol.TypeOneway
	}
	body, err := c.encode(ctx, &h, extra, req)
	if err != nil {
		return err
	}
	wait, deadline := waitOn(ctx)
	reply, callErr := s.RoundTrip(wait, deadline, &h, body)
	if callErr != nil {
		return c.explain(ctx, &h, callErr)
	}
	if held, ok := resp.(*Held); ok {
		return held.keep(c, &h, reply)
	}
	defer reply.Release()
	if h.MessageType == protocol.TypeOneway {
		return nil
	}
	if err := protocol.FromResponse(&reply.Header); err != nil {
		return err
	}
	if replyMeta != nil {
		*replyMeta = reply.Header.MetaData
	}
	return c.decode(&h, reply, resp)
}

// encode makes the body and completes the header.
func (c *Caller) encode(ctx context.Context, h *protocol.Header, extra map[string]string, req any) (*transport.Buffer, error) {
	meta, err := protocol.SharedOutgoingMeta(ctx)
	if err != nil {
		return nil, err
	}
	h.MetaData = c.merge(meta)
	if len(extra) > 0 {
		h.MetaData = mergeMeta(h.MetaData, extra)
	}
	if m, ok := req.(*protocol.Message); ok {
		return c.encodeMessage(h, m)
	}
	body := c.sizes.lend()
	if body.B, err = protocol.Marshal(h.SerializeType, body.B, req); err != nil {
		body.Release()
		return nil, protocol.Errorf(protocol.InvalidArgument, "%s: the request cannot be encoded: %w", fullName(h), err).WithOutcome(protocol.NotSent)
	}
	c.sizes.learn(len(body.B))
	return c.compress(h, body)
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
	merged := maps.Clone(c.Meta)
	maps.Copy(merged, meta)
	return merged
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
	if v := reflect.ValueOf(resp); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero() // half a reply is worse than none
	}
	code := protocol.Internal
	if errors.Is(err, protocol.ErrInflatedTooLarge) {
		code = protocol.ResourceExhausted
	}
	return protocol.Errorf(code, "%s: the method ran, but its reply cannot be read: %w", fullName(h), err).WithOutcome(protocol.Ran)
}

// explain says which limit ended the call.
func (c *Caller) explain(ctx context.Context, h *protocol.Header, err error) error {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return protocol.Errorf(protocol.Internal, "%s: %w", fullName(h), err)
	}
	text := e.Message
	if e.Code == protocol.DeadlineExceeded {
		text = LimitText(ctx)
	}
	explained := *e
	explained.Message = fullName(h) + ": " + text
	return &explained
}

func fullName(h *protocol.Header) string {
	return fmt.Sprintf("%.64s.%.64s", h.ServiceName, h.MethodName)
}
