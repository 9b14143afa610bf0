package transport

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func userTimeoutOf(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	ms := 0
	var opErr error
	if err := raw.Control(func(fd uintptr) {
		ms, opErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || opErr != nil {
		t.Fatal(err, opErr)
	}
	return time.Duration(ms) * time.Millisecond
}

func TestUserTimeoutIsSetOnBothEnds(t *testing.T) {
	for _, c := range []struct {
		name      string
		set, want time.Duration
	}{
		{"unset", 0, 0},
		{"negative", -time.Second, 0},
		{"ten seconds", 10 * time.Second, 10 * time.Second},
		{"rounded up", 1500 * time.Microsecond, 2 * time.Millisecond},
		{"beyond a C int", 1 << 62, (1<<31 - 1) * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln := listening(t, "tcp", "127.0.0.1:0", ListenOptions{UserTimeout: c.set})
			dialled, err := Dial(testContext(t), "tcp", ln.Addr().String(), DialOptions{UserTimeout: c.set})
			if err != nil {
				t.Fatal(err)
			}
			defer dialled.Close()
			accepted, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			if a, b := userTimeoutOf(t, dialled), userTimeoutOf(t, accepted); a != c.want || b != c.want {
				t.Errorf("dialled %v, accepted %v, want %v", a, b, c.want)
			}
		})
	}
}

func TestSetUserTimeoutReachesThroughTLS(t *testing.T) {
	ln := listening(t, "tcp", "127.0.0.1:0", ListenOptions{})
	c, err := Dial(testContext(t), "tcp", ln.Addr().String(), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := SetUserTimeout(tls.Client(c, &tls.Config{ServerName: "x"}), 7*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := userTimeoutOf(t, c); got != 7*time.Second {
		t.Errorf("set to 7s, is %v", got)
	}
	if err := SetUserTimeout(tls.Client(layer{layer{c}}, &tls.Config{ServerName: "x"}), 9*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := userTimeoutOf(t, c); got != 9*time.Second {
		t.Errorf("set to 9s through two layers more, is %v", got)
	}
	if err := SetUserTimeout(c, 0); err != nil {
		t.Fatal(err)
	}
	if got := userTimeoutOf(t, c); got != 0 {
		t.Errorf("restored, is %v", got)
	}
}

// layer is a connection round another.
type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

// ring is one that says to lie round itself.
type ring struct{ net.Conn }

func (r ring) NetConn() net.Conn { return r }

func TestSetUserTimeoutLeavesOtherConnectionsAlone(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, c := range []net.Conn{a, layer{a}, ring{a}} {
		if err := SetUserTimeout(c, time.Second); err != nil {
			t.Error(err)
		}
	}
}
