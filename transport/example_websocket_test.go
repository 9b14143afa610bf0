package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

type greeting struct{ Text string }

// A server shares an HTTP port with whatever else is served there: its connections
// come in at a path of a mux, through the ingress that stands before it.
func ExampleNewWebSocketHandler() {
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	defer web.Close()

	addr := strings.TrimPrefix(web.URL, "http://") + "/rpc" // as clients dial it
	handler := transport.NewWebSocketHandler("ws", addr)
	mux.Handle("/rpc", handler)

	s, err := server.NewSGServer(nil)
	if err != nil {
		panic(err)
	}
	err = server.Handle(s, "Greeter.Greet", func(_ context.Context, who *greeting) (*greeting, error) {
		return &greeting{"hello, " + who.Text}, nil
	})
	if err != nil {
		panic(err)
	}
	go s.ServeListener(handler, nil)
	defer s.Close()

	c, err := client.NewRPCClient("ws", addr, nil)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	reply, err := client.Invoke[greeting](context.Background(), c, "Greeter.Greet", &greeting{"ingress"})
	if err != nil {
		panic(err)
	}
	fmt.Println(reply.Text)
	// Output: hello, ingress
}
