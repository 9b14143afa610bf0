// Provider serves package echo in a process of its own and registers where it is
// told, so that tests see what consumers do when it is killed. It says on
// standard output where it listens, and ends in order with its standard input.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	_ "github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	_ "github.com/sinew-rpc/sinew/registry/libkv/consul"
	_ "github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
	_ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
	"github.com/sinew-rpc/sinew/server"
)

func main() {
	backend := flag.String("backend", "", "the store.Backend of the registry")
	addrs := flag.String("registry", "", "the registry's addresses, by commas")
	path := flag.String("path", "", "libkv's ServicePath")
	app := flag.String("app", "", "the application")
	ttl := flag.Duration("ttl", 0, "registry.RegisterOption.TTL")
	flag.Parse()
	r, err := libkv.NewKVRegistry(store.Backend(*backend), *app, *path, strings.Split(*addrs, ","), time.Second, nil)
	if err == nil {
		err = errors.Join(serve(r, registry.RegisterOption{AppKey: *app, TTL: *ttl}), r.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(r registry.Registry, o registry.RegisterOption) error {
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: o})
	if err != nil {
		return err
	}
	if err := s.Register(new(echo.Echo)); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("tcp", "127.0.0.1:0", nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		return <-ended
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process is gone, or is done with it
	return s.Shutdown(context.Background())
}
