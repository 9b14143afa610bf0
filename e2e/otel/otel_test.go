package otel

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ot "github.com/opentracing/opentracing-go"
	"go.opentelemetry.io/otel/attribute"
	bridge "go.opentelemetry.io/otel/bridge/opentracing"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper/opentracing"
)

// process is the tracing of one process: OpenTelemetry's SDK, which exports to a
// receiver, behind the bridge.
type process struct {
	bridge *bridge.BridgeTracer
	native trace.Tracer // of the program's own spans
	sdk    *sdk.TracerProvider
}

func newProcess(t *testing.T, service string, to *receiver) *process {
	t.Helper()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(to.URL+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", service))))
	t.Cleanup(func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Errorf("%s: %v", service, err)
		}
	})
	tracer, wrapped := bridge.NewTracerPair(provider.Tracer("sinew"))
	tracer.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	tracer.SetWarningHandler(func(text string) { t.Errorf("%s: the bridge warns: %s", service, text) })
	return &process{bridge: tracer, native: wrapped.Tracer(""), sdk: provider}
}

// flush has everything exported that has ended.
func (p *process) flush(t *testing.T) {
	t.Helper()
	if err := p.sdk.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type Order struct{ Cents int }

// serve serves sell as Till.Sell, and Till.Jam, which fails, over TCP.
func serve(t *testing.T, p *process, sell func(context.Context, *Order) (*Order, error)) (addr string) {
	t.Helper()
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{&opentracing.Tracing{Tracer: p.bridge}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Handle(s, "Till.Sell", sell); err != nil {
		t.Fatal(err)
	}
	err = server.Handle(s, "Till.Jam", func(context.Context, *Order) (*Order, error) { return nil, errors.New("the drawer is stuck") })
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("tcp", "127.0.0.1:0", nil) }()
	<-s.Listening()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// till is serve with a Till.Sell that makes a span of its own.
func till(t *testing.T, p *process) (addr string) {
	t.Helper()
	return serve(t, p, func(ctx context.Context, order *Order) (*Order, error) {
		_, span := p.native.Start(ctx, "open the drawer")
		defer span.End()
		return order, nil
	})
}

// customer is a client of the till.
func customer(t *testing.T, p *process, addr string) client.SGClient {
	t.Helper()
	op := client.DefaultSGOption
	op.AppKey, op.RequestTimeout = "till", 5*time.Second
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{ProviderKey: "tcp@" + addr, Network: "tcp", Addr: addr})
	op.Wrappers = []client.Wrapper{&opentracing.Tracing{Tracer: p.bridge}}
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSpansReachAnOTLPReceiver follows one call from a span of the caller's own
// to one of the handler's.
func TestSpansReachAnOTLPReceiver(t *testing.T) {
	to := startReceiver(t)
	shop, tills := newProcess(t, "shop", to), newProcess(t, "till", to)
	addr := till(t, tills)
	c := customer(t, shop, addr)

	ctx, outer := shop.native.Start(t.Context(), "check out")
	if _, err := client.Invoke[Order](ctx, c, "Till.Sell", &Order{250}); err != nil {
		t.Fatal(err)
	}
	outer.End()
	shop.flush(t)
	tills.flush(t)

	chain := []received{
		to.one(t, "shop", "check out"),
		to.one(t, "shop", "Till.Sell"),
		to.one(t, "shop", "sinew.attempt"),
		to.one(t, "till", "Till.Sell"),
		to.one(t, "till", "open the drawer"),
	}
	for i := 1; i < len(chain); i++ {
		parent, child := chain[i-1], chain[i]
		if !bytes.Equal(child.TraceId, parent.TraceId) || !bytes.Equal(child.ParentSpanId, parent.SpanId) {
			t.Errorf("%s of %s is no child of %s of %s", child.Name, child.service, parent.Name, parent.service)
		}
		if child.StartTimeUnixNano < parent.StartTimeUnixNano || child.EndTimeUnixNano > parent.EndTimeUnixNano {
			t.Errorf("%s of %s is not within %s of %s", child.Name, child.service, parent.Name, parent.service)
		}
	}
	call, attempt, request := chain[1], chain[2], chain[3]
	for span, kind := range map[string]tracepb.Span_SpanKind{
		call.Name: call.Kind, attempt.Name: attempt.Kind,
	} {
		if kind != tracepb.Span_SPAN_KIND_CLIENT {
			t.Errorf("%s is of kind %v", span, kind)
		}
	}
	if request.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the request is of kind %v", request.Kind)
	}
	wantAttributes(t, call, map[string]string{"component": "sinew", "rpc.system": "sinew", "rpc.service": "Till", "rpc.method": "Sell", "peer.service": "till", "rpc.sinew.status_code": "OK"})
	wantAttributes(t, attempt, map[string]string{"sinew.attempt": "0", "sinew.provider": "tcp@" + addr, "peer.address": addr})
	wantAttributes(t, request, map[string]string{"rpc.service": "Till", "rpc.sinew.status_code": "OK"})
	if text(request.Attributes, "peer.address") == "" {
		t.Error("the request does not say who called")
	}
}

func TestFailuresReachAnOTLPReceiver(t *testing.T) {
	to := startReceiver(t)
	shop, tills := newProcess(t, "shop", to), newProcess(t, "till", to)
	c := customer(t, shop, till(t, tills))
	if _, err := client.Invoke[Order](t.Context(), c, "Till.Jam", &Order{}); err == nil {
		t.Fatal("no error")
	}
	shop.flush(t)
	tills.flush(t)
	for _, s := range []received{to.one(t, "shop", "Till.Jam"), to.one(t, "shop", "sinew.attempt"), to.one(t, "till", "Till.Jam")} {
		if s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%s of %s has status %v", s.Name, s.service, s.Status)
		}
		wantAttributes(t, s, map[string]string{"rpc.sinew.status_code": "Unknown"})
		if len(s.Events) == 0 {
			t.Errorf("%s of %s does not say what failed", s.Name, s.service)
		}
	}
}

// Baggage arrives in the form that W3C gives it, which other languages read.
func TestBaggageTravels(t *testing.T) {
	to := startReceiver(t)
	shop, tills := newProcess(t, "shop", to), newProcess(t, "till", to)
	const customerName = "Ada, of Ünna"
	arrived := make(chan string, 2)
	c := customer(t, shop, serve(t, tills, func(ctx context.Context, order *Order) (*Order, error) {
		arrived <- ot.SpanFromContext(ctx).BaggageItem("customer")
		header, _ := protocol.MetaValue(ctx, "baggage")
		arrived <- header
		return order, nil
	}))
	span := shop.bridge.StartSpan("check out")
	defer span.Finish()
	span.SetBaggageItem("customer", customerName)
	if _, err := client.Invoke[Order](ot.ContextWithSpan(t.Context(), span), c, "Till.Sell", &Order{250}); err != nil {
		t.Fatal(err)
	}
	if got := <-arrived; got != customerName {
		t.Errorf("the baggage arrived as %q", got)
	}
	if got := <-arrived; !strings.HasPrefix(got, "customer=") && !strings.HasPrefix(got, "Customer=") {
		t.Errorf("it travelled as %q", got)
	}
}

func wantAttributes(t *testing.T, s received, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got := text(s.Attributes, k); got != v {
			t.Errorf("%s of %s: %s is %q, want %q", s.Name, s.service, k, got, v)
		}
	}
}
