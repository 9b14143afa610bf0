// Command tcp is a limit, not a framework: every caller has a TCP connection
// of its own and plays ping-pong on it. Nothing that gives each call a write
// and a read of its own can be faster.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// headerSize is the length of the payload, 4 bytes, and the identifier, 8.
const headerSize = 12

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "limit/tcp",
		Settings: "raw TCP ping-pong, a connection and a goroutine per caller; no codec, no multiplexing",
		Serve:    serve,
		Dial:     func(o load.DialOptions) (load.Client, error) { return &client{addr: o.Addr}, nil },
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

// echo returns every message until the connection ends.
func echo(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	var message []byte
	for {
		var err error
		if message, err = readMessage(in, message); err != nil {
			return
		}
		if _, err := conn.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads header and payload into buf, grown where it is short.
func readMessage(in io.Reader, buf []byte) ([]byte, error) {
	buf = grow(buf, headerSize)
	if _, err := io.ReadFull(in, buf); err != nil {
		return buf, err
	}
	buf = grow(buf, headerSize+int(binary.BigEndian.Uint32(buf)))
	_, err := io.ReadFull(in, buf[headerSize:])
	return buf, err
}

// grow returns buf with length n and its first bytes kept.
func grow(buf []byte, n int) []byte {
	if n <= cap(buf) {
		return buf[:n]
	}
	return append(buf, make([]byte, n-len(buf))...)
}

type client struct {
	addr string

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func (c *client) Caller() (load.Call, error) {
	conn, err := net.Dial("tcp4", c.addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	in := bufio.NewReader(conn)
	var sent, received []byte
	return func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
		sent = binary.BigEndian.AppendUint32(sent[:0], uint32(len(body)))
		sent = binary.BigEndian.AppendUint64(sent, uint64(id))
		sent = append(sent, body...)
		if _, err := conn.Write(sent); err != nil {
			return 0, nil, err
		}
		var err error
		if received, err = readMessage(in, received); err != nil {
			return 0, nil, err
		}
		return int64(binary.BigEndian.Uint64(received[4:])), received[headerSize:], nil
	}, nil
}

func (c *client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}
