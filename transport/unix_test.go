package transport

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// leaveStaleSocket leaves a socket file behind as a killed process does.
func leaveStaleSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
}

func TestUnixReplacesASocketOnWhichNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveStaleSocket(t, path)
	ln, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(testContext(t), "unix", path, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the file is still there: %v", err)
	}
}

func TestUnixLeavesALiveListenerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := listening(t, "unix", path, ListenOptions{})
	if _, err := Listen("unix", path, ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second Listen: %v", err)
	}
	if c, err := first.Accept(); err != nil { // the probe of the second
		t.Fatal(err)
	} else {
		c.Close()
	}
	c, err := Dial(testContext(t), "unix", path, DialOptions{})
	if err != nil {
		t.Fatalf("the first listener is not reachable any more: %v", err)
	}
	c.Close()
}

func TestUnixNeverRemovesWhatIsNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix", path, ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" || err != nil {
		t.Errorf("the file holds %q, %v", b, err)
	}
}
