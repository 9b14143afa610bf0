package opentracing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ot "github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/mocktracer"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/opentracing"
)

type Word struct{ Text string }

// relay is a server with these methods, each with tracing, and a client of it,
// whose calls begin a trace.
//
//	Relay.Echo     answers with the baggage item that it is asked for
//	Relay.Fail     fails
//	Relay.Panic    panics
//	Relay.Forward  calls Relay.Echo with its own context
type relay struct {
	tracer *mocktracer.MockTracer
	client client.SGClient
}

func startRelay(t *testing.T, more ...client.Wrapper) *relay {
	t.Helper()
	return startRelayCarrying(t, nil, more...)
}

// startRelayCarrying is startRelay with metadata for every call.
func startRelayCarrying(t *testing.T, meta map[string]string, more ...client.Wrapper) *relay {
	t.Helper()
	r := &relay{tracer: mocktracer.New()}
	traced := &opentracing.Tracing{Tracer: r.tracer}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{&wrapper.Recover{OnPanic: func(string, any, []byte) {}}, traced}})
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string]func(context.Context, *Word) (*Word, error){
		"Echo": func(ctx context.Context, req *Word) (*Word, error) {
			return &Word{ot.SpanFromContext(ctx).BaggageItem(req.Text)}, nil
		},
		"Fail":  func(context.Context, *Word) (*Word, error) { return nil, errors.New("out of paper") },
		"Panic": func(context.Context, *Word) (*Word, error) { panic("spilt ink") },
		"Forward": func(ctx context.Context, req *Word) (*Word, error) {
			return client.Invoke[Word](ctx, r.client, "Relay.Echo", req)
		},
	}
	for name, f := range handlers {
		if err := server.Handle(s, "Relay."+name, f); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "relay", nil) }()
	<-s.Listening()
	op := client.DefaultSGOption
	op.Mem, op.AllowLocal, op.AppKey, op.MetaData = network, true, "relays", meta
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{ProviderKey: "mem@relay", Network: "mem", Addr: "relay"})
	op.Wrappers = append(more, traced)
	if r.client, err = client.NewSGClient(op); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.client.Close()
		_ = s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	return r
}

// spans waits for n and returns them by what they are: "call", "attempt" and
// "request" with the name behind.
func (r *relay) spans(t *testing.T, n int) map[string]*mocktracer.MockSpan {
	t.Helper()
	synctest.Wait()
	finished := r.tracer.FinishedSpans()
	if len(finished) != n {
		t.Fatalf("%d spans, want %d:\n%v", len(finished), n, finished)
	}
	by := make(map[string]*mocktracer.MockSpan)
	for _, s := range finished {
		what := "call "
		switch {
		case s.OperationName == "sinew.attempt":
			what = "attempt "
		case tag(s, "span.kind") == "server":
			what = "request "
		}
		by[what+tag(s, "rpc.service")+"."+tag(s, "rpc.method")] = s
	}
	return by
}

func wantParent(t *testing.T, child, parent *mocktracer.MockSpan) {
	t.Helper()
	if child == nil || parent == nil {
		t.Fatalf("a span is missing: %v of %v", child, parent)
	}
	if child.ParentID != parent.SpanContext.SpanID || child.SpanContext.TraceID != parent.SpanContext.TraceID {
		t.Errorf("%v is no child of %v", child, parent)
	}
}

func wantTags(t *testing.T, s *mocktracer.MockSpan, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got := tag(s, k); got != v {
			t.Errorf("%s: tag %s is %q, want %q", s.OperationName, k, got, v)
		}
	}
}

// tag returns a tag as text, "" where it is not set.
func tag(s *mocktracer.MockSpan, key string) string {
	v := s.Tag(key)
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func TestACallIsOneTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t, &wrapper.RequestID{New: func() string { return "r-1" }})
		outer := r.tracer.StartSpan("outer")
		ctx := ot.ContextWithSpan(t.Context(), outer)
		if _, err := client.Invoke[Word](ctx, r.client, "Relay.Echo", &Word{}); err != nil {
			t.Fatal(err)
		}
		by := r.spans(t, 3)
		call, attempt, request := by["call Relay.Echo"], by["attempt Relay.Echo"], by["request Relay.Echo"]
		wantParent(t, call, outer.(*mocktracer.MockSpan))
		wantParent(t, attempt, call)
		wantParent(t, request, attempt)
		wantTags(t, call, map[string]string{
			"component": "sinew", "span.kind": "client", "peer.service": "relays", "rpc.system": "sinew",
			"rpc.service": "Relay", "rpc.method": "Echo", "rpc.sinew.status_code": "OK", "error": "", "sinew.request_id": "r-1",
		})
		wantTags(t, attempt, map[string]string{
			"span.kind": "client", "peer.address": "relay", "sinew.provider": "mem@relay", "sinew.attempt": "0", "sinew.request_id": "r-1",
		})
		wantTags(t, request, map[string]string{"component": "sinew", "span.kind": "server", "sinew.request_id": "r-1", "error": ""})
		if tag(request, "peer.address") == "" {
			t.Error("the request's span does not say who called")
		}
		if call.OperationName != "Relay.Echo" || request.OperationName != "Relay.Echo" {
			t.Errorf("named %q and %q", call.OperationName, request.OperationName)
		}
	})
}

func TestFailuresAreTagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		_, _ = client.Invoke[Word](t.Context(), r.client, "Relay.Fail", &Word{})
		_, _ = client.Invoke[Word](t.Context(), r.client, "Relay.Panic", &Word{})
		by := r.spans(t, 6)
		for _, what := range []string{"call", "attempt"} {
			wantTags(t, by[what+" Relay.Fail"], map[string]string{"error": "true", "rpc.sinew.status_code": "Unknown", "sinew.outcome": "Ran"})
			wantTags(t, by[what+" Relay.Panic"], map[string]string{"error": "true", "rpc.sinew.status_code": "Internal"})
		}
		wantTags(t, by["request Relay.Fail"], map[string]string{"error": "true", "rpc.sinew.status_code": "Unknown", "sinew.outcome": ""})
		wantTags(t, by["request Relay.Panic"], map[string]string{"error": "true", "rpc.sinew.status_code": "Internal"})
		logged := by["call Relay.Fail"].Logs()
		if len(logged) != 1 || !strings.Contains(logged[0].Fields[len(logged[0].Fields)-1].ValueString, "out of paper") {
			t.Errorf("logged %v", logged)
		}
	})
}

func TestCallsOfAHandlerAreItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		if _, err := client.Invoke[Word](t.Context(), r.client, "Relay.Forward", &Word{}); err != nil {
			t.Fatal(err)
		}
		by := r.spans(t, 6)
		wantParent(t, by["call Relay.Echo"], by["request Relay.Forward"])
		wantParent(t, by["request Relay.Echo"], by["attempt Relay.Echo"])
		if by["request Relay.Echo"].SpanContext.TraceID != by["call Relay.Forward"].SpanContext.TraceID {
			t.Error("two traces")
		}
	})
}

// A gateway passes on a message with the span of its own caller in it: the call
// is a child of that, and the request one of the call.
func TestMessagesThatArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		outer := r.tracer.StartSpan("outer")
		meta := make(ot.TextMapCarrier)
		if err := r.tracer.Inject(outer.Context(), ot.TextMap, meta); err != nil {
			t.Fatal(err)
		}
		meta["mine"] = "x"
		body, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, &Word{})
		if err != nil {
			t.Fatal(err)
		}
		before := maps.Clone(meta)
		m := &protocol.Message{Header: protocol.Header{ServiceName: "Relay", MethodName: "Echo", MetaData: meta}, Body: body}
		if _, err := r.client.Do(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		by := r.spans(t, 3)
		wantParent(t, by["call Relay.Echo"], outer.(*mocktracer.MockSpan))
		wantParent(t, by["attempt Relay.Echo"], by["call Relay.Echo"])
		wantParent(t, by["request Relay.Echo"], by["attempt Relay.Echo"])
		if !maps.Equal(meta, before) {
			t.Errorf("the message was changed to %v", meta)
		}
	})
}

// A request for which nobody waits follows from what sent it.
func TestOneways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		if err := r.client.Notify(t.Context(), "Relay.Echo", &Word{}); err != nil {
			t.Fatal(err)
		}
		by := r.spans(t, 3)
		wantParent(t, by["request Relay.Echo"], by["attempt Relay.Echo"])
	})
}

// Names that callers of a gateway make up name no spans.
func TestCallsThatNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		pass := func(method string) {
			header := protocol.Header{SerializeType: protocol.SerializeTypeJSON, ServiceName: "Relay", MethodName: method}
			_, _ = r.client.Do(t.Context(), &protocol.Message{Header: header, Body: []byte("{}")})
		}
		pass("Fail")
		pass("MadeUp")
		by := r.spans(t, 5) // the server has none of what it does not know
		if known := by["call Relay.Fail"]; known.OperationName != "Relay.Fail" {
			t.Errorf("a call is named %s", known.OperationName)
		}
		if unknown := by["call Relay.MadeUp"]; unknown.OperationName != "sinew.unknown" {
			t.Errorf("a call that nobody knows is named %s", unknown.OperationName)
		}
	})
}

