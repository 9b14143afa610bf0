package opentracing_test

import (
	"context"
	"fmt"
	"log"

	"github.com/opentracing/opentracing-go/mocktracer"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper/opentracing"
)

// One call is three spans of one trace: the call, its attempt, the request.
func Example() {
	tracer := mocktracer.New() // or any other opentracing.Tracer
	traced := &opentracing.Tracing{Tracer: tracer}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{traced}})
	if err != nil {
		log.Fatal(err)
	}
	err = server.Handle(s, "Echo.Say", func(_ context.Context, req *Word) (*Word, error) { return req, nil })
	if err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "traced", nil)
	<-s.Listening()
	c, err := client.NewRPCClient("mem", "traced", &client.Option{Mem: network, Wrappers: []client.Wrapper{traced}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Invoke[Word](context.Background(), c, "Echo.Say", &Word{"hello"}); err != nil {
		log.Fatal(err)
	}
	c.Close()
	s.Close()

	trace := tracer.FinishedSpans()[0].SpanContext.TraceID
	for _, span := range tracer.FinishedSpans() {
		fmt.Println(span.OperationName, span.Tag("span.kind"), span.SpanContext.TraceID == trace)
	}
	// Output:
	// Echo.Say server true
	// sinew.attempt client true
	// Echo.Say client true
}
