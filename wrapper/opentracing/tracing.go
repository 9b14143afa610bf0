package opentracing

import (
	"context"
	"strings"

	ot "github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/ext"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
)

// Tags beside OpenTracing's own: those of rpc are named as OpenTelemetry does.
const (
	TagSystem    = "rpc.system" // "sinew"
	TagService   = "rpc.service"
	TagMethod    = "rpc.method"
	TagCode      = "rpc.sinew.status_code" // the name of a protocol.Code
	TagOutcome   = "sinew.outcome"         // of a failed call or attempt: protocol.Outcome
	TagAttempt   = "sinew.attempt"         // client.Attempt.Number
	TagProvider  = "sinew.provider"        // the key of who was called
	TagRequestID = "sinew.request_id"      // where wrapper.RequestID gave one
)

const (
	component   = "sinew"
	attemptName = "sinew.attempt"
	unknownName = "sinew.unknown"
)

// Tracing makes spans of calls, attempts and requests. Put it outside of the
// wrappers whose time it should show, and inside of wrapper.RequestID.
//
// The spans of call and request are named "Service.Method", those of attempts
// "sinew.attempt"; component, span.kind, peer.address, peer.service and error
// are as OpenTracing specifies. A call that a gateway passes on and nobody knows is
// named "sinew.unknown": anybody can make up its name.
//
// The span of an attempt travels in the metadata, in the form that the tracer
// gives to a TextMap. What a metadata key or value cannot hold, as baggage in
// capitals or of several lines, travels encoded. Where it would not fit beside
// what the call carries, it is left out, and the span says so.
//
// A tracer that is opentracing.NoopTracer costs a call nothing but the Attempt
// that each client.AttemptWrapper costs.
type Tracing struct {
	server.BaseWrapper

	// Tracer makes the spans. The default is the global one of the time when a
	// client or server is made: set that before.
	Tracer ot.Tracer
}

var (
	_ client.Wrapper        = (*Tracing)(nil)
	_ client.AttemptWrapper = (*Tracing)(nil)
	_ server.Wrapper        = (*Tracing)(nil)
)

// tracer returns the tracer, nil for one that does nothing.
func (t *Tracing) tracer() ot.Tracer {
	tracer := t.Tracer
	if tracer == nil {
		tracer = ot.GlobalTracer()
	}
	if _, noop := tracer.(ot.NoopTracer); noop {
		return nil
	}
	return tracer
}

// WrapCall implements client.Wrapper.
func (t *Tracing) WrapCall(option *client.SGOption, next client.CallFunc) client.CallFunc {
	tracer := t.tracer()
	if tracer == nil {
		return next
	}
	app := ""
	if option != nil {
		app = option.AppKey
	}
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		span := tracer.StartSpan(serviceMethod, parentOf(ctx, tracer, req), ext.SpanKindRPCClient)
		describe(ctx, span, serviceMethod)
		if app != "" {
			ext.PeerService.Set(span, app)
		}
		m, raw := req.(*protocol.Message)
		if raw {
			m = supersede(tracer, span, m)
			req, ctx = m, context.WithValue(ctx, passedOnKey{}, loadOf(m.MetaData))
		}
		return during(span, true, func() error {
			err := next(ot.ContextWithSpan(ctx, span), serviceMethod, req, resp)
			if raw && isUnknown(err) {
				span.SetOperationName(unknownName)
			}
			return err
		})
	}
}

// WrapAttempt implements client.AttemptWrapper.
func (t *Tracing) WrapAttempt(option *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	tracer := t.tracer()
	if tracer == nil {
		return next
	}
	beside := loadOfAll(option)
	return func(ctx context.Context, a *client.Attempt) error {
		span := tracer.StartSpan(attemptName, childOf(ctx), ext.SpanKindRPCClient)
		describe(ctx, span, a.ServiceMethod)
		span.SetTag(TagAttempt, a.Number)
		span.SetTag(TagProvider, a.Provider.ProviderKey)
		ext.PeerAddress.Set(span, a.Provider.Addr)
		return during(span, true, func() error {
			return next(inject(ot.ContextWithSpan(ctx, span), tracer, span, beside), a)
		})
	}
}

// WrapHandleRequest implements server.Wrapper.
func (t *Tracing) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	tracer := t.tracer()
	if tracer == nil {
		return next
	}
	return func(ctx context.Context, req, res *protocol.Message) error {
		name := req.ServiceName + "." + req.MethodName
		span := tracer.StartSpan(name, causedBy(tracer, req), ext.SpanKindRPCServer)
		describe(ctx, span, name)
		if peer := server.PeerFrom(ctx); peer != nil {
			ext.PeerAddress.Set(span, peer.RemoteAddr().String())
		}
		return during(span, false, func() error {
			return next(ot.ContextWithSpan(ctx, span), req, res)
		})
	}
}

// parentOf refers to the span in ctx, or else to that which a message brings that
// is passed on for another.
func parentOf(ctx context.Context, tracer ot.Tracer, req any) ot.StartSpanOption {
	m, raw := req.(*protocol.Message)
	if !raw || ot.SpanFromContext(ctx) != nil {
		return childOf(ctx)
	}
	if cause := extract(tracer, m.MetaData); cause != nil {
		return ot.ChildOf(cause)
	}
	return ot.SpanReference{}
}

// childOf refers to the span in ctx, or to none.
func childOf(ctx context.Context) ot.StartSpanOption {
	if parent := ot.SpanFromContext(ctx); parent != nil {
		return ot.ChildOf(parent.Context())
	}
	return ot.SpanReference{} // of no context: it is ignored
}

// causedBy refers to the span that a request brought: its parent, or for a
// oneway, for which nobody waits, what it follows from.
func causedBy(tracer ot.Tracer, req *protocol.Message) ot.StartSpanOption {
	cause := extract(tracer, req.MetaData)
	switch {
	case cause == nil:
		return ot.SpanReference{}
	case req.MessageType == protocol.TypeOneway:
		return ot.FollowsFrom(cause)
	}
	return ot.ChildOf(cause)
}

// describe sets what is known before it runs.
func describe(ctx context.Context, span ot.Span, serviceMethod string) {
	ext.Component.Set(span, component)
	span.SetTag(TagSystem, component)
	if dot := strings.LastIndexByte(serviceMethod, '.'); dot >= 0 {
		span.SetTag(TagService, serviceMethod[:dot])
		span.SetTag(TagMethod, serviceMethod[dot+1:])
	}
	if id := wrapper.RequestIDFrom(ctx); id != "" {
		span.SetTag(TagRequestID, id)
	}
}

// isUnknown tells that nobody knew the method that was called.
func isUnknown(err error) bool {
	outcome := protocol.OutcomeOf(err)
	return protocol.CodeOf(err) == protocol.Unimplemented && (outcome == protocol.NotSent || outcome == protocol.Refused)
}

// during runs f, says on span what it came to, and finishes that, after a panic
// too.
func during(span ot.Span, outcome bool, f func() error) error {
	code := protocol.Internal
	defer func() {
		span.SetTag(TagCode, code.String())
		if code != protocol.OK {
			ext.Error.Set(span, true)
		}
		span.Finish()
	}()
	err := f()
	code = protocol.CodeOf(err)
	if err != nil {
		ext.LogError(span, err)
		if outcome {
			span.SetTag(TagOutcome, protocol.OutcomeOf(err).String())
		}
	}
	return err
}
