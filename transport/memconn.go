package transport

import (
	"fmt"
	"io"
	"net"
	"time"
)

// MemConn is one end of a connection of a MemNetwork. It is a net.Conn that
// behaves as a *net.TCPConn does; all methods may be called concurrently.
//
// Errors other than io.EOF are of type *net.OpError and wrap net.ErrClosed after
// Close or Abort of this end, os.ErrDeadlineExceeded at a deadline,
// syscall.ECONNRESET after a reset, and syscall.EPIPE for a Write after
// CloseWrite. A reset is permanent. It takes what was not read yet with it,
// except where MemPath.CutAfter says otherwise.
type MemConn struct {
	link *memLink
	side int
}

var _ net.Conn = (*MemConn)(nil)

// Read returns what has arrived, at least one byte, waiting for it if need be.
// It returns io.EOF when the peer has closed its writing side and everything
// was read.
func (c *MemConn) Read(b []byte) (int, error) {
	n, err := c.link.read(c.side, b)
	return n, c.opError("read", err)
}

// Write hands b to the connection, waiting while its buffer is full. As with
// TCP, nil means only that the bytes are on their way. The number of bytes
// handed over is right in every case.
func (c *MemConn) Write(b []byte) (int, error) {
	n, err := c.link.write(c.side, b)
	return n, c.opError("write", err)
}

// TryWrite is Write without the waiting: it hands over as many bytes of b as
// the buffer has room for, none included, and tells how many. A full buffer is
// no error.
func (c *MemConn) TryWrite(b []byte) (int, error) {
	n, err := c.link.tryWrite(c.side, b)
	return n, c.opError("write", err)
}

// Close closes this end and wakes whoever waits in it. What was written still
// arrives, and then the peer reads io.EOF; but when this end had unread data, or
// when the peer writes later, the peer sees a reset, as with TCP. The error of a
// second Close wraps net.ErrClosed.
func (c *MemConn) Close() error {
	return c.opError("close", c.link.close(c.side, false))
}

// Abort closes this end with a reset: the peer loses what it has not read when
// the reset arrives. It is Close after SetLinger(0) of a *net.TCPConn.
func (c *MemConn) Abort() error {
	return c.opError("close", c.link.close(c.side, true))
}

// CloseWrite ends the writing side: the peer reads io.EOF after what was
// written. This end can still read.
func (c *MemConn) CloseWrite() error {
	return c.opError("close", c.link.closeWrite(c.side))
}

// Cut resets both ends of the connection in this instant, whatever its faults
// hold back; what is under way is lost. Both ends remain to be closed.
func (c *MemConn) Cut() { c.link.cut() }

// SetFaults sets how this connection behaves, from now on and in place of its
// network's faults: f.ToListener and f.ToDialer, whichever end c is. The rest of
// f concerns dials and does nothing here.
func (c *MemConn) SetFaults(f MemFaults) { c.link.setOwnFaults(f) }

// LocalAddr returns this end's address, a MemAddr: that of the listener, or for
// an end that dialled one made of its number in the network.
func (c *MemConn) LocalAddr() net.Addr { return c.addr(c.side) }

// RemoteAddr returns the other end's address, a MemAddr.
func (c *MemConn) RemoteAddr() net.Addr { return c.addr(1 - c.side) }

func (c *MemConn) addr(side int) net.Addr {
	if side == listenerSide {
		return MemAddr(c.link.addr)
	}
	return MemAddr(fmt.Sprintf("%s#%d", c.link.addr, c.link.id))
}

// SetDeadline sets both deadlines.
func (c *MemConn) SetDeadline(t time.Time) error {
	return c.opError("set", c.link.setDeadline(c.side, t, true, true))
}

// SetReadDeadline sets the instant from which Read fails, those that wait
// already included. Zero is none.
func (c *MemConn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.link.setDeadline(c.side, t, true, false))
}

// SetWriteDeadline sets the instant from which Write and TryWrite fail, those
// that wait already included. Zero is none.
func (c *MemConn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.link.setDeadline(c.side, t, false, true))
}

// opError wraps an error as package net does; nil and io.EOF pass.
func (c *MemConn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
