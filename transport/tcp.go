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
// through TLS, and whatever else has a method NetConn() net.Conn, to the TCP
// connection below. On a connection that is not TCP, and on systems other than Linux,
// it does nothing and returns nil; else it returns what the system said. It may be
// called at any time from any goroutine.
func SetUserTimeout(c net.Conn, d time.Duration) error {
	tcp, ok := below(c).(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	return setUserTimeout(raw, d)
}

// mostLayers is how many connections may lie round the one of the system: one that
// says to lie round itself would be asked for ever.
const mostLayers = 8

// below returns the connection that c lies round, as TLS does and the listener of a
// proxy's protocol.
func below(c net.Conn) net.Conn {
	for range mostLayers {
		layer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = layer.NetConn()
	}
	return c
}

// userTimeoutControl returns the Control hook that sets the user timeout before
// a socket connects or listens, or nil when there is nothing to set.
func userTimeoutControl(d time.Duration) func(network, addr string, c syscall.RawConn) error {
	if d <= 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, d) }
}
