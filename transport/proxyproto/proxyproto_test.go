package proxyproto

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/transport"
)

var (
	loopback  = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	client    = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	balancer  = &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 443}
)

// header is what a balancer sends.
func header(t testing.TB, version byte, command proxyproto.ProtocolVersionAndCommand, tlvs ...proxyproto.TLV) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, client, balancer)
	h.Command = command
	if err := h.SetTLVs(tlvs); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func listen(t *testing.T, o Option) net.Listener {
	t.Helper()
	inner, err := transport.Listen("tcp", "127.0.0.1:0", transport.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := NewListener(inner, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// connect sends b on a new connection and returns both ends of it.
func connect(t *testing.T, ln net.Listener, b []byte) (sender, accepted net.Conn) {
	t.Helper()
	sender, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close() })
	if _, err := sender.Write(b); err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return sender, accepted
}

func TestHeaderTellsTheClient(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []byte
		own    bool // the addresses are the connection's own
	}{
		{name: "version 1", header: header(t, 1, proxyproto.PROXY)},
		{name: "version 2", header: header(t, 2, proxyproto.PROXY)},
		{name: "version 2 with extensions", header: header(t, 2, proxyproto.PROXY, proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: bytes.Repeat([]byte{1}, 128)})},
		{name: "version 1 of who knows whom", header: []byte("PROXY UNKNOWN\r\n"), own: true},
		{name: "version 2 of the balancer itself", header: header(t, 2, proxyproto.LOCAL), own: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sender, accepted := connect(t, listen(t, Option{Trusted: loopback}), append(c.header, "hello"...))
			if err := transport.Handshake(t.Context(), accepted); err != nil {
				t.Fatal(err)
			}
			wantRemote, wantLocal := client.String(), balancer.String()
			if c.own {
				wantRemote, wantLocal = sender.LocalAddr().String(), sender.RemoteAddr().String()
			}
			if r, l := accepted.RemoteAddr().String(), accepted.LocalAddr().String(); r != wantRemote || l != wantLocal {
				t.Errorf("from %s to %s, want %s to %s", r, l, wantRemote, wantLocal)
			}
			sender.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(accepted); string(got) != "hello" || err != nil {
				t.Errorf("behind the header: %q, %v", got, err)
			}
			if err := accepted.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(sender); len(got) > 0 || err != nil {
				t.Errorf("back came %q, %v", got, err)
			}
		})
	}
}

func TestReadTakesTheHeaderOffToo(t *testing.T) {
	_, accepted := connect(t, listen(t, Option{Trusted: loopback}), append(header(t, 2, proxyproto.PROXY), "hello"...))
	got := make([]byte, 5)
	if _, err := io.ReadFull(accepted, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if accepted.RemoteAddr().String() != client.String() {
		t.Errorf("from %v", accepted.RemoteAddr())
	}
}

func TestNoHeaderThatCanBeRead(t *testing.T) {
	for name, sent := range map[string]string{
		"a frame":           "\xab\xba\x00\x00\x00\x00\x10\x00\x00\x00\x00",
		"half a header":     "PROXY TCP4 203.0.113.7",
		"no addresses":      "PROXY TCP4 here there 1 2\r\n",
		"one without end":   "PROXY TCP4 " + strings.Repeat("1", 10_000),
		"a huge extension":  string(header(t, 2, proxyproto.PROXY)[:14]) + "\xff\xff" + strings.Repeat("x", 70_000),
		"nothing, then end": "",
	} {
		t.Run(name, func(t *testing.T) {
			sender, accepted := connect(t, listen(t, Option{Trusted: loopback}), []byte(sent))
			sender.(*net.TCPConn).CloseWrite()
			if err := transport.Handshake(t.Context(), accepted); !errors.Is(err, ErrNoHeader) || !strings.Contains(err.Error(), sender.LocalAddr().String()) {
				t.Errorf("Handshake: %v", err)
			}
			if n, err := accepted.Read(make([]byte, 9)); n != 0 || !errors.Is(err, ErrNoHeader) {
				t.Errorf("Read after that: %d, %v", n, err)
			}
			if accepted.RemoteAddr().String() != sender.LocalAddr().String() {
				t.Errorf("from %v", accepted.RemoteAddr())
			}
		})
	}
}

// Who is no balancer cannot say that he is somebody else.
func TestSpoofedHeader(t *testing.T) {
	ln := listen(t, Option{Trusted: elsewhere})
	sender, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	_, _ = sender.Write(header(t, 1, proxyproto.PROXY)) // it may be refused already
	accepting := make(chan error, 1)
	go func() { _, err := ln.Accept(); accepting <- err }()
	if n, err := sender.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection lives: %d, %v", n, err)
	}
	ln.Close()
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}

	spoofed := header(t, 1, proxyproto.PROXY)
	sender, accepted := connect(t, listen(t, Option{Trusted: elsewhere, AllowDirect: true}), spoofed)
	if err := transport.Handshake(t.Context(), accepted); err != nil {
		t.Errorf("a direct connection: %v", err)
	}
	if accepted.RemoteAddr().String() != sender.LocalAddr().String() {
		t.Errorf("the header was believed: from %v", accepted.RemoteAddr())
	}
	got := make([]byte, len(spoofed))
	if _, err := io.ReadFull(accepted, got); err != nil || !bytes.Equal(got, spoofed) {
		t.Errorf("the header was read: %q, %v", got, err)
	}
}

