package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// streamConn is what tcp, unix and mem connections have in common.
type streamConn interface {
	net.Conn
	CloseWrite() error
}

// pairOf connects two ends over a network; both are closed with the test.
func pairOf(t *testing.T, network, addr string) (a, b streamConn) {
	t.Helper()
	mem := NewMemNetwork()
	ln := listening(t, network, addr, ListenOptions{Mem: mem})
	dialled, err := Dial(testContext(t), network, ln.Addr().String(), DialOptions{Mem: mem})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialled.(streamConn), accepted.(streamConn)
}

// onEveryStream runs a test over mem and over the system's networks that it
// imitates: what holds for those must hold for it.
func onEveryStream(t *testing.T, f func(t *testing.T, a, b streamConn)) {
	t.Helper()
	t.Run("mem", func(t *testing.T) { a, b := pairOf(t, "mem", ""); f(t, a, b) })
	t.Run("tcp", func(t *testing.T) { a, b := pairOf(t, "tcp", "127.0.0.1:0"); f(t, a, b) })
	t.Run("unix", func(t *testing.T) {
		a, b := pairOf(t, "unix", filepath.Join(t.TempDir(), "s"))
		f(t, a, b)
	})
}

func TestStreamKeepsManyBytesInOrder(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		want := make([]byte, 3<<20)
		for i := range want {
			want[i] = byte(uint32(i) * 2654435761 >> 13)
		}
		wrote := make(chan error, 1)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+len(rest)%70001)
				if _, err := a.Write(rest[:n]); err != nil {
					wrote <- err
					return
				}
				rest = rest[n:]
			}
			wrote <- a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, equal %v, %v", len(got), bytes.Equal(got, want), err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

func TestStreamKeepsTheBytesOfOneWriteTogether(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		const size = 100 << 10 // more than the buffer of mem
		var writers sync.WaitGroup
		for _, letter := range []byte("xyz") {
			writers.Go(func() {
				if _, err := a.Write(bytes.Repeat([]byte{letter}, size)); err != nil {
					t.Error(err)
				}
			})
		}
		block := make([]byte, size)
		for range 3 {
			if _, err := io.ReadFull(b, block); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(block, block[:1]); n != size {
				t.Errorf("a block of %q holds %d of them, want %d", block[0], n, size)
			}
		}
		writers.Wait()
	})
}

func TestStreamHalfClose(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		if _, err := a.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
			t.Errorf("b read %q, %v", got, err)
		}
		if _, err := b.Write([]byte("answer")); err != nil {
			t.Errorf("b's own side is closed too: %v", err)
		}
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("a read %q, %v", got, err)
		}
	})
}

func TestStreamCloseWakesItsOwnReaderAndWriter(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		ended := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 64<<20))
			ended <- err
		}()
		// The writer is on its way when the first byte is here.
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		a.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestStreamAfterOwnClose(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, _ streamConn) {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		_, readErr := a.Read(make([]byte, 1))
		_, writeErr := a.Write([]byte("x"))
		for op, err := range map[string]error{
			"Read": readErr, "Write": writeErr, "Close": a.Close(), "CloseWrite": a.CloseWrite(),
			"SetDeadline":      a.SetDeadline(time.Now()),
			"SetReadDeadline":  a.SetReadDeadline(time.Now()),
			"SetWriteDeadline": a.SetWriteDeadline(time.Now()),
		} {
			var opErr *net.OpError
			if !errors.Is(err, net.ErrClosed) || !errors.As(err, &opErr) {
				t.Errorf("%s: %v", op, err)
			}
		}
	})
}

func TestStreamCloseWithUnreadInputResets(t *testing.T) {
	t.Run("mem", func(t *testing.T) { a, b := pairOf(t, "mem", ""); closeWithUnreadInput(t, a, b) })
	t.Run("tcp", func(t *testing.T) { a, b := pairOf(t, "tcp", "127.0.0.1:0"); closeWithUnreadInput(t, a, b) })
}

func closeWithUnreadInput(t *testing.T, a, b streamConn) {
	if _, err := a.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read: %v", err)
	}
}

func TestStreamPastDeadlines(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		if _, err := b.Write([]byte("there")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(a, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := a.SetDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		_, readErr := a.Read(make([]byte, 1)) // although there is something
		_, writeErr := a.Write([]byte("x"))
		for op, err := range map[string]error{"Read": readErr, "Write": writeErr} {
			var ne net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%s: %v", op, err)
			}
		}
		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(a, make([]byte, 4)); err != nil {
			t.Errorf("Read after the deadline was lifted: %v", err)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			t.Errorf("Write after the deadline was lifted: %v", err)
		}
	})
}

func TestStreamDeadlineSetWhileWaiting(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, b streamConn) {
		ended := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 64<<20))
			ended <- err
		}()
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := a.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestStreamEmptyReadAndWrite(t *testing.T) {
	onEveryStream(t, func(t *testing.T, a, _ streamConn) {
		if n, err := a.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
		if n, err := a.Write(nil); n != 0 || err != nil {
			t.Errorf("Write(nil) = %d, %v", n, err)
		}
	})
}
