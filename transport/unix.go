package transport

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// staleProbe bounds the dial that asks whether anybody listens on a socket
// file. A live listener answers, or is too busy to, in far less.
const staleProbe = time.Second

func dialUnix(ctx context.Context, network, addr string, _ DialOptions) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// listenUnix listens on a socket file, which disappears when the listener is
// closed. A file that a killed process left behind is removed first, and only
// if it is a socket on which nobody listens. An address that begins with '@' is
// Linux's abstract namespace and has no file.
func listenUnix(network, addr string, _ ListenOptions) (net.Listener, error) {
	ln, err := net.Listen(network, addr)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) || strings.HasPrefix(addr, "@") {
		return ln, err
	}
	if !removeStale(addr) {
		return nil, err
	}
	return net.Listen(network, addr)
}

// removeStale removes the socket file at path if nobody listens on it, and
// tells whether the path is free.
func removeStale(path string) bool {
	before, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	// Dialling a plain file is refused as well: it must not be taken for stale.
	if before.Mode()&fs.ModeSocket == 0 {
		return false
	}
	c, err := net.DialTimeout("unix", path, staleProbe)
	if err == nil {
		c.Close()
		return false
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	// Another process may have found the same stale file and put its own
	// socket there since.
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(before, now) {
		return false
	}
	return os.Remove(path) == nil
}
