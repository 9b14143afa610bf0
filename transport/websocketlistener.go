package transport

import (
	"bufio"
	"crypto/tls"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/sinew-rpc/sinew/internal/log"
)

const (
	// defaultUpgradeTimeout is how long a peer may take to ask for a WebSocket.
	defaultUpgradeTimeout = 10 * time.Second
	// maxUpgrading bounds the connections of one listener that have not asked yet.
	maxUpgrading = 1024
)

// WebSocketHandler is a listener whose connections come in through an HTTP server
// of the user's: mount it on a mux, behind whatever stands before it, and give it
// to SGServer.ServeListener. Each request for a WebSocket becomes a connection
// that Accept returns; any other is answered 426 (Upgrade Required). A browser's
// request is refused unless its Origin is the request's own host. All methods may
// run concurrently.
//
//	h := transport.NewWebSocketHandler("wss", "api.example.com:443/rpc")
//	mux.Handle("/rpc", h)
//	err := s.ServeListener(h, nil)
//
// The HTTP server bounds what comes before: its ReadHeaderTimeout should be set.
// It must speak HTTP/1.1 on that path.
type WebSocketHandler struct {
	network  string
	addr     net.Addr
	accepted chan net.Conn
	done     chan struct{}  // closed when nothing more is accepted
	handling sync.WaitGroup // requests

	mu sync.Mutex
	// Guarded by mu:
	err error // why nothing more is accepted; nil before
}

var (
	_ http.Handler = (*WebSocketHandler)(nil)
	_ net.Listener = (*WebSocketHandler)(nil)
)

// NewWebSocketHandler returns a handler that clients reach on network, "ws" or
// "wss", at addr, host:port/path; without a path they ask for /sinew. Both are
// what a registry is told: neither is listened on.
func NewWebSocketHandler(network, addr string) *WebSocketHandler {
	return newWebSocketHandler(network, namedAddr{network, addr})
}

func newWebSocketHandler(network string, addr net.Addr) *WebSocketHandler {
	return &WebSocketHandler{network: network, addr: addr, accepted: make(chan net.Conn), done: make(chan struct{})}
}

// ServeHTTP makes a connection of a request and returns when Accept has taken it.
func (h *WebSocketHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		http.Error(w, "this server is closed", http.StatusServiceUnavailable)
		return
	}
	defer h.handling.Done()
	grabbed := &grabber{ResponseWriter: w}
	ws, err := websocket.Accept(grabbed, r, nil)
	if err != nil { // it has answered
		log.V(1).Infof("transport: %s asked for no WebSocket that can be: %v", r.RemoteAddr, err)
		return
	}
	conn := newWebSocketConn(ws, grabbed.conn)
	select {
	case h.accepted <- conn:
	case <-h.done:
		_ = conn.Close() // nobody takes it
	}
}

// enter counts a request, false when none is served any more.
func (h *WebSocketHandler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return false
	}
	h.handling.Add(1)
	return true
}

// Accept implements net.Listener.
func (h *WebSocketHandler) Accept() (net.Conn, error) {
	select {
	case conn := <-h.accepted:
		return conn, nil
	case <-h.done:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return nil, &net.OpError{Op: "accept", Net: h.network, Addr: h.addr, Err: h.err}
}

// Close implements net.Listener: requests are refused from now on, and
// connections that nobody has accepted are closed. It returns nil.
func (h *WebSocketHandler) Close() error {
	h.end(net.ErrClosed)
	h.handling.Wait()
	return nil
}

// end has nothing accepted any more, for the reason err; the first one counts.
func (h *WebSocketHandler) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
		close(h.done)
	}
}

// Addr returns where clients reach it.
func (h *WebSocketHandler) Addr() net.Addr { return h.addr }

// grabber keeps the connection that a handler takes over.
type grabber struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (g *grabber) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(g.ResponseWriter).Hijack()
	g.conn = conn
	return conn, buffers, err
}

// webSocketListener is a WebSocketHandler with an HTTP server of its own.
type webSocketListener struct {
	*WebSocketHandler
	server    http.Server
	serving   sync.WaitGroup // the server's accept loop, and its connections
	upgrading atomic.Int32   // connections that have not become WebSockets yet
}

func listenWebSocket(network, addr string, o ListenOptions) (net.Listener, error) {
	if network == "wss" && !hasCertificate(o.TLSConfig) {
		return nil, ErrNoCertificate
	}
	hostPort, path := splitWebSocketAddr(network, addr)
	inner, err := listenTCP("tcp", hostPort, o)
	if err != nil {
		return nil, err
	}
	reached := inner.Addr().String()
	if path != webSocketPath {
		reached += path
	}
	ln := &webSocketListener{WebSocketHandler: newWebSocketHandler(network, namedAddr{network, reached})}
	if network == "wss" {
		config := atLeastTLS12(o.TLSConfig)
		config.NextProtos = []string{"http/1.1"}
		inner = tls.NewListener(inner, config)
	}
	ln.start(inner, path, o.HandshakeTimeout)
	return ln, nil
}

// start serves what inner accepts. Its goroutine ends with Close, which waits for
// it and for those of the HTTP server's connections.
func (ln *webSocketListener) start(inner net.Listener, path string, timeout time.Duration) {
	if timeout <= 0 {
		timeout = defaultUpgradeTimeout
	}
	ln.server = http.Server{
		Handler:           ln.onlyAt(path),
		ReadHeaderTimeout: timeout,
		MaxHeaderBytes:    maxUpgradeHeader,
		ConnState:         ln.connState,
		ErrorLog:          stdlog.New(serverLog{}, "", 0),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
	}
	ln.server.SetKeepAlivesEnabled(false)
	ln.serving.Go(func() { ln.end(ln.server.Serve(inner)) })
}

// onlyAt is the handler at one path. It refuses browsers, which say an Origin: this
// server has no pages, so a page whose origin is this very host has got here by a
// name that somebody pointed at it (DNS rebinding).
func (ln *webSocketListener) onlyAt(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != path:
			http.Error(w, fmt.Sprintf("a WebSocket is served at %s alone", path), http.StatusNotFound)
		case r.Header["Origin"] != nil:
			http.Error(w, "pages of browsers are not served here", http.StatusForbidden)
		default:
			ln.ServeHTTP(w, r)
		}
	})
}

// connState counts connections until they are WebSockets or have ended.
func (ln *webSocketListener) connState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		ln.serving.Add(1) // the accept loop runs, so nobody has waited for zero yet
		if ln.upgrading.Add(1) > maxUpgrading {
			_ = conn.Close() // its goroutine finds that out and ends
		}
	case http.StateHijacked, http.StateClosed:
		ln.upgrading.Add(-1)
		ln.serving.Done()
	}
}

// Close ends the HTTP server too.
func (ln *webSocketListener) Close() error {
	ln.end(net.ErrClosed)
	err := ln.server.Close()
	ln.handling.Wait()
	ln.serving.Wait()
	return err
}

// serverLog takes what the HTTP server has to say, about single peers.
type serverLog struct{}

// Write implements io.Writer.
func (serverLog) Write(line []byte) (int, error) {
	log.V(1).Infof("transport: %s", strings.TrimRight(string(line), "\n"))
	return len(line), nil
}
