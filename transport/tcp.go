package transport

import (
	"context"
	"net"
	"syscall"
	"time"
)

// keepAlive finds a peer that vanished from an idle connection within
// 15 s + 3 x 5 s. The session's heartbeat is quicker; this is the net below it
// for connections on which nobody sends one.
var keepAlive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     15 * time.Second,
	Interval: 5 * time.Second,
	Count:    3,
}

// dialTCP connects with TCP_NODELAY, which is Go's default.
func dialTCP(ctx context.Context, network, addr string, o DialOptions) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: keepAlive,
		Control:         userTimeoutControl(o.UserTimeout),
	}
	return d.DialContext(ctx, network, addr)
}

func listenTCP(network, addr string, o ListenOptions) (net.Listener, error) {
	lc := net.ListenConfig{
		KeepAliveConfig: keepAlive,
		// Accepted connections inherit it from the listening socket.
		Control: userTimeoutControl(o.UserTimeout),
	}
	// Multipath TCP, Go's default for listeners, does not take every option of
	// TCP and costs throughput on the single path that servers have.
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), network, addr)
}

// SetUserTimeout sets on an existing connection what
// [DialOptions.UserTimeout] says: d is how long written bytes may stay without
// acknowledgement. Zero or less restores the system's own limit. It reaches
// through TLS to the TCP connection below. On a connection that is not TCP, and
// on systems other than Linux, it does nothing and returns nil; else it returns
// what the system said. It may be called at any time from any goroutine.
func SetUserTimeout(c net.Conn, d time.Duration) error {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	return setUserTimeout(raw, d)
}

// userTimeoutControl returns the Control hook that sets the user timeout before
// a socket connects or listens, or nil when there is nothing to set.
func userTimeoutControl(d time.Duration) func(network, addr string, c syscall.RawConn) error {
	if d <= 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, d) }
}
