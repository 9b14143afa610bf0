package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
)

// bridge is the role of the gateway: alone, in front of the providers of one
// registry.
func bridge(args []string) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	name := flags.String("name", "", "names its files")
	addr := flags.String("addr", "", "where it listens")
	dir := flags.String("dir", "", "where its files are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	gauge, err := startGauge(filepath.Join(*dir, *name+".gauge"))
	if err != nil {
		return err
	}
	r, _, err := open(flags.Arg(0))
	if err != nil {
		return err
	}
	// The caller's deadline is what counts; this bound is for callers that bring
	// none.
	c, err := governed(r, client.FailFast, rollingRequestTimeout)
	if err != nil {
		return err
	}
	g, err := gateway.New(c, nil)
	if err != nil {
		return err
	}
	s, err := gateway.NewServer(g, nil)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process wants it to go
	err = errors.Join(s.Shutdown(context.Background()), g.Close())
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(err, c.Shutdown(context.Background()), r.Close(), gauge.finish())
}
