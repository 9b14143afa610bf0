package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// ErrNoCertificate is the cause when Listen("tls", ...) is given no TLSConfig,
// or one that holds no certificate.
var ErrNoCertificate = errors.New("tls needs a certificate: set TLSConfig with Certificates, GetCertificate or GetConfigForClient")

// dialTLS connects over TCP and shakes hands, both under ctx.
func dialTLS(ctx context.Context, _, addr string, o DialOptions) (net.Conn, error) {
	config, err := clientConfig(o.TLSConfig, addr)
	if err != nil {
		return nil, err
	}
	raw, err := dialTCP(ctx, "tcp", addr, o)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, config)
	if err := Handshake(ctx, c); err != nil {
		raw.Close() // the handshake's error says more than this one's
		return nil, err
	}
	return c, nil
}

// clientConfig is what dialTLS uses: a copy of the user's, with the server's
// name from the address where the user gave none.
func clientConfig(config *tls.Config, addr string) (*tls.Config, error) {
	config = atLeastTLS12(config)
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	return config, nil
}

func atLeastTLS12(config *tls.Config) *tls.Config {
	if config == nil {
		config = &tls.Config{}
	}
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

func listenTLS(_, addr string, o ListenOptions) (net.Listener, error) {
	if !hasCertificate(o.TLSConfig) {
		return nil, ErrNoCertificate
	}
	inner, err := listenTCP("tcp", addr, o)
	if err != nil {
		return nil, err
	}
	return &tlsListener{Listener: inner, config: atLeastTLS12(o.TLSConfig)}, nil
}

func hasCertificate(config *tls.Config) bool {
	return config != nil &&
		(len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil)
}

// tlsListener is tls.NewListener with a type that NetworkOf can tell.
type tlsListener struct {
	net.Listener
	config *tls.Config // never changed
}

// Accept does not shake hands: a silent peer must not hold up the accept loop.
func (ln *tlsListener) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, ln.config), nil
}

// Handshake completes the TLS handshake of c, or whatever else its method
// HandshakeContext stands for, and returns nil at once when c has none or has shaken
// hands before. A server calls it on what Accept returned, in a goroutine of that
// connection, with a context that ends in time: ctx bounds the handshake, and when
// it ends first the connection is of no further use. An error names the peer and
// wraps the cause: that of crypto/tls, or ctx's. The caller closes c in either case.
// It may be called concurrently.
func Handshake(ctx context.Context, c net.Conn) error {
	t, ok := c.(interface {
		HandshakeContext(context.Context) error
	})
	if !ok {
		return nil
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake with %s: %w", c.RemoteAddr(), err)
	}
	return nil
}
