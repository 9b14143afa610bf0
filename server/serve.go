package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/transport"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("server: closed")

// acceptBackoff paces a listener that fails, as one does that is out of file
// descriptors.
var acceptBackoff = backoff.Policy{Initial: 5 * time.Millisecond, Max: time.Second}

// Serve listens on addr and serves until Shutdown or Close; then it returns
// ErrServerClosed, when every goroutine of the server has ended: a handler that
// does not heed its context holds it up. It may be called for several addresses.
// Any other error says why it does not serve, or serves no longer, here; the
// server's other addresses go on.
//
// An empty network means Option.TransportType. meta is what the registration
// says beside Option: "weight", a number, and "version". With a Registry the
// address is registered in the background: see Registered.
func (s *SGServer) Serve(network, addr string, meta map[string]string) error {
	err := s.wrapServe(func(network, addr string, meta map[string]string) error {
		return s.listenAndServe(network, addr, meta)
	})(network, addr, meta)
	s.announceListening()
	return err
}

// ServeListener is Serve on a listener, which it closes in the end. It is
// registered under meta["network"], else under the listener's own network; a
// listener that speaks TLS, or whose network cannot be told, needs the former.
func (s *SGServer) ServeListener(ln net.Listener, meta map[string]string) error {
	network, err := s.networkOf(ln, meta)
	if err != nil {
		s.announceListening()
		return errors.Join(err, ln.Close())
	}
	ln = &patientListener{ln, s.option.userTimeout()}
	served := false
	err = s.wrapServe(func(network, _ string, meta map[string]string) error {
		served = true
		return s.serveOn(ln, network, meta)
	})(network, ln.Addr().String(), meta)
	s.announceListening()
	if !served { // a wrapper would not have it
		err = errors.Join(err, ln.Close())
	}
	return err
}

func (s *SGServer) networkOf(ln net.Listener, meta map[string]string) (string, error) {
	if network := meta["network"]; network != "" {
		return network, nil
	}
	network := transport.NetworkOf(ln)
	switch {
	case network == "tls":
		return "", fmt.Errorf(`server: %s speaks TLS: say by meta["network"] as what consumers dial it, such as "tls"`, ln.Addr())
	case network == "" && s.option.Registry != nil:
		return "", fmt.Errorf(`server: the network of a %T is not known: say by meta["network"] as what consumers dial it`, ln)
	}
	return cmp.Or(network, ln.Addr().Network()), nil
}

func (s *SGServer) listenAndServe(network, addr string, meta map[string]string) error {
	own := s.option.TransportType
	if own != "" && network != "" && network != own {
		return fmt.Errorf("server: Serve on %q contradicts Option.TransportType %q: leave one of them empty", network, own)
	}
	network = cmp.Or(network, own)
	if s.ctx.Err() != nil {
		s.awaitEnd()
		return ErrServerClosed
	}
	ln, err := transport.Listen(network, addr, transport.ListenOptions{
		TLSConfig:        s.option.TLSConfig,
		UserTimeout:      s.option.userTimeout(),
		HandshakeTimeout: s.option.HandshakeTimeout,
		Mem:              s.option.Mem,
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return s.serveOn(ln, network, meta)
}

// serveOn serves what ln accepts until the server ends or ln fails.
func (s *SGServer) serveOn(ln net.Listener, network string, meta map[string]string) error {
	provider, err := s.provider(ln, network, meta)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if !s.addListener(ln) {
		_ = ln.Close() // that the server is closed says more
		s.awaitEnd()
		return ErrServerClosed
	}
	s.announceListening()
	registered := s.startRegistration(provider)
	err = s.accept(ln)
	s.dropListener(ln)
	s.accepting.Done()
	if s.ending() {
		s.awaitEnd()
		return ErrServerClosed
	}
	s.endRegistration(registered)
	return fmt.Errorf("server: %s serves no longer: %w", ln.Addr(), err)
}

// addListener makes ln the server's, false when the server takes none.
func (s *SGServer) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != serving {
		return false
	}
	s.listeners = append(s.listeners, ln)
	s.accepting.Add(1)
	return true
}

// ending reports whether the server drains or has ended.
func (s *SGServer) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != serving
}

// listensOn reports whether the server has not closed ln.
func (s *SGServer) listensOn(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.listeners, ln)
}

func (s *SGServer) dropListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = slices.DeleteFunc(s.listeners, func(other net.Listener) bool { return other == ln })
}

// accept takes connections until ln is closed.
func (s *SGServer) accept(ln net.Listener) error {
	failures := backoff.Backoff{Policy: acceptBackoff}
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			failures.Reset()
			s.take(conn)
		case errors.Is(err, net.ErrClosed) || !s.listensOn(ln):
			return err
		default:
			log.Warningf("server: accept on %s: %v; trying again", ln.Addr(), err)
			if err := failures.Wait(s.ctx); err != nil {
				return err
			}
		}
	}
}

// take starts to serve conn. Only a handshake is waited for, and that elsewhere.
func (s *SGServer) take(conn net.Conn) {
	place := s.place()
	if place == noPlace {
		_ = conn.Close() // there are too many even to be told so
		return
	}
	if _, tls := conn.(interface{ HandshakeContext(context.Context) error }); !tls {
		s.start(conn, place)
		return
	}
	s.handshakes.Add(1) // accept runs, so nobody waits for zero yet
	go func() {
		defer s.handshakes.Done()
		ctx, cancel := context.WithTimeout(s.ctx, s.option.HandshakeTimeout)
		defer cancel()
		if err := transport.Handshake(ctx, conn); err != nil {
			log.V(1).Infof("server: %v", err)
			_ = conn.Close() // its handshake's error says more
			s.vacate(place)
			return
		}
		s.start(conn, place)
	}()
}

// start makes a session of conn.
func (s *SGServer) start(conn net.Conn, at place) {
	config := &s.sessions
	if at == forReason {
		config = &s.turnsAway // from its first frame on: its requests are not served
	}
	session, err := transport.NewSession(conn, config)
	if err != nil {
		log.Warningf("server: %v", err)
		s.vacate(at)
		return
	}
	s.settle(session, at)
}

// patientListener sets what Listen would have set on what it accepts.
type patientListener struct {
	net.Listener
	userTimeout time.Duration // 0 leaves the system's
}

func (ln *patientListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err == nil && ln.userTimeout > 0 {
		if err := transport.SetUserTimeout(conn, ln.userTimeout); err != nil {
			log.V(1).Infof("server: %s: no user timeout: %v", conn.RemoteAddr(), err)
		}
	}
	return conn, err
}
