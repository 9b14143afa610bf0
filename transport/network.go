package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"
)

// network is one row of the table of networks.
type network struct {
	name   string
	dial   func(ctx context.Context, network, addr string, o DialOptions) (net.Conn, error)
	listen func(network, addr string, o ListenOptions) (net.Listener, error)
}

// networks lists every network that Dial and Listen know, in the order in
// which an UnknownNetworkError names them. A new network is one more row.
var networks = []network{
	{"tcp", dialTCP, listenTCP},
	{"tcp4", dialTCP, listenTCP},
	{"tcp6", dialTCP, listenTCP},
	{"tls", dialTLS, listenTLS},
	{"unix", dialUnix, listenUnix},
	{"ws", dialWebSocket, listenWebSocket},
	{"wss", dialWebSocket, listenWebSocket},
	{"mem", dialMem, listenMem},
}

// DialOptions says how Dial connects. The zero value is ready for use.
type DialOptions struct {
	// TLSConfig is used by "tls" and "wss" and ignored by the other networks. It
	// is cloned, never changed. Certificates in it are presented to a server that
	// asks for them. The default, nil, verifies the server by the system's
	// roots. Where ServerName is empty the host of the address is verified; a
	// MinVersion below TLS 1.2 is raised to TLS 1.2.
	TLSConfig *tls.Config

	// Timeout bounds the whole dial, name resolution and TLS handshake
	// included, beside what the context says. Zero or less sets no bound of
	// its own.
	Timeout time.Duration

	// UserTimeout is how long written bytes may stay without acknowledgement
	// before the system ends a TCP connection (RFC 5482, TCP_USER_TIMEOUT). It
	// finds a peer that vanished while data was under way, which keepalive
	// does not; it also ends a connection whose peer takes no bytes for that
	// long. Zero or less leaves the system's own limit, about 15 minutes.
	// Linux alone has it; elsewhere it is ignored. The unit on the wire is one
	// millisecond; shorter times are rounded up.
	UserTimeout time.Duration

	// Mem is where "mem" dials. The default, nil, is DefaultMemNetwork.
	Mem *MemNetwork
}

// ListenOptions says how Listen listens. The zero value is ready for use with
// every network but "tls" and "wss".
type ListenOptions struct {
	// TLSConfig is needed by "tls" and "wss", with a certificate in it, and
	// ignored by the other networks. It is cloned, never changed. For mutual TLS set
	// ClientAuth and ClientCAs. A MinVersion below TLS 1.2 is raised to
	// TLS 1.2.
	TLSConfig *tls.Config

	// UserTimeout is what DialOptions.UserTimeout is, for accepted
	// connections.
	UserTimeout time.Duration

	// HandshakeTimeout is how long a peer may take to ask for a WebSocket, TLS
	// handshake included. The other networks ignore it: see Handshake. The
	// default, zero or less, is 10 s.
	HandshakeTimeout time.Duration

	// Mem is where "mem" listens. The default, nil, is DefaultMemNetwork.
	Mem *MemNetwork
}

// UnknownNetworkError is returned by Dial and Listen for a network that is not
// in the table.
type UnknownNetworkError struct {
	Network string // as it was asked for
}

// Error names the network and lists those that exist.
func (e *UnknownNetworkError) Error() string {
	return fmt.Sprintf("transport: unknown network %q: use one of %s",
		e.Network, strings.Join(Networks(), ", "))
}

// Networks returns the names that Dial and Listen take.
func Networks() []string {
	names := make([]string, len(networks))
	for i, n := range networks {
		names[i] = n.name
	}
	return names
}

func lookup(name string) (network, error) {
	for _, n := range networks {
		if n.name == name {
			return n, nil
		}
	}
	return network{}, &UnknownNetworkError{Network: name}
}

// Dial connects to addr. It returns when the connection is ready for data (for
// "tls", "ws" and "wss" that is after the handshake) or when ctx or o.Timeout ends, whichever
// is first; then the error is context.Canceled or context.DeadlineExceeded
// under [errors.Is]. An unknown network is an *UnknownNetworkError; every other
// error is a *net.OpError that names network and address and wraps the cause.
//
// Dial may be called concurrently. The caller closes the connection.
func Dial(ctx context.Context, network, addr string, o DialOptions) (net.Conn, error) {
	n, err := lookup(network)
	if err != nil {
		return nil, err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", network, addr, err)
	}
	c, err := n.dial(ctx, network, addr, o)
	if err != nil {
		return nil, opError("dial", network, addr, err)
	}
	return c, nil
}

// Listen listens on addr. An unknown network is an *UnknownNetworkError; every
// other error is a *net.OpError that names network and address and wraps the
// cause.
//
// An address of "ws" and "wss" is host:port/path; without a path it is /sinew, and
// the port may be left out where it is that of HTTP or HTTPS.
//
// Accept of the listener returns connections as they come in and waits for
// nothing that the peer must do: a "tls" connection has not shaken hands yet,
// see [Handshake]; one of "ws" or "wss" has, on a goroutine of the listener's. The
// caller closes the listener.
func Listen(network, addr string, o ListenOptions) (net.Listener, error) {
	n, err := lookup(network)
	if err != nil {
		return nil, err
	}
	ln, err := n.listen(network, addr, o)
	if err != nil {
		return nil, opError("listen", network, addr, err)
	}
	return ln, nil
}

// NetworkOf tells by which network a listener is reached: "tcp", "tls", "unix",
// "ws", "wss" or "mem". It knows the listeners of Listen, those of package net, and those
// that tls.NewListener wraps around TCP. For any other it returns "": whoever
// made that listener has to say.
func NetworkOf(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	switch ln := ln.(type) {
	case *tlsListener:
		return "tls"
	case *webSocketListener:
		return ln.network
	case *WebSocketHandler:
		return ln.network
	case *net.TCPListener, *net.UnixListener, *memListener:
		return streamNetwork(ln.Addr())
	}
	// The type of tls.NewListener's result is not exported.
	if reflect.TypeOf(ln) == reflect.TypeOf(tls.NewListener(nil, nil)) && ln.Addr().Network() == "tcp" {
		return "tls"
	}
	return ""
}

// streamNetwork leaves out what is no stream, such as unixpacket.
func streamNetwork(a net.Addr) string {
	switch name := a.Network(); name {
	case "tcp", "unix", "mem":
		return name
	}
	return ""
}

// opError is the one funnel of Dial's and Listen's errors. The system's own
// OpError is taken apart and put together anew, so that the network reads as
// the user named it and nothing is said twice.
func opError(op, network, addr string, err error) error {
	if inner, ok := err.(*net.OpError); ok && inner.Op == op {
		err = inner.Err
	}
	return &net.OpError{Op: op, Net: network, Addr: namedAddr{network, addr}, Err: err}
}

// namedAddr is an address as the user wrote it, resolved or not.
type namedAddr struct{ network, addr string }

func (a namedAddr) Network() string { return a.network }
func (a namedAddr) String() string  { return a.addr }