// Baggage of any bytes arrives as it was.
func TestBaggageIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		for key, value := range map[string]string{
			"plain":       "yes",
			"ünï key":     "täxt",
			"lines":       "one\r\ntwo\x00three",
			"bytes":       "\xff\xfe\x00",
			"empty":       "",
			"ot-x-706f74": "not what it looks like",
		} {
			span := r.tracer.StartSpan("outer")
			span.SetBaggageItem(key, value)
			got, err := client.Invoke[Word](ot.ContextWithSpan(t.Context(), span), r.client, "Relay.Echo", &Word{key})
			if err != nil || got.Text != value {
				t.Errorf("%q arrived as %q, %v", value, got, err)
			}
		}
	})
}

// Baggage that does not fit costs the trace, not the call.
func TestBaggageThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRelay(t)
		span := r.tracer.StartSpan("outer")
		span.SetBaggageItem("book", strings.Repeat("x", 20<<10))
		if _, err := client.Invoke[Word](ot.ContextWithSpan(t.Context(), span), r.client, "Relay.Echo", &Word{}); err != nil {
			t.Fatal(err)
		}
		by := r.spans(t, 3)
		if by["request Relay.Echo"].SpanContext.TraceID == span.(*mocktracer.MockSpan).SpanContext.TraceID {
			t.Error("it travelled after all")
		}
		if logs := by["attempt Relay.Echo"].Logs(); len(logs) != 1 || !strings.Contains(logs[0].Fields[0].ValueString, "does not travel") {
			t.Errorf("the span says %v", logs)
		}
	})
}

// Whatever brings the metadata, a call that fits without its span is made without.
func TestASpanThatDoesNotFitBesideWhatACallBrings(t *testing.T) {
	large := map[string]string{"x-large": strings.Repeat("x", 16_350)}
	t.Run("a message's own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := startRelay(t)
			m := &protocol.Message{
				Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, ServiceName: "Relay", MethodName: "Echo", MetaData: large},
				Body:   []byte("{}"),
			}
			if _, err := r.client.Do(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if logs := r.spans(t, 3)["attempt Relay.Echo"].Logs(); len(logs) != 1 || !strings.Contains(logs[0].Fields[0].ValueString, "does not travel") {
				t.Errorf("the span says %v", logs)
			}
		})
	})
	t.Run("an option's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := startRelayCarrying(t, large)
			if _, err := client.Invoke[Word](t.Context(), r.client, "Relay.Echo", &Word{}); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// A large token leaves room for the trace, where it does.
func TestASpanBesideALargeToken(t *testing.T) {
	for size, fits := range map[int]bool{12_600: true, 15_000: true, 16_320: false} {
		synctest.Test(t, func(t *testing.T) {
			r := startRelay(t)
			m := &protocol.Message{
				Header: protocol.Header{
					SerializeType: protocol.SerializeTypeJSON, ServiceName: "Relay", MethodName: "Echo",
					MetaData: map[string]string{protocol.MetaAuth: strings.Repeat("x", size)},
				},
				Body: []byte("{}"),
			}
			span := r.tracer.StartSpan("outer")
			if _, err := r.client.Do(ot.ContextWithSpan(t.Context(), span), m); err != nil {
				t.Fatal(err)
			}
			if trace := r.spans(t, 3)["request Relay.Echo"].SpanContext.TraceID; (trace == span.(*mocktracer.MockSpan).SpanContext.TraceID) != fits {
				t.Errorf("a token of %d bytes: the trace travelled: %v", size, !fits)
			}
		})
	}
}

// What a client adds to each call of its own counts.
func TestASpanBesideWhatAClientAdds(t *testing.T) {
	large := strings.Repeat("x", 16_320)
	for name, option := range map[string]*client.SGOption{
		"its credential": {Option: client.Option{Auth: large}},
		"its tags":       {Tags: map[string]string{"x": large}},
	} {
		traced := &opentracing.Tracing{Tracer: mocktracer.New()}
		err := traced.WrapAttempt(option, func(ctx context.Context, _ *client.Attempt) error {
			if carried := protocol.OutgoingMeta(ctx); len(carried) > 0 {
				t.Errorf("%s: the span travels as %v", name, carried)
			}
			return nil
		})(t.Context(), &client.Attempt{ServiceMethod: "Relay.Echo"})
		if err != nil {
			t.Error(err)
		}
	}
}

// What others send instead of a span begins a new trace.
func TestASpanThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := mocktracer.New()
		traced := &opentracing.Tracing{Tracer: tracer}
		next := traced.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
		for _, meta := range []map[string]string{
			nil,
			{"mockpfx-ids-traceid": "seven", "mockpfx-ids-spanid": "eight"},
			{"ot-x-zz": "!"},
			{"ot-x-6b": "!"},
		} {
			m := &protocol.Message{Header: protocol.Header{ServiceName: "A", MethodName: "B", MetaData: meta}}
			if err := next(t.Context(), m, &protocol.Message{}); err != nil {
				t.Error(err)
			}
		}
		for _, s := range tracer.FinishedSpans() {
			if s.ParentID != 0 {
				t.Errorf("%v has a parent", s)
			}
		}
		if n := len(tracer.FinishedSpans()); n != 4 {
			t.Errorf("%d spans", n)
		}
	})
}

