package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
)

// drainTime is how long a server may take to answer the calls that run when it
// is told to end.
const drainTime = 5 * time.Second

// visitorKey is in the metadata of calls that came by the gateway of the show.
const visitorKey = "x-visitor"

// counter is a wrapper that counts the requests of all servers that it is given
// to, but for those of visitors.
type counter struct {
	server.BaseWrapper
	served, failed atomic.Uint64
}

// WrapHandleRequest implements server.Wrapper.
func (c *counter) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if req.MetaData[visitorKey] != "" {
			return next(ctx, req, res)
		}
		c.served.Add(1)
		err := next(ctx, req, res)
		if err != nil {
			c.failed.Add(1)
		}
		return err
	}
}

// newServer returns a server of both services, for requests with these tags.
func newServer(r registry.Registry, o registry.RegisterOption, tags map[string]string, wrappers ...server.Wrapper) (*server.SGServer, error) {
	o.TTL = registryTTL
	s, err := server.NewSGServer(&server.Option{
		Registry:       r,
		RegisterOption: o,
		Tags:           tags,
		ShutDownWait:   drainTime,
		Wrappers:       wrappers,
	})
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		s.RegisterName("ArithService", arithService{}),
		s.RegisterName("TextService", textService{}),
	)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// serve is the role of a server, until ctx ends.
func serve(ctx context.Context, s settings, out io.Writer) error {
	count := new(counter)
	r, err := openRegistry(s.registry, s.app)
	if err != nil {
		return err
	}
	defer r.Close()
	srv, err := newServer(r, registry.RegisterOption{AppKey: s.app, Advertise: s.advertise}, nil, count)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve("tcp", s.addrs[0], nil) }()
	<-srv.Listening()
	if srv.Addr() == nil {
		return adviseListen(errors.Join(<-served, srv.Close()), s.addrs[0], "-addr")
	}
	where := ""
	if s.registry != defaultRegistry {
		where = " -registry " + s.registry
	}
	fmt.Fprintf(out, "%s serves at %s; Ctrl-C drains and ends it. Call it:\n"+
		"  go run ./demo client%[3]s\n"+
		"  go run ./demo client%[3]s ArithService.Add '{\"A\":1,\"B\":2}'\n"+
		"  go run ./demo client -addr %[2]s    # past the registry\n", s.app, srv.Addr(), where)
	front, err := openWeb(s.web, srv)
	if err != nil {
		return errors.Join(err, srv.Close(), ignoreClosed(<-served))
	}
	fmt.Fprintln(out, strings.Join(front.lines(), "\n"))

	count.follow(ctx, out)
	fmt.Fprintln(out, "draining")
	ending := context.WithoutCancel(ctx)
	err = errors.Join(front.server.Shutdown(ending), front.close(), srv.Shutdown(ending), ignoreClosed(<-served))
	fmt.Fprintf(out, "ended: %s requests served, %s with an error\n", grouped(count.served.Load()), grouped(count.failed.Load()))
	return err
}

// ignoreClosed returns err, nil for how a server ends that was told to.
func ignoreClosed(err error) error {
	if errors.Is(err, server.ErrServerClosed) {
		return nil
	}
	return err
}

// follow prints a line for every second with requests, until ctx ends.
func (c *counter) follow(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := c.served.Load()
		if now != before {
			fmt.Fprintf(out, "%s requests/s, %s in all, %s with an error\n", grouped(now-before), grouped(now), grouped(c.failed.Load()))
		}
		before = now
	}
}
