package transport

import (
	"net"
	"time"
)

// socket is how a session moves bytes over its connection. Which functions
// there are depends on the connection and the operating system.
type socket struct {
	// try writes what is taken without blocking; nil where a write cannot be
	// resumed (TLS), so that only the writer may write.
	try func(bufs [][]byte) (int, error)
	// write writes everything. It fails with os.ErrDeadlineExceeded when limit
	// passes without progress.
	write func(bufs [][]byte, limit time.Duration) (int, error)
	// lazy says that read asks for room only when there is something to read.
	lazy bool
	// read blocks until bytes are there and returns what one read brought. It
	// asks into for the buffers to fill only once there is something to read,
	// where the connection can tell, so that an idle one holds none.
	read func(into readSide) (int, error)
}

// readSide is what a socket asks for the buffers of a read.
type readSide interface {
	// readRoom returns the buffers to fill.
	readRoom() [][]byte
	// readNothing takes them back: there was nothing to read after all.
	readNothing()
}

// plainConn is a connection that adds to the one below what does not concern its
// bytes, such as other addresses: the one below may be read and written in its
// place.
type plainConn interface {
	PlainConn() net.Conn
}

// tryWriter is a connection that can take what fits and return.
type tryWriter interface {
	TryWrite(p []byte) (int, error)
}

// plainSocket works with any connection.
func plainSocket(conn net.Conn) socket {
	k := socket{
		write: func(bufs [][]byte, limit time.Duration) (int, error) { return writeSlices(conn, bufs, limit) },
		read: func(into readSide) (int, error) {
			return conn.Read(into.readRoom()[0])
		},
	}
	if t, ok := conn.(tryWriter); ok {
		k.try = func(bufs [][]byte) (int, error) { return trySlices(t, bufs) }
	}
	return k
}

func trySlices(t tryWriter, bufs [][]byte) (written int, err error) {
	for _, b := range bufs {
		n, err := t.TryWrite(b)
		written += n
		if err != nil || n < len(b) {
			return written, err
		}
	}
	return written, nil
}
