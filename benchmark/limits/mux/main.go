// Command mux is a limit, not a framework: frames of all callers share one
// connection, writes are coalesced, the server starts a goroutine for each
// request, and there is no codec, no deadline and no bound. What a framework
// of this shape costs beyond it is the price of being a framework.
package main

import (
	"net"
	"os"
	"sync"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "limit/mux",
		Settings: "raw frames multiplexed on one connection, writes coalesced after one yield, a goroutine per request; no codec",
		Serve:    serve,
		Dial:     func(o load.DialOptions) (load.Client, error) { return dial(o.Addr) },
	}))
}

func serve(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go echo(conn)
	}
}

// bodies lends the server its read buffers.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// echo answers every frame from a goroutine of its own until the connection
// ends. Requests still running then write into a closed connection.
func echo(conn net.Conn) {
	defer conn.Close()
	w := &writer{conn: conn, release: func(body []byte) { bodies.Put(&body) }}
	room := func(_ uint32, n int) ([]byte, error) {
		return resized(*bodies.Get().(*[]byte), n), nil
	}
	// Who reads frames ends the connection on any error: there is nobody to
	// tell it to.
	_ = readFrames(conn, room, func(f frame) {
		go func() { _ = w.write(f) }()
	})
}

// resized returns a buffer of n bytes, buf's own where that is large enough.
func resized(buf []byte, n int) []byte {
	if n <= cap(buf) {
		return buf[:n]
	}
	return make([]byte, n)
}
