package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// webSocketPath is where a WebSocket is asked for when the address names no path.
const webSocketPath = "/sinew"

// maxUpgradeHeader bounds the header of an HTTP request or response that upgrades
// a connection, in bytes.
const maxUpgradeHeader = 16 << 10

// splitWebSocketAddr takes host[:port][/path] apart. The port is that of HTTP or
// HTTPS where there is none.
func splitWebSocketAddr(network, addr string) (hostPort, path string) {
	host, path, hasPath := strings.Cut(addr, "/")
	path = "/" + path
	if !hasPath {
		path = webSocketPath
	}
	if _, _, err := net.SplitHostPort(host); err != nil && host != "" {
		port := "80"
		if network == "wss" {
			port = "443"
		}
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return host, path
}

// dialWebSocket connects over TCP, with TLS for wss, and asks for a WebSocket by
// an HTTP/1.1 request (RFC 6455), all under ctx. No proxy is used, and no
// redirection followed.
func dialWebSocket(ctx context.Context, network, addr string, o DialOptions) (net.Conn, error) {
	hostPort, path := splitWebSocketAddr(network, addr)
	raw, err := dialUnderWebSocket(ctx, network, hostPort, o)
	if err != nil {
		return nil, err
	}
	// The scheme is ws for both: raw speaks TLS already.
	ws, resp, err := websocket.Dial(ctx, "ws://"+hostPort+path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &upgrader{raw}, CheckRedirect: neverRedirect},
	})
	if err != nil {
		_ = raw.Close() // err says more
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("the server answered the WebSocket request for %s with HTTP %s: put the path that it serves behind the address, as in %s/path", path, resp.Status, hostPort)
		}
		return nil, err
	}
	return newWebSocketConn(ws, raw), nil
}

func dialUnderWebSocket(ctx context.Context, network, hostPort string, o DialOptions) (net.Conn, error) {
	if network != "wss" {
		return dialTCP(ctx, "tcp", hostPort, o)
	}
	config := o.TLSConfig.Clone() // of nil is nil
	if config == nil {
		config = &tls.Config{}
	}
	config.NextProtos = []string{"http/1.1"}
	o.TLSConfig = config
	return dialTLS(ctx, "tls", hostPort, o)
}

func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// upgrader is an http.RoundTripper for the one request that upgrades conn. It
// starts no goroutine, as http.Transport would.
type upgrader struct{ conn net.Conn }

// RoundTrip sends req and reads the response's header. The body is the
// connection itself.
func (u *upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	stop := context.AfterFunc(ctx, func() {
		_ = u.conn.SetDeadline(time.Unix(1, 0)) // on a closed connection there is nothing to end
	})
	resp, err := u.exchange(req)
	if !stop() && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return resp, err
}

func (u *upgrader) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(u.conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: u.conn, N: maxUpgradeHeader}
	buffered := bufio.NewReader(limited)
	resp, err := http.ReadResponse(buffered, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, nil // what explains it is bounded too
	}
	limited.N = math.MaxInt64
	body := upgraded{Reader: u.conn, Conn: u.conn}
	if buffered.Buffered() > 0 {
		body.Reader = buffered
	}
	resp.Body = body
	return resp, nil
}

// upgraded is a connection from which something may have been read already.
type upgraded struct {
	io.Reader
	net.Conn
}

// Read reads what had been read already first.
func (u upgraded) Read(p []byte) (int, error) { return u.Reader.Read(p) }
