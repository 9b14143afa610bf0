// Victim is the server that the hostile tests attack: a process of its own, so
// that its memory can be bounded and measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sinew-rpc/sinew/server"
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
	frame := flag.Duration("frame-timeout", 0, "see server.Option")
	write := flag.Duration("write-timeout", 0, "see server.Option")
	flag.Parse()
	if err := serve(*frame, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve listens on a free port, says which on standard output, and serves until
// the process is killed.
func serve(frame, write time.Duration) error {
	s, err := server.NewSGServer(&server.Option{FrameTimeout: frame, WriteTimeout: write})
	if err != nil {
		return err
	}
	if err := errors.Join(s.Register(Echo{}), s.Register(Take{})); err != nil {
		return err
	}
	go func() {
		<-s.Listening()
		fmt.Println(s.Addr())
	}()
	return s.Serve("tcp", "127.0.0.1:0", nil)
}
