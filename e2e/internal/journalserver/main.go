// Journalserver is a process whose method writes each of its executions to a
// file before it does anything else, so that a test which kills it knows what
// ran. It says on standard output where it listens, and drains when its standard
// input ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Journal is the service.
type Journal struct{ file *os.File }

// Enter writes ID to the journal, takes up to 4 ms, and fails for some IDs in the
// ways in which a method can.
func (j *Journal) Enter(_ context.Context, req, res *echo.Body) error {
	if _, err := fmt.Fprintln(j.file, req.ID); err != nil { // one write, at the end of the file
		return err
	}
	time.Sleep(rand.N(4 * time.Millisecond))
	switch req.ID % 16 {
	case 1:
		return protocol.NewError(protocol.Unavailable, "busy")
	case 2:
		return &protocol.Error{Code: protocol.FailedPrecondition, Message: "not here", Elsewhere: true}
	case 3:
		return protocol.NewError(protocol.NotFound, "no such thing")
	}
	*res = *req
	return nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	path := flag.String("journal", "", "the file to write to")
	requests := flag.Int("max-requests", 0, "server.Option.MaxRequestsInFlight")
	flag.Parse()
	if err := serve(*addr, *path, *requests); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr, path string, requests int) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	s, err := server.NewSGServer(&server.Option{MaxRequestsInFlight: requests})
	if err != nil {
		return err
	}
	if err := s.Register(&Journal{file}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("tcp", addr, nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		return <-ended
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process wants it to go
	return s.Shutdown(context.Background())
}
