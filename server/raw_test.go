package server_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// rawConn speaks frames by hand, to say what no session would.
type rawConn struct {
	net.Conn
	t testing.TB
}

func dialRaw(t testing.TB, n *transport.MemNetwork) *rawConn {
	t.Helper()
	conn, err := transport.Dial(context.Background(), "mem", "server", transport.DialOptions{Mem: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawConn{conn, t}
}

func (c *rawConn) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) sendFrame(h protocol.Header, body []byte) {
	c.t.Helper()
	c.send(protocol.AppendFrame(nil, &h, body))
}

// next returns the next frame that is no hello.
func (c *rawConn) next() (protocol.Header, []byte) {
	c.t.Helper()
	for {
		h, body, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if h.MessageType != protocol.TypeHello {
			return h, body
		}
	}
}

func (c *rawConn) read() (h protocol.Header, body []byte, err error) {
	start := make([]byte, protocol.PrefixLen)
	if _, err := io.ReadFull(c, start); err != nil {
		return h, nil, err
	}
	p, _, err := protocol.ParsePrefix(start)
	if err != nil {
		return h, nil, err
	}
	rest := make([]byte, p.HeaderLen+p.BodyLen)
	if _, err := io.ReadFull(c, rest); err != nil {
		return h, nil, err
	}
	err = protocol.ParseHeader(rest[:p.HeaderLen], &h, nil)
	return h, rest[p.HeaderLen:], err
}

// wantEnd reads until the server has closed the connection.
func (c *rawConn) wantEnd() (last protocol.Header) {
	c.t.Helper()
	for {
		h, _, err := c.read()
		if err != nil {
			return last
		}
		last = h
	}
}

// request is a header that calls Arith.Add.
func request(seq uint64) protocol.Header {
	return protocol.Header{Seq: seq, MessageType: protocol.TypeRequest, ServiceName: "Arith", MethodName: "Add"}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
