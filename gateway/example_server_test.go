package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
)

// A gateway in its own server, ended in order: its requests are answered first.
func ExampleServer() {
	gw := newExample()
	web, err := gateway.NewServer(gw, &gateway.ServerOption{PlainHTTP2: true})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := web.Shutdown(ctx); err != nil { // then the services' own server
		log.Fatal(err)
	}
	fmt.Println(errors.Is(<-served, http.ErrServerClosed), gw.Close())
	// Output: true <nil>
}
