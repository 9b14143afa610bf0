//go:build gc && (amd64 || arm64) && !sinew_purego && !race && !msan && !asan

package transport

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// echo is a socket to another process, which sends back what it gets.
type echo struct {
	socket
	room [64]byte
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	far, near := os.NewFile(uintptr(fds[0]), "far"), os.NewFile(uintptr(fds[1]), "near")
	cat := exec.Command("cat")
	cat.Stdin, cat.Stdout = far, far
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		t.Fatal(err)
	}
	_ = near.Close()
	t.Cleanup(func() {
		_ = conn.Close()
		if err := cat.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &echo{socket: newSocket(conn)}
}

func (e *echo) readRoom() [][]byte { return [][]byte{e.room[:]} }
func (e *echo) readNothing()       {}

func (e *echo) send(t *testing.T) {
	if n, err := e.try([][]byte{[]byte("4444")}); n != 4 || err != nil {
		t.Errorf("sent %d of 4 bytes: %v", n, err)
	}
}

func (e *echo) receive(t *testing.T) {
	if n, err := e.read(e); n != 4 || err != nil {
		t.Errorf("received %d of 4 bytes: %v", n, err)
	}
}

// keepBusy sends and receives until calls are raw.
func (e *echo) keepBusy(t *testing.T) {
	for began := time.Now(); time.Since(began) < 10*alarmPeriod || !processAlarm.covers(); {
		e.send(t)
		e.receive(t)
	}
}

// TestALongFunctionMakesPlaceForOthers has a caller compute for long with the only
// processor, after calls one at a time, between which the process was idle and the
// runtime's monitor asleep: others must come to read what arrives meanwhile.
func TestALongFunctionMakesPlaceForOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	busy, other := newEcho(t), newEcho(t)
	other.send(t)
	other.receive(t)
	var heard atomic.Bool
	waits := make(chan struct{})
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		close(waits)
		other.receive(t)
		heard.Store(true)
	}()
	<-waits
	busy.keepBusy(t)
	other.send(t)
	const limit = 5 * time.Second // far more than a processor is kept
	began := time.Now()
	for !heard.Load() && time.Since(began) < limit {
	}
	if took := time.Since(began); took >= limit {
		t.Errorf("nobody else ran in %v", took)
	} else {
		t.Logf("others ran after %v", took)
	}
	<-listened
}

// TestRawCallsNeverBlock has somebody make a descriptor of package net one that blocks,
// as Fd of its File does.
func TestRawCallsNeverBlock(t *testing.T) {
	a, _ := pairOf(t, "tcp", "127.0.0.1:0")
	rc, err := a.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	several := func(size int) [][]byte { return [][]byte{make([]byte, size/2), make([]byte, size/2)} }
	err = rc.Control(func(fd uintptr) {
		if err := syscall.SetNonblock(int(fd), false); err != nil {
			t.Error(err)
		}
		for _, bufs := range [][][]byte{{make([]byte, 8)}, several(8)} {
			if n, err := rawRead(int(fd), bufs); err != syscall.EAGAIN {
				t.Errorf("a read of nothing into %d slices: %d, %v", len(bufs), n, err)
			}
		}
		for _, bufs := range [][][]byte{several(mostRaw), {make([]byte, 8)}} {
			var err error
			for err == nil {
				_, err = rawWrite(int(fd), bufs)
			}
			if err != syscall.EAGAIN {
				t.Errorf("a write of %d slices to a full socket: %v", len(bufs), err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
