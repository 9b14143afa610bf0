package transport

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newSocket uses the file descriptor of TCP and Unix connections, for what
// package net does not offer: a write that does not block, a read that takes
// its buffer only when there is something to read, and both over several
// slices. The runtime's poller still does the waiting.
func newSocket(conn net.Conn) socket {
	var sys syscall.Conn
	if p, ok := conn.(plainConn); ok {
		conn = p.PlainConn()
	}
	switch c := conn.(type) {
	case *net.TCPConn:
		sys = c
	case *net.UnixConn:
		sys = c
	default:
		return plainSocket(conn)
	}
	rc, err := sys.SyscallConn()
	if err != nil { // only for a connection that is closed already
		return plainSocket(conn)
	}
	k := &rawSocket{conn: conn, rc: rc}
	k.tryFn, k.writeFn, k.readFn = k.tryOnce, k.writeSome, k.readOnce
	return socket{try: k.try, write: k.write, read: k.read, lazy: true}
}

// rawSocket keeps the arguments and results of the callbacks that
// syscall.RawConn calls, so that a call allocates nothing. The session has one
// reader, and one holder of the right to write: the two halves share nothing.
type rawSocket struct {
	conn net.Conn
	rc   syscall.RawConn

	tryFn, writeFn, readFn func(fd uintptr) bool

	out     [][]byte
	limit   time.Duration
	written int
	wErr    error

	into readSide
	n    int
	rErr error
}

func (k *rawSocket) try(bufs [][]byte) (int, error) {
	k.out, k.wErr, k.written = bufs, nil, 0
	err := k.rc.Write(k.tryFn)
	k.out = nil
	if err == nil {
		err = k.wErr
	}
	return k.written, err
}

// tryOnce never asks the poller to wait.
func (k *rawSocket) tryOnce(fd uintptr) bool {
	k.writev(fd)
	return true
}

func (k *rawSocket) write(bufs [][]byte, limit time.Duration) (int, error) {
	k.out, k.wErr, k.written, k.limit = bufs, nil, 0, limit
	err := k.conn.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		err = k.rc.Write(k.writeFn)
	}
	k.out = nil
	if err == nil {
		err = k.wErr
	}
	if err == nil {
		err = k.conn.SetWriteDeadline(time.Time{})
	}
	return k.written, err
}

// writeSome is called again whenever the socket takes more; each progress moves
// the deadline.
func (k *rawSocket) writeSome(fd uintptr) bool {
	before := k.written
	if k.writev(fd) {
		return true
	}
	if k.written > before {
		k.wErr = k.conn.SetWriteDeadline(time.Now().Add(k.limit))
	}
	return k.wErr != nil
}

// writev writes until all is written or an error ends it (true), or the socket
// is full (false).
func (k *rawSocket) writev(fd uintptr) bool {
	for len(k.out) > 0 {
		n, err := writeBufs(int(fd), k.out)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil:
			k.wErr = os.NewSyscallError("writev", err)
			return true
		}
		k.written += n
		for n > 0 && n >= len(k.out[0]) {
			n -= len(k.out[0])
			k.out = k.out[1:]
		}
		if n > 0 {
			k.out[0] = k.out[0][n:]
		}
	}
	return true
}

func (k *rawSocket) read(into readSide) (int, error) {
	k.into, k.n, k.rErr = into, 0, nil
	err := k.rc.Read(k.readFn)
	if err == nil {
		err = k.rErr
	}
	return k.n, err
}

func (k *rawSocket) readOnce(fd uintptr) bool {
	bufs := k.into.readRoom()
	for {
		n, err := readBufs(int(fd), bufs)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			k.into.readNothing()
			return false
		case err != nil:
			k.rErr = os.NewSyscallError("read", err)
		case n == 0:
			k.rErr = io.EOF
		default:
			k.n = n
		}
		return true
	}
}
