package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
)

// listening opens a listener and closes it with the test.
func listening(t *testing.T, network, addr string, o ListenOptions) net.Listener {
	t.Helper()
	ln, err := Listen(network, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// testContext ends well before the test binary gives up.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEveryNetworkCarriesBytesBothWays(t *testing.T) {
	server, client := testutil.Certificates(t)
	mem := NewMemNetwork()
	for _, c := range []struct{ network, addr, listens string }{
		{"tcp", "127.0.0.1:0", "tcp"},
		{"tcp4", "127.0.0.1:0", "tcp"},
		{"tcp6", "[::1]:0", "tcp"},
		{"tls", "127.0.0.1:0", "tls"},
		{"unix", filepath.Join(t.TempDir(), "s"), "unix"},
		{"mem", "", "mem"},
	} {
		t.Run(c.network, func(t *testing.T) {
			ln, err := Listen(c.network, c.addr, ListenOptions{TLSConfig: server, Mem: mem})
			if c.network == "tcp6" && errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Skip("this machine has no IPv6 loopback")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			if got := NetworkOf(ln); got != c.listens {
				t.Errorf("NetworkOf = %q, want %q", got, c.listens)
			}
			served := make(chan error, 1)
			go func() { served <- serveEcho(ln) }()

			conn, err := Dial(testContext(t), c.network, ln.Addr().String(), DialOptions{TLSConfig: client, Mem: mem})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// serveEcho accepts one connection and sends back what it reads.
func serveEcho(ln net.Listener) error {
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := Handshake(context.Background(), c); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

func TestUnknownNetworkIsNamedWithTheKnownOnes(t *testing.T) {
	_, dialErr := Dial(t.Context(), "udp", "x", DialOptions{})
	_, listenErr := Listen("udp", "x", ListenOptions{})
	for name, err := range map[string]error{"Dial": dialErr, "Listen": listenErr} {
		var unknown *UnknownNetworkError
		if !errors.As(err, &unknown) || unknown.Network != "udp" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := `unknown network "udp": use one of tcp, tcp4, tcp6, tls, unix, ws, wss, mem`; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q does not contain %q", name, err, want)
		}
	}
}

func TestErrorsNameNetworkAndAddress(t *testing.T) {
	gone := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	addr := gone.Addr().String()
	gone.Close()
	nobody := filepath.Join(t.TempDir(), "nobody")
	for _, c := range []struct {
		network, addr string
		cause         error
	}{
		{"tcp", addr, syscall.ECONNREFUSED},
		{"tls", addr, syscall.ECONNREFUSED},
		{"unix", nobody, syscall.ENOENT},
		{"mem", "nobody", syscall.ECONNREFUSED},
	} {
		_, err := Dial(testContext(t), c.network, c.addr, DialOptions{Mem: NewMemNetwork()})
		var op *net.OpError
		if !errors.Is(err, c.cause) || !errors.As(err, &op) || op.Net != c.network || op.Addr.Network() != c.network {
			t.Errorf("%s: %#v", c.network, err)
			continue
		}
		prefix := "dial " + c.network + " " + c.addr + ": "
		if !strings.HasPrefix(err.Error(), prefix) || strings.Count(err.Error(), c.addr) != 1 {
			t.Errorf("%q: want %q once, in front", err, prefix)
		}
	}
}

func TestListenErrorsNameNetworkAndAddress(t *testing.T) {
	ln := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	mem := NewMemNetwork()
	if _, err := mem.Listen("a"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ network, addr string }{{"tcp", ln.Addr().String()}, {"mem", "a"}} {
		_, err := Listen(c.network, c.addr, ListenOptions{Mem: mem})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "listen "+c.network+" "+c.addr+": ") {
			t.Errorf("%s: %v", c.network, err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, network := range Networks() {
		if _, err := Dial(cancelled, network, "127.0.0.1:1", DialOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestDialTimeoutBoundsTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		n.SetFaults(MemFaults{HangDials: true})
		start := time.Now()
		_, err := Dial(t.Context(), "mem", "a", DialOptions{Mem: n, Timeout: 3 * time.Second})
		var op *net.OpError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &op) || !op.Timeout() {
			t.Errorf("err = %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestMemIsTheDefaultNetworkUnlessOneIsGiven(t *testing.T) {
	ln := listening(t, "mem", t.Name(), ListenOptions{})
	if _, err := DefaultMemNetwork().Listen(t.Name()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen without a network did not use the default one: %v", err)
	}
	c, err := Dial(testContext(t), "mem", ln.Addr().String(), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := Dial(testContext(t), "mem", t.Name(), DialOptions{Mem: NewMemNetwork()}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a network of its own reached the default one: %v", err)
	}
}

type foreignListener struct{ net.Listener }

func TestNetworkOfForeignListeners(t *testing.T) {
	server, _ := testutil.Certificates(t)
	tcp := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	mem, err := NewMemNetwork().Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		ln   net.Listener
		want string
	}{
		{"none", nil, ""},
		{"crypto/tls over TCP", tls.NewListener(tcp, server), "tls"},
		{"crypto/tls over something else", tls.NewListener(mem, server), ""},
		{"a stranger's", foreignListener{tcp}, ""},
	} {
		if got := NetworkOf(c.ln); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