// at is a connection whose peer has an address of TCP.
type at struct {
	net.Conn
	remote net.Addr
}

func (c at) RemoteAddr() net.Addr { return c.remote }

func TestSlowHeader(t *testing.T) {
	for _, c := range []struct {
		name            string
		option, context time.Duration
		want            time.Duration
	}{
		{"the default", 0, time.Minute, DefaultHeaderTimeout},
		{"an own limit", time.Second, time.Minute, time.Second},
		{"the handshake's", time.Minute, time.Second, time.Second},
		{"none of its own", -1, time.Hour, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				inner, err := n.Listen("slow")
				if err != nil {
					t.Fatal(err)
				}
				defer inner.Close()
				ln, err := NewListener(addressed{inner}, Option{Trusted: loopback, HeaderTimeout: c.option})
				if err != nil {
					t.Fatal(err)
				}
				sender, err := n.Dial(t.Context(), "slow")
				if err != nil {
					t.Fatal(err)
				}
				defer sender.Close()
				if _, err := io.WriteString(sender, "PROXY TCP4 "); err != nil {
					t.Fatal(err)
				}
				accepted, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer accepted.Close()
				ctx, cancel := context.WithTimeout(t.Context(), c.context)
				defer cancel()
				begun := time.Now()
				err = transport.Handshake(ctx, accepted)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != c.want {
					t.Errorf("after %v: %v; want %v", time.Since(begun), err, c.want)
				}
			})
		})
	}
}

// addressed is a listener whose connections come from the loopback.
type addressed struct{ net.Listener }

func (ln addressed) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	return at{c, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}, err
}

// TLS goes round the header, as a balancer passes it through.
func TestTLSBehindTheHeader(t *testing.T) {
	server, clientTLS := testutil.Certificates(t)
	clientTLS.ServerName = "localhost"
	ln := tls.NewListener(listen(t, Option{Trusted: loopback}), server)
	sender, accepted := connect(t, ln, header(t, 2, proxyproto.PROXY))
	shaken := make(chan error, 1)
	go func() { shaken <- tls.Client(sender, clientTLS).HandshakeContext(t.Context()) }()
	if err := transport.Handshake(t.Context(), accepted); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if accepted.RemoteAddr().String() != client.String() {
		t.Errorf("from %v", accepted.RemoteAddr())
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	if _, err := NewListener(nil, Option{}); err == nil || !strings.Contains(err.Error(), "Option.Trusted") {
		t.Errorf("nobody is trusted: %v", err)
	}
	if _, err := NewListener(nil, Option{Trusted: []netip.Prefix{{}}}); err == nil || !strings.Contains(err.Error(), "Option.Trusted[0]") {
		t.Errorf("a zero prefix: %v", err)
	}
}

// Whatever a balancer sends, no more is taken than the header, and what the parser
// takes is taken whole, however it is cut into pieces.
func FuzzTakeHeader(f *testing.F) {
	for _, b := range [][]byte{
		header(f, 1, proxyproto.PROXY), header(f, 2, proxyproto.PROXY), header(f, 2, proxyproto.LOCAL),
		header(f, 2, proxyproto.PROXY, proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 300)}),
		[]byte("PROXY UNKNOWN\r\n"), []byte("\r\n\r\n\x00\r\nQUIT\n"), {},
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, parseErr := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), maxHeader))
		r := bytes.NewReader(b)
		taken, err := takeHeader(iotest.OneByteReader(r))
		if err != nil {
			if parseErr == nil && len(b) <= maxHeader {
				t.Fatalf("%q is %+v, and was not taken: %v", b, parsed, err)
			}
			return
		}
		if len(taken) > maxHeader || !bytes.HasPrefix(b, taken) || r.Len() != len(b)-len(taken) {
			t.Fatalf("of %q were taken %q; %d are left", b, taken, r.Len())
		}
		again, againErr := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(taken), len(taken)))
		if (againErr == nil) != (parseErr == nil) || parseErr == nil && !reflect.DeepEqual(again, parsed) { // EqualsTo panics where there are no addresses
			t.Fatalf("%q is %+v, %v; what was taken of it %+v, %v", b, parsed, parseErr, again, againErr)
		}
	})
}
