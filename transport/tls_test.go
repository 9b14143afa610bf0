package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
)

// acceptTLS accepts one connection, shakes hands, and reports both results.
func acceptTLS(ctx context.Context, ln net.Listener) <-chan error {
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		done <- Handshake(ctx, c)
	}()
	return done
}

func TestTLSHandshake(t *testing.T) {
	server, client := testutil.Certificates(t)
	oneWay := server.Clone()
	oneWay.ClientAuth = tls.NoClientCert
	otherServer, _ := testutil.Certificates(t)
	anonymous := &tls.Config{RootCAs: client.RootCAs}
	wrongName := client.Clone()
	wrongName.ServerName = "elsewhere.test"
	rightName := client.Clone()
	rightName.ServerName = "sinew.test"
	old := client.Clone()
	old.MaxVersion = tls.VersionTLS11

	for _, c := range []struct {
		name           string
		server, client *tls.Config
		serverRefuses  bool
		clientRefuses  func(error) bool
	}{
		{name: "server proves itself", server: oneWay, client: anonymous},
		{name: "both prove themselves", server: server, client: client},
		{name: "the configured name is verified", server: server, client: rightName},
		{name: "client without a certificate", server: server, client: anonymous, serverRefuses: true},
		{name: "server of another authority", server: otherServer, client: client, serverRefuses: true,
			clientRefuses: func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		{name: "server of another name", server: server, client: wrongName, serverRefuses: true,
			clientRefuses: func(err error) bool { return errors.As(err, new(x509.HostnameError)) }},
		{name: "before TLS 1.2", server: server, client: old, serverRefuses: true,
			clientRefuses: func(err error) bool { return err != nil }},
		{name: "no configuration verifies by the system's roots", server: server, client: nil, serverRefuses: true,
			clientRefuses: func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := testContext(t)
			ln := listening(t, "tls", "127.0.0.1:0", ListenOptions{TLSConfig: c.server})
			accepted := acceptTLS(ctx, ln)
			conn, err := Dial(ctx, "tls", ln.Addr().String(), DialOptions{TLSConfig: c.client})
			if c.clientRefuses == nil && err != nil {
				t.Fatalf("Dial: %v", err)
			}
			if c.clientRefuses != nil && (!c.clientRefuses(err) || !strings.HasPrefix(err.Error(), "dial tls "+ln.Addr().String())) {
				t.Errorf("Dial: %v", err)
			}
			if err == nil {
				defer conn.Close()
			}
			if err := <-accepted; (err != nil) != c.serverRefuses {
				t.Errorf("server's handshake: %v, refused wanted: %v", err, c.serverRefuses)
			}
		})
	}
}

func TestTLSConfigsAreNeverChanged(t *testing.T) {
	server, client := testutil.Certificates(t)
	ctx := testContext(t)
	ln := listening(t, "tls", "localhost:0", ListenOptions{TLSConfig: server})
	accepted := acceptTLS(ctx, ln)
	conn, err := Dial(ctx, "tls", ln.Addr().String(), DialOptions{TLSConfig: client})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if client.ServerName != "" || client.MinVersion != 0 || server.MinVersion != 0 {
		t.Errorf("client: name %q, version %x; server: version %x", client.ServerName, client.MinVersion, server.MinVersion)
	}
	state := conn.(*tls.Conn).ConnectionState()
	if !state.HandshakeComplete || state.Version < tls.VersionTLS12 {
		t.Errorf("Dial returned before the handshake, or below TLS 1.2: %+v", state)
	}
}

func TestListenTLSWithoutACertificateSaysSo(t *testing.T) {
	for name, config := range map[string]*tls.Config{"no config": nil, "empty config": {}} {
		_, err := Listen("tls", "127.0.0.1:0", ListenOptions{TLSConfig: config})
		if !errors.Is(err, ErrNoCertificate) || !strings.Contains(err.Error(), "set TLSConfig") {
			t.Errorf("%s: %v", name, err)
		}
	}
	server, _ := testutil.Certificates(t)
	ln, err := Listen("tls", "127.0.0.1:0", ListenOptions{TLSConfig: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server.Certificates[0], nil },
	}})
	if err != nil {
		t.Fatalf("with GetCertificate: %v", err)
	}
	ln.Close()
}

func TestTLSAcceptDoesNotWaitForASilentPeer(t *testing.T) {
	server, _ := testutil.Certificates(t)
	ctx := testContext(t)
	ln := listening(t, "tls", "127.0.0.1:0", ListenOptions{TLSConfig: server})
	for range 2 {
		silent, err := Dial(ctx, "tcp", ln.Addr().String(), DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	server, _ := testutil.Certificates(t)
	synctest.Test(t, func(t *testing.T) {
		dialled, accepted := memPair(t, MemFaults{})
		defer dialled.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		err := Handshake(ctx, tls.Server(accepted, server))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestHandshakeIsNothingWithoutTLS(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := Handshake(t.Context(), a); err != nil {
		t.Error(err)
	}
}

func TestTLSRunsOverTheMemNetwork(t *testing.T) {
	server, client := testutil.Certificates(t)
	synctest.Test(t, func(t *testing.T) {
		dialled, accepted := memPair(t, BothWays(MemPath{Latency: 10 * time.Millisecond}))
		client := client.Clone()
		client.ServerName = "sinew.test"
		shaken := make(chan error, 1)
		serverSide := tls.Server(accepted, server)
		go func() { shaken <- Handshake(t.Context(), serverSide) }()
		clientSide := tls.Client(dialled, client)
		if err := Handshake(t.Context(), clientSide); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		if peer := serverSide.ConnectionState().PeerCertificates[0].Subject.CommonName; peer != "client" {
			t.Errorf("the client proved to be %q", peer)
		}
	})
}
