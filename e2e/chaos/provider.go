package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/server"
)

// Journal is the service. Each execution is in its file before it does anything
// else, and one write is one line, so that what a process which is killed has run
// is known.
type Journal struct{ file *os.File }

// The words of the journal, each followed by the call's ID and the time.
const (
	wordRan       = "R"
	wordCancelled = "C"
)

func (j *Journal) write(word string, id int64) error {
	_, err := fmt.Fprintf(j.file, "%s %d %d\n", word, id, time.Now().UnixMicro())
	return err
}

// Enter writes ID down, takes up to 4 ms, and fails for some IDs in the ways in
// which a method can.
func (j *Journal) Enter(_ context.Context, req, res *echo.Body) error {
	if err := j.write(wordRan, req.ID); err != nil {
		return err
	}
	time.Sleep(rand.N(4 * time.Millisecond))
	switch reason := failure(req.ID); reason {
	case busy:
		return protocol.NewError(protocol.Unavailable, reason)
	case noSuch:
		return protocol.NewError(protocol.NotFound, reason)
	}
	*res = *req
	return nil
}

// Plain is Enter without failures of its own.
func (j *Journal) Plain(_ context.Context, req, res *echo.Body) error {
	*res = *req
	return j.write(wordRan, req.ID)
}

// Wait writes down when its caller is known to have gone.
func (j *Journal) Wait(ctx context.Context, req, _ *echo.Body) error {
	if err := j.write(wordRan, req.ID); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(j.write(wordCancelled, req.ID), ctx.Err())
}

// Of Enter: which IDs fail, and what it says then.
const (
	busyEvery = 16
	busy      = "busy on purpose"
	noSuch    = "no such thing, on purpose"
)

// failure is what Enter says when it fails for this ID; empty where it does not.
func failure(id int64) string {
	switch id % busyEvery {
	case 1:
		return busy
	case 2:
		return noSuch
	}
	return ""
}

// provide is the role of a provider: it serves at one port for each registry,
// and drains when its standard input ends.
func provide(args []string) error {
	flags := flag.NewFlagSet("provider", flag.ContinueOnError)
	name := flags.String("name", "", "names its files")
	ip := flags.String("ip", "", "where it listens")
	dir := flags.String("dir", "", "where its files are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	gauge, err := startGauge(filepath.Join(*dir, *name+".gauge"))
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(*dir, *name+".journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var all []*serving
	for _, word := range flags.Args() {
		s, err := serveAt(word, *ip, &Journal{file})
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process wants it to go
	return errors.Join(endAll(all), file.Close(), gauge.finish())
}

// serving is one server of the process, and its registry.
type serving struct {
	server   *server.SGServer
	registry *libkv.KVRegistry
	ended    chan error
}

func serveAt(word, ip string, service *Journal) (*serving, error) {
	r, port, err := open(word)
	if err != nil {
		return nil, err
	}
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{AppKey: application, TTL: ttl}})
	if err != nil {
		return nil, err
	}
	if err := s.Register(service); err != nil {
		return nil, err
	}
	v := &serving{s, r, make(chan error, 1)}
	go func() { v.ended <- s.Serve("tcp", net.JoinHostPort(ip, port), nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		return nil, <-v.ended
	}
	return v, nil
}

// endAll drains the servers side by side, then closes the registries.
func endAll(all []*serving) error {
	cut := make(chan error, len(all))
	for _, v := range all {
		go func() { cut <- v.server.Shutdown(context.Background()) }()
	}
	var errs []error
	for range all {
		errs = append(errs, <-cut)
	}
	for _, v := range all {
		if err := <-v.ended; !errors.Is(err, server.ErrServerClosed) {
			errs = append(errs, err)
		}
		errs = append(errs, v.registry.Close())
	}
	return errors.Join(errs...)
}
