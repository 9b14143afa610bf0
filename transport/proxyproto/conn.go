package proxyproto

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

// maxHeader bounds a header with all that a balancer adds to it, in bytes.
const maxHeader = 4 << 10

// ErrNoHeader is the cause when a balancer's connection does not begin with a
// header that can be read, in time.
var ErrNoHeader = errors.New("proxyproto: the connection does not begin with a PROXY header")

// conn is a connection whose first bytes say who is at its other end. When those
// are read it adds nothing to the connection below.
type conn struct {
	net.Conn
	timeout time.Duration // of the header; negative is none

	reading sync.Once
	readErr error // of the header; set once
	ends    atomic.Pointer[ends]
}

// ends are the addresses that a header named.
type ends struct{ local, remote net.Addr }

func newConn(c net.Conn, timeout time.Duration) *conn { return &conn{Conn: c, timeout: timeout} }

// HandshakeContext reads the header, no longer than ctx: it is what
// transport.Handshake calls.
func (c *conn) HandshakeContext(ctx context.Context) error {
	c.reading.Do(func() { c.readErr = c.readHeader(ctx) })
	return c.readErr
}

// Read reads the header first, where nobody has.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's when the header has been read, the balancer's before
// and where that speaks for itself.
func (c *conn) RemoteAddr() net.Addr {
	if e := c.ends.Load(); e != nil {
		return e.remote
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr is where the client had connected to.
func (c *conn) LocalAddr() net.Addr {
	if e := c.ends.Load(); e != nil {
		return e.local
	}
	return c.Conn.LocalAddr()
}

// CloseWrite closes the write half, where the connection below has one.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// PlainConn returns the connection below, which carries the same bytes from the
// header on: see transport.NewSession.
func (c *conn) PlainConn() net.Conn { return c.Conn }

// readHeader takes the header off the connection, and not a byte more.
func (c *conn) readHeader(ctx context.Context) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // on a closed connection there is nothing to end
	})
	raw, err := takeHeader(c.Conn)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	var header *proxyproto.Header
	if err == nil {
		header, err = proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(raw), len(raw)))
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoHeader, c.Conn.RemoteAddr(), err)
	}
	if !header.Command.IsLocal() && header.SourceAddr != nil && header.DestinationAddr != nil {
		c.ends.Store(&ends{local: header.DestinationAddr, remote: header.SourceAddr})
	}
	return nil
}

// The first byte tells the version; version 2 says its length, version 1 ends with
// its line.
const (
	version1Begins = 'P'
	version2Begins = '\r'
	version1Max    = 107
	version2Head   = 16 // bytes, the last two of which are the length of the rest
)

// takeHeader takes a header off r, in however many pieces it comes, and not a byte
// more. What it takes is for the parser to judge.
func takeHeader(r io.Reader) ([]byte, error) {
	b := make([]byte, 1, version1Max)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	switch b[0] {
	case version1Begins:
		return takeLine(r, b)
	case version2Begins:
		return takeCounted(r, b)
	}
	return nil, fmt.Errorf("it begins with %#x", b)
}

// takeLine reads byte by byte, since nothing says where the line ends.
func takeLine(r io.Reader, b []byte) ([]byte, error) {
	for b[len(b)-1] != '\n' {
		if len(b) == version1Max {
			return nil, fmt.Errorf("no end of line in %d bytes", version1Max)
		}
		b = b[:len(b)+1]
		if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func takeCounted(r io.Reader, b []byte) ([]byte, error) {
	b = b[:version2Head]
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return nil, err
	}
	rest := int(binary.BigEndian.Uint16(b[version2Head-2:]))
	if rest > maxHeader-version2Head {
		return nil, fmt.Errorf("%d bytes of extensions: at most %d are taken", rest, maxHeader-version2Head)
	}
	b = append(b, make([]byte, rest)...)
	_, err := io.ReadFull(r, b[version2Head:])
	return b, err
}
