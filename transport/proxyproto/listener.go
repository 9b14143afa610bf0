package proxyproto

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

// DefaultHeaderTimeout is how long a header may take.
const DefaultHeaderTimeout = 5 * time.Second

// Option says whom a listener trusts.
type Option struct {
	// Trusted is where balancers connect from. Their connections must begin with
	// a header. At least one is needed.
	Trusted []netip.Prefix
	// HeaderTimeout is how long the header may take to arrive. The default is
	// 5 s; negative leaves it to the context of the handshake.
	HeaderTimeout time.Duration
	// AllowDirect lets others connect too. They are served under the address that
	// they have; a header of theirs is not read, and so is no frame. The default
	// closes their connections.
	AllowDirect bool
}

// listener is a net.Listener whose connections begin with a header.
type listener struct {
	net.Listener
	option Option // never changed
}

// NewListener returns a listener on ln, which it closes with itself. Give it to
// SGServer.ServeListener, with meta["network"] where there is a registry:
//
//	ln, err := transport.Listen("tcp", ":8888", transport.ListenOptions{})
//	ln, err = proxyproto.NewListener(ln, proxyproto.Option{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
//	err = s.ServeListener(ln, map[string]string{"network": "tcp"})
//
// A balancer that passes TLS through comes first, so TLS goes round this one:
// tls.NewListener(ln, config). Accept does not wait for a header: transport.Handshake
// reads it, which a server calls off its accept loop, and else the first Read does.
// The error says which field of o is wrong.
func NewListener(ln net.Listener, o Option) (net.Listener, error) {
	if len(o.Trusted) == 0 {
		return nil, errors.New("proxyproto: Option.Trusted is empty: name the networks of your balancers, or anybody may say to be anybody")
	}
	for i, p := range o.Trusted {
		if !p.IsValid() {
			return nil, fmt.Errorf("proxyproto: Option.Trusted[%d] is no network: make it with netip.ParsePrefix", i)
		}
	}
	o.Trusted = slices.Clone(o.Trusted)
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = DefaultHeaderTimeout
	}
	return &listener{ln, o}, nil
}

// Accept returns the next connection of a balancer, or of anybody where that is
// allowed.
func (ln *listener) Accept() (net.Conn, error) {
	for {
		c, err := ln.Listener.Accept()
		switch {
		case err != nil:
			return nil, err
		case ln.trusts(c.RemoteAddr()):
			return newConn(c, ln.option.HeaderTimeout), nil
		case ln.option.AllowDirect:
			return c, nil
		}
		log.V(1).Infof("proxyproto: %s is no balancer of Option.Trusted: its connection is closed", c.RemoteAddr())
		_ = c.Close() // nothing was said on it
	}
}

// trusts reports whether what comes from a may say who the client is.
func (ln *listener) trusts(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(ln.option.Trusted, func(p netip.Prefix) bool { return p.Contains(from) })
}
