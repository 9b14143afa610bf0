package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// webSocketConn is the byte stream that binary messages of a WebSocket carry, one
// message for each Write; where a message ends means nothing. Its addresses and
// deadlines are those of the connection below. A read or write that has failed,
// be it by a deadline, has spoilt its direction for good, as with TLS.
type webSocketConn struct {
	ws  *websocket.Conn
	raw net.Conn // what ws runs over: TCP or TLS

	reading sync.Mutex
	// Guarded by reading:
	message io.Reader // the rest of the newest message; nil when it is read
	readErr error     // the first; every later read returns it
}

var _ net.Conn = (*webSocketConn)(nil)

// secureWebSocketConn is a webSocketConn over TLS.
type secureWebSocketConn struct {
	*webSocketConn
	tls *tls.Conn
}

// ConnectionState tells how TLS stands.
func (c *secureWebSocketConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// newWebSocketConn makes a connection of ws, which runs over raw.
func newWebSocketConn(ws *websocket.Conn, raw net.Conn) net.Conn {
	ws.SetReadLimit(-1) // messages mean nothing: it is frames that are bounded
	c := &webSocketConn{ws: ws, raw: raw}
	if t, ok := raw.(*tls.Conn); ok {
		return &secureWebSocketConn{c, t}
	}
	return c
}

// Read implements net.Conn.
func (c *webSocketConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	for c.readErr == nil {
		if c.message == nil {
			c.message, c.readErr = c.nextMessage()
			continue
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		c.readErr = c.explain("read", err)
		if n > 0 {
			return n, nil
		}
	}
	return 0, c.readErr
}

func (c *webSocketConn) nextMessage() (io.Reader, error) {
	kind, message, err := c.ws.Reader(context.Background())
	if err == nil && kind != websocket.MessageBinary {
		return nil, c.explain("read", fmt.Errorf("a WebSocket message of type %v: only binary ones carry frames", kind))
	}
	return message, c.explain("read", err)
}

// Write implements net.Conn. After an error nobody can tell how much of p the
// peer got, so all of it counts as written.
func (c *webSocketConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	err := c.ws.Write(context.Background(), websocket.MessageBinary, p)
	return len(p), c.explain("write", err)
}

// explain makes of an error what package net's connections return: io.EOF where
// the peer has closed, net.ErrClosed where this end has.
func (c *webSocketConn) explain(op string, err error) error {
	switch status := websocket.CloseStatus(err); {
	case err == nil:
		return nil
	case op == "read" && (errors.Is(err, io.EOF) || status == websocket.StatusNormalClosure || status == websocket.StatusGoingAway):
		return io.EOF
	}
	return &net.OpError{Op: op, Net: "websocket", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// CloseWrite says by a close frame that nothing more is written, and waits until
// the peer's has been read, at most 5 s. The connection is of no use then: a
// WebSocket cannot be closed in one direction alone. Somebody must be reading.
func (c *webSocketConn) CloseWrite() error {
	return c.ws.Close(websocket.StatusNormalClosure, "")
}

// Close implements net.Conn. It says nothing to the peer, which may not be
// reading: who has said all closes the write half first.
func (c *webSocketConn) Close() error {
	err := c.raw.Close() // wakes whoever reads or writes
	_ = c.ws.CloseNow()  // gives buffers back; that raw is closed is no news
	return err
}

// NetConn returns the connection below, that of TCP where TLS is in between.
func (c *webSocketConn) NetConn() net.Conn {
	if t, ok := c.raw.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c.raw
}

// LocalAddr implements net.Conn.
func (c *webSocketConn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr implements net.Conn. Behind a proxy it is the proxy's.
func (c *webSocketConn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *webSocketConn) SetDeadline(t time.Time) error { return c.raw.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *webSocketConn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *webSocketConn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