// The tracer sees no token.
func TestKeysOfTheFrameworkAreHidden(t *testing.T) {
	tracer := &nosy{MockTracer: mocktracer.New()}
	next := (&opentracing.Tracing{Tracer: tracer}).WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	m := &protocol.Message{Header: protocol.Header{MetaData: map[string]string{"sinew-auth": "secret", "sinew-tag-idc": "lf", "mine": "x"}}}
	if err := next(t.Context(), m, &protocol.Message{}); err != nil {
		t.Fatal(err)
	}
	if len(tracer.seen) != 1 || tracer.seen[0] != "mine" {
		t.Errorf("the tracer saw %q", tracer.seen)
	}
}

// nosy looks at all that it is shown.
type nosy struct {
	*mocktracer.MockTracer
	seen []string
}

func (n *nosy) Extract(_, carrier any) (ot.SpanContext, error) {
	_ = carrier.(ot.TextMapReader).ForeachKey(func(k, _ string) error {
		n.seen = append(n.seen, k)
		return nil
	})
	return nil, ot.ErrSpanContextNotFound
}

func TestSpansTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := mocktracer.New()
		next := (&opentracing.Tracing{Tracer: tracer}).WrapCall(nil, func(context.Context, string, any, any) error {
			time.Sleep(42 * time.Millisecond)
			return nil
		})
		if err := next(t.Context(), "A.B", nil, nil); err != nil {
			t.Fatal(err)
		}
		if s := tracer.FinishedSpans()[0]; s.FinishTime.Sub(s.StartTime) != 42*time.Millisecond {
			t.Errorf("from %v to %v", s.StartTime, s.FinishTime)
		}
	})
}

// The tracer that does nothing costs nothing, and so does the global one before
// somebody set it.
func TestNoopTracerCostsNothing(t *testing.T) {
	ctx := context.Background()
	for name, traced := range map[string]*opentracing.Tracing{"no tracer": {}, "the no-op tracer": {Tracer: ot.NoopTracer{}}} {
		call := traced.WrapCall(nil, func(context.Context, string, any, any) error { return nil })
		attempt := traced.WrapAttempt(nil, func(context.Context, *client.Attempt) error { return nil })
		handle := traced.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
		a, req, res := &client.Attempt{ServiceMethod: "A.B"}, &protocol.Message{}, &protocol.Message{}
		if allocs := testing.AllocsPerRun(100, func() {
			_ = call(ctx, "A.B", nil, nil)
			_ = attempt(ctx, a)
			_ = handle(ctx, req, res)
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// Every half is composed and runs without a client or server at hand.
func TestWithoutItsSide(t *testing.T) {
	traced := &opentracing.Tracing{Tracer: mocktracer.New()}
	ctx := context.Background()
	if err := traced.WrapCall(nil, func(context.Context, string, any, any) error { return nil })(ctx, "NoDot", nil, nil); err != nil {
		t.Error(err)
	}
	if err := traced.WrapAttempt(nil, func(context.Context, *client.Attempt) error { return nil })(ctx, &client.Attempt{}); err != nil {
		t.Error(err)
	}
	if err := traced.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })(ctx, &protocol.Message{}, &protocol.Message{}); err != nil {
		t.Error(err)
	}
	if err := traced.WrapServe(nil, func(string, string, map[string]string) error { return nil })("", "", nil); err != nil {
		t.Error(err)
	}
}
