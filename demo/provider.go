package main

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
)

// provider is a server in this process that can be killed as a process is.
type provider struct {
	server    *server.SGServer
	listener  *mortalListener
	key, addr string
	served    chan error // what Serve returned, once
}

// startProvider serves at addr and has the registry list it, in the client's idc.
func startProvider(app, addr string, r registry.Registry, wrappers ...server.Wrapper) (*provider, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, adviseListen(err, addr, "-addr")
	}
	s, err := newServer(r, registry.RegisterOption{AppKey: app}, map[string]string{idcTag: homeIDC}, wrappers...)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	addr = ln.Addr().String()
	p := &provider{
		server:   s,
		listener: &mortalListener{Listener: ln, closed: make(chan struct{})},
		key:      registry.JoinKey("tcp", addr),
		addr:     addr,
		served:   make(chan error, 1),
	}
	go func() { p.served <- s.ServeListener(p.listener, map[string]string{"network": "tcp"}) }()
	<-s.Listening()
	return p, nil
}

// close ends the provider, in whatever state it is, and waits for it.
func (p *provider) close() error {
	err := p.server.Close()
	if end := <-p.served; !errors.Is(end, server.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("provider at %s: %w", p.addr, end))
	}
	return err
}

// mortalListener is a listener that can be killed: its port is closed and its
// connections are reset in the middle of whatever they do, as the system does
// when a process gets SIGKILL. The server behind it is told nothing, so it
// cannot say goodbye to its clients or to the registry.
//
// It can also be paused, as a process is by SIGSTOP: nothing that has arrived,
// and that goes on to arrive, is read.
type mortalListener struct {
	net.Listener

	once   sync.Once
	closed chan struct{} // by Close

	mu sync.Mutex
	// Guarded by mu:
	killed bool
	conns  []net.Conn
	paused chan struct{} // closed by resume; nil while it is not paused
}

// Accept implements net.Listener. After kill it waits for Close.
func (l *mortalListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	killed := l.killed
	if err == nil && !killed {
		l.conns = append(l.conns, c)
	}
	l.mu.Unlock()
	if !killed && err != nil {
		return nil, err
	}
	if !killed {
		return &pausedConn{Conn: c, listener: l}, nil
	}
	if err == nil {
		reset(c)
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *mortalListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *mortalListener) kill() {
	l.mu.Lock()
	l.killed = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	_ = l.Listener.Close() // the port is free again, which is all that is wanted
	for _, c := range conns {
		reset(c)
	}
}

func (l *mortalListener) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		l.paused = make(chan struct{})
	}
}

func (l *mortalListener) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		close(l.paused)
		l.paused = nil
	}
}

// awaitResume returns when the listener is not paused, or is closed.
func (l *mortalListener) awaitResume() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused == nil {
		return
	}
	select {
	case <-paused:
	case <-l.closed:
	}
}

// pausedConn is a connection whose bytes nobody gets while its listener is paused.
type pausedConn struct {
	net.Conn
	listener *mortalListener
}

// Read implements net.Conn.
func (c *pausedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.listener.awaitResume()
	return n, err
}

// reset closes c so that its peer sees a reset.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only for what is closed already
	}
	_ = c.Close()
}
