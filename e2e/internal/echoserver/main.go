// Echoserver serves package echo in a process of its own, which tests stop and
// kill. It says on standard output where it listens, and ends with its standard
// input.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/server"
)

func main() {
	network := flag.String("network", "tcp", "tcp or unix")
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	requests := flag.Int("max-requests", 0, "server.Option.MaxRequestsInFlight")
	flag.Parse()
	if err := serve(*network, *addr, *requests); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(network, addr string, requests int) error {
	s, err := server.NewSGServer(&server.Option{MaxRequestsInFlight: requests})
	if err != nil {
		return err
	}
	if err := s.Register(new(echo.Echo)); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(network, addr, nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		return <-ended
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process is gone
	return s.Close()
}
