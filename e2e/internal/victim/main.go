// Victim is the server that the hostile tests attack: a process of its own, so
// that its memory can be bounded and measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Echo is what well-behaved callers call.
type Echo struct{}

// Body is sent and comes back.
type Body struct {
	ID   int64
	Data []byte
}

// Echo answers with what it was sent.
func (Echo) Echo(_ context.Context, req, res *Body) error {
	*res = *req
	return nil
}

// Sleep answers after ID milliseconds.
func (Echo) Sleep(ctx context.Context, req, res *Body) error {
	t := time.NewTimer(time.Duration(req.ID) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		*res = *req
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Take decodes bodies into types of every kind.
type Take struct{}

// Tree is a type that contains itself.
type Tree struct {
	Next  *Tree
	List  []Tree
	Named map[string]*Tree
	Any   any
}

func (Take) List(_ context.Context, _ *[]any, _ *[]byte) error                { return nil }
func (Take) Ints(_ context.Context, _ *[]int64, _ *[]byte) error              { return nil }
func (Take) Structs(_ context.Context, _ *[]Body, _ *[]byte) error            { return nil }
func (Take) Map(_ context.Context, _ *map[string]any, _ *[]byte) error        { return nil }
func (Take) Strings(_ context.Context, _ *map[string]string, _ *[]byte) error { return nil }
func (Take) Tree(_ context.Context, _ *Tree, _ *[]byte) error                 { return nil }
func (Take) Bytes(_ context.Context, _ *[]byte, _ *[]byte) error              { return nil }

func main() {
	frame := flag.Duration("frame-timeout", 0, "see transport.SessionConfig")
	write := flag.Duration("write-timeout", 0, "see transport.SessionConfig")
	flag.Parse()
	if err := serve(*frame, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve listens on a free port, says which on standard output, and serves until
// the process is killed.
func serve(frame, write time.Duration) error {
	table := &endpoint.Table{CheckType: protocol.CheckTags}
	if err := errors.Join(table.Register("Echo", Echo{}), table.Register("Take", Take{})); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cfg := &transport.SessionConfig{
		Handler:      &endpoint.Dispatcher{Methods: table},
		Workers:      new(transport.Workers),
		Room:         transport.NewRoom(10_000, 64<<20),
		Intern:       table.Intern,
		FrameTimeout: frame,
		WriteTimeout: write,
	}
	fmt.Println(ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if _, err := transport.NewSession(conn, cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}
