package endpoint

import (
	"context"
	"maps"
	"runtime/debug"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Do serves a request that did not come on a session, as if it had: admission,
// chain, method. m is neither changed nor kept. The context of the handler ends
// with ctx, and with owner, and holds none of their values. The message is the caller's; it is
// empty for a oneway. The error is a *protocol.Error whose outcome is Refused or
// Ran.
func (d *Dispatcher) Do(ctx, owner context.Context, m *protocol.Message) (*protocol.Message, error) {
	t := &task{d: d, seq: m.Seq, req: *m}
	if d.Chain != nil || d.Admission != nil { // these may write to it
		t.req.MetaData = maps.Clone(m.MetaData)
	}
	t.Context.parent, t.Context.owner, t.Context.task = ctx, owner, t
	t.Context.deadline, _ = ctx.Deadline()
	if m.Timeout > 0 {
		if limit := time.Now().Add(m.Timeout); t.Context.deadline.IsZero() || limit.Before(t.Context.deadline) {
			t.Context.deadline = limit
		}
	}
	defer t.Context.End()
	defer t.hold(0)
	err := t.admitLocal()
	res := t.response()
	if err == nil {
		err = t.handle(&res)
	}
	return t.result(&res, err)
}

// admitLocal is Admit with a panic in it taken for a refusal of this call.
func (t *task) admitLocal() (err error) {
	m := &t.req
	defer func() {
		if p := recover(); p != nil {
			t.d.Stats.PanickedAdmits.Add(1)
			log.Errorf("sinew: admission of %s panicked: %v\n%s", transport.Quote(m.ServiceName, m.MethodName), p, debug.Stack())
			err = protocol.Errorf(protocol.Internal, "admission panicked: %v", p)
		}
	}()
	if t.method, err = t.d.lookup(&m.Header); err != nil {
		return err
	}
	return t.d.admit(&t.Context, &m.Header, len(m.Body))
}

// result is what the chain came to, as it would arrive over a session. Its metadata
// is nobody else's: what the wrappers and the context have may still be read.
func (t *task) result(res *protocol.Message, err error) (*protocol.Message, error) {
	defer t.reply.Release()
	h := protocol.Header{
		Seq:           t.seq,
		MessageType:   protocol.TypeResponse,
		SerializeType: t.req.SerializeType,
		MetaData:      maps.Clone(res.MetaData),
	}
	if err != nil {
		protocol.ToResponse(&h, err, !t.entered)
	}
	if meta := t.takeReplyMeta(); h.MetaData == nil {
		h.MetaData = maps.Clone(meta)
	} else {
		maps.Copy(h.MetaData, meta)
	}
	if err != nil {
		return nil, protocol.FromResponse(&h)
	}
	h.SerializeType, h.CompressType = res.SerializeType, res.CompressType
	return &protocol.Message{Header: h, Body: append([]byte(nil), res.Body...)}, nil
}
