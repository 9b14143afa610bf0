package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// memPair connects two ends over a network of their own.
func memPair(t *testing.T, f MemFaults) (dialled, accepted *MemConn) {
	t.Helper()
	n := NewMemNetwork()
	n.SetFaults(f)
	return memPairOn(t, n, "peer")
}

func memPairOn(t *testing.T, n *MemNetwork, addr string) (dialled, accepted *MemConn) {
	t.Helper()
	ln, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err = n.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return dialled, c.(*MemConn)
}

// stopwatch fails the test when an instant is not the one wanted.
type stopwatch struct {
	t     *testing.T
	start time.Time
}

func newStopwatch(t *testing.T) stopwatch { return stopwatch{t, time.Now()} }

func (s stopwatch) want(what string, d time.Duration) {
	s.t.Helper()
	if got := time.Since(s.start); got != d {
		s.t.Errorf("%s at %v, want %v", what, got, d)
	}
}

func mustWrite(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); string(b) != want || err != nil {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

func wantReset(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read: %v, want a reset", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Write: %v, want a reset", err)
	}
}

// wantNothingFor shows that c reads nothing for d.
func wantNothingFor(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(d))
	defer c.SetReadDeadline(time.Time{})
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v, want nothing", n, err)
	}
}

func TestMemDeadlinesAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{})
		mustWrite(t, b, "x") // for a deadline that does not matter
		watch := newStopwatch(t)
		a.SetReadDeadline(time.Now().Add(3 * time.Second))
		a.SetWriteDeadline(time.Now().Add(2 * time.Second))
		b.SetReadDeadline(time.Now().Add(time.Second))

		var ended sync.WaitGroup
		ended.Go(func() {
			if n, err := a.Write(make([]byte, DefaultMemBuffer+1)); n != DefaultMemBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write = %d, %v", n, err)
			}
			watch.want("Write", 2*time.Second)
		})
		ended.Go(func() {
			mustRead(t, a, "x")
			_, err := a.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read: %v", err)
			}
			watch.want("Read", 3*time.Second)
		})
		ended.Wait()
	})
}

func TestMemTryWriteNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, BothWays(MemPath{Buffer: 10}))
		for _, c := range []struct{ give, want int }{{4, 4}, {20, 6}, {1, 0}, {0, 0}} {
			if n, err := a.TryWrite(make([]byte, c.give)); n != c.want || err != nil {
				t.Errorf("TryWrite(%d bytes) = %d, %v, want %d", c.give, n, err, c.want)
			}
		}
		if _, err := io.ReadFull(b, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if n, err := a.TryWrite(make([]byte, 20)); n != 3 || err != nil {
			t.Errorf("after 3 were read: %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Now())
		if _, err := a.TryWrite([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("past the deadline: %v", err)
		}
		a.Close()
		if _, err := a.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestMemTryWriteStaysOutOfAWriteHalfDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, BothWays(MemPath{Buffer: 4}))
		go a.Write([]byte("aaaaaa"))
		synctest.Wait()
		mustRead(t, b, "aa")
		if n, err := a.TryWrite([]byte("b")); n != 0 || err != nil {
			t.Errorf("TryWrite = %d, %v", n, err)
		}
		mustRead(t, b, "aaaa")
	})
}

func TestMemWriterWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{})
		watch := newStopwatch(t)
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			mustWrite(t, a, string(make([]byte, DefaultMemBuffer+1)))
			watch.want("Write", time.Minute)
		}()
		time.Sleep(time.Minute)
		mustRead(t, b, "\x00")
		<-wrote
	})
}

func TestMemResets(t *testing.T) {
	const latency = 10 * time.Millisecond
	for _, c := range []struct {
		name string
		do   func(t *testing.T, a, b *MemConn)
		at   time.Duration // when a's peer, or b, sees it
	}{
		{"Abort", func(_ *testing.T, a, _ *MemConn) { a.Abort() }, latency},
		{"Cut", func(_ *testing.T, a, _ *MemConn) { a.Cut() }, 0},
		{"Close with unread input", func(t *testing.T, a, b *MemConn) {
			mustWrite(t, b, "unread")
			time.Sleep(latency)
			a.Close()
		}, 2 * latency},
		{"write to a peer that has closed", func(t *testing.T, a, b *MemConn) {
			a.Close()
			mustWrite(t, b, "too late")
		}, 2 * latency},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memPair(t, BothWays(MemPath{Latency: latency}))
				watch := newStopwatch(t)
				c.do(t, a, b)
				for {
					_, err := b.Read(make([]byte, 100))
					if errors.Is(err, syscall.ECONNRESET) {
						break
					}
					if err == io.EOF { // the end of stream came before the reset
						time.Sleep(latency)
						continue
					}
					t.Fatal(err)
				}
				watch.want("reset", c.at)
				wantReset(t, b)
			})
		})
	}
}

func TestMemResetLosesWhatWasNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{})
		mustWrite(t, a, "lost")
		a.Abort()
		wantReset(t, b)
	})
}

func TestMemOrderlyCloseLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, BothWays(MemPath{Latency: time.Second}))
		mustWrite(t, a, "last words")
		a.Close()
		watch := newStopwatch(t)
		got, err := io.ReadAll(b)
		if string(got) != "last words" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		watch.want("end of stream", time.Second)
	})
}

func TestMemLatencyIsOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := newStopwatch(t)
		a, b := memPair(t, MemFaults{
			ToListener: MemPath{Latency: 30 * time.Millisecond},
			ToDialer:   MemPath{Latency: 5 * time.Millisecond},
		})
		watch.want("connected", 35*time.Millisecond)
		mustWrite(t, a, "ping")
		watch.want("written", 35*time.Millisecond)
		mustRead(t, b, "ping")
		watch.want("ping", 65*time.Millisecond)
		mustWrite(t, b, "pong")
		mustRead(t, a, "pong")
		watch.want("pong", 70*time.Millisecond)
	})
}

func TestMemJitterKeepsOrderAndIsTheSameForOneSeed(t *testing.T) {
	arrivals := func(seed uint64) (at []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			f := BothWays(MemPath{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond})
			f.Seed = seed
			a, b := memPair(t, f)
			start := time.Now()
			for _, s := range []string{"0", "1", "2", "3", "4", "5", "6", "7"} {
				mustWrite(t, a, s)
			}
			for _, s := range []string{"0", "1", "2", "3", "4", "5", "6", "7"} {
				mustRead(t, b, s)
				d := time.Since(start)
				if d < 10*time.Millisecond || d > 20*time.Millisecond {
					t.Errorf("%s at %v", s, d)
				}
				at = append(at, d)
			}
		})
		return at
	}
	first, again, other := arrivals(1), arrivals(1), arrivals(2)
	same := func(a, b []time.Duration) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if !same(first, again) {
		t.Errorf("one seed, two runs: %v and %v", first, again)
	}
	if same(first, other) || first[0] == first[7] {
		t.Errorf("no jitter: %v, with another seed %v", first, other)
	}
}

func TestMemBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{ToListener: MemPath{Bandwidth: 1000, Latency: time.Second}})
		watch := newStopwatch(t)
		mustWrite(t, a, string(make([]byte, 500)))
		mustWrite(t, a, string(make([]byte, 2000)))
		mustRead(t, b, string(make([]byte, 500)))
		watch.want("first", 1500*time.Millisecond)
		mustRead(t, b, string(make([]byte, 2000)))
		watch.want("second", 3500*time.Millisecond)
	})
}

func TestMemCutAfterBytes(t *testing.T) {
	for _, c := range []struct {
		name    string
		writes  []int
		accepts []int // per write; less than written means a reset
	}{
		{"inside a write", []int{4, 4}, []int{4, 2}},
		{"at the end of a write", []int{3, 3, 1}, []int{3, 3, 0}},
		{"in the first write", []int{100}, []int{6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memPair(t, MemFaults{ToListener: MemPath{CutAfter: 6, Latency: time.Second}})
				mustWrite(t, b, "unread by a")
				watch := newStopwatch(t)
				for i, size := range c.writes {
					n, err := a.Write(make([]byte, size))
					if n != c.accepts[i] || (n < size) != errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("Write(%d bytes) = %d, %v, want %d", size, n, err, c.accepts[i])
					}
				}
				wantReset(t, a)
				watch.want("a's reset", 0)
				mustWrite(t, b, "into the void: b cannot know yet")
				got, err := io.ReadAll(b)
				if len(got) != 6 || !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("b read %d bytes, %v", len(got), err)
				}
				watch.want("b's reset", time.Second)
				wantReset(t, b)
			})
		})
	}
}

func TestMemCutAfterCountsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		a, b := memPairOn(t, n, "peer")
		mustWrite(t, b, "0123456789")
		mustRead(t, a, "0123456789")
		n.SetFaults(MemFaults{ToDialer: MemPath{CutAfter: 10}})
		wantReset(t, a)
		wantReset(t, b)
	})
}

func TestMemBlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		a, b := memPairOn(t, n, "peer")
		mustWrite(t, a, "arrived ")
		n.SetFaults(BothWays(MemPath{Blackhole: true, Buffer: 20}))
		watch := newStopwatch(t)
		mustWrite(t, a, "held")
		mustRead(t, b, "arrived ") // before the hole opened
		wantNothingFor(t, b, time.Hour)

		a.SetWriteDeadline(time.Now().Add(time.Hour))
		if n, err := a.Write(make([]byte, 100)); n != 16 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write into a full buffer = %d, %v", n, err)
		}
		a.Close()
		watch.want("still nothing", 2*time.Hour)

		n.SetFaults(BothWays(MemPath{Latency: time.Second}))
		got, err := io.ReadAll(b)
		if want := "held" + string(make([]byte, 16)); string(got) != want || err != nil {
			t.Errorf("after it was lifted: %q, %v", got, err)
		}
	})
}

func TestMemBlackholeHidesAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{})
		a.SetFaults(BothWays(MemPath{Blackhole: true}))
		a.Abort()
		wantNothingFor(t, b, time.Hour)
		b.SetFaults(MemFaults{})
		wantReset(t, b)
	})
}

func TestMemStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(t, MemFaults{ToListener: MemPath{Stall: true, Buffer: 8}})
		mustWrite(t, a, "12345678")
		if n, err := a.TryWrite([]byte("9")); n != 0 || err != nil {
			t.Errorf("TryWrite = %d, %v", n, err)
		}
		wantNothingFor(t, b, time.Hour)
		b.SetFaults(MemFaults{})
		mustRead(t, b, "12345678")
		b.SetFaults(MemFaults{ToListener: MemPath{Stall: true}})
		a.Abort()
		wantReset(t, b)
	})
}

func TestMemCutWakesWhoIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		n.SetFaults(BothWays(MemPath{Stall: true}))
		a, b := memPairOn(t, n, "peer")
		var ended sync.WaitGroup
		for _, c := range []*MemConn{a, b} {
			ended.Go(func() {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("Read: %v", err)
				}
			})
			ended.Go(func() {
				if _, err := c.Write(make([]byte, 1<<20)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("Write: %v", err)
				}
			})
		}
		synctest.Wait()
		if got := n.Cut("elsewhere"); got != 0 {
			t.Errorf("cut %d connections to elsewhere", got)
		}
		if got := n.Cut("peer"); got != 1 {
			t.Errorf("cut %d connections, want 1", got)
		}
		ended.Wait()
	})
}

func TestMemMostSpecificFaultsCount(t *testing.T) {
	slow := func(d time.Duration) MemFaults { return BothWays(MemPath{Latency: d}) }
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		pairs := make(map[string][2]*MemConn)
		for _, addr := range []string{"a", "b", "c"} {
			x, y := memPairOn(t, n, addr)
			pairs[addr] = [2]*MemConn{x, y}
		}
		pairs["c"][0].SetFaults(slow(3 * time.Second))
		n.SetFaultsAt("b", slow(2*time.Second))
		n.SetFaultsAt("c", slow(4*time.Second))
		n.SetFaults(slow(time.Second))
		for addr, want := range map[string]time.Duration{"a": time.Second, "b": 2 * time.Second, "c": 3 * time.Second} {
			watch := newStopwatch(t)
			mustWrite(t, pairs[addr][1], "x")
			mustRead(t, pairs[addr][0], "x")
			watch.want(addr, want)
		}
		watch := newStopwatch(t)
		memPairOn(t, n, "b")
		watch.want("a new connection to b", 4*time.Second)
	})
}

func TestMemDialFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults MemFaults
		want   error
		at     time.Duration
	}{
		{"refused", MemFaults{RefuseDials: true}, syscall.ECONNREFUSED, 0},
		{"refused after a round trip", MemFaults{RefuseDials: true, ToDialer: MemPath{Latency: time.Second}}, syscall.ECONNREFUSED, time.Second},
		{"hangs", MemFaults{HangDials: true}, context.DeadlineExceeded, 5 * time.Second},
		{"black hole", MemFaults{ToDialer: MemPath{Blackhole: true}}, context.DeadlineExceeded, 5 * time.Second},
		{"too far away", BothWays(MemPath{Latency: time.Hour}), context.DeadlineExceeded, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := NewMemNetwork()
				if _, err := n.Listen("peer"); err != nil {
					t.Fatal(err)
				}
				n.SetFaultsAt("peer", c.faults)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				watch := newStopwatch(t)
				if _, err := n.Dial(ctx, "peer"); !errors.Is(err, c.want) {
					t.Errorf("Dial: %v", err)
				}
				watch.want("failed", c.at)
			})
		})
	}
}

func TestMemBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		ln, err := n.Listen("peer")
		if err != nil {
			t.Fatal(err)
		}
		var waiting []*MemConn
		for range memBacklog {
			c, err := n.Dial(t.Context(), "peer")
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		watch := newStopwatch(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Dial(ctx, "peer"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial with a full backlog: %v", err)
		}
		watch.want("gave up", time.Second)

		go func() {
			time.Sleep(time.Second)
			ln.Accept()
		}()
		if _, err := n.Dial(t.Context(), "peer"); err != nil {
			t.Errorf("Dial when there is room again: %v", err)
		}
		watch.want("connected", 2*time.Second)

		refused := make(chan error)
		go func() {
			_, err := n.Dial(t.Context(), "peer")
			refused <- err
		}()
		synctest.Wait()
		ln.Close()
		if err := <-refused; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial when the listener closes: %v", err)
		}
		wantReset(t, waiting[1])
	})
}

func TestMemListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		ln, err := n.Listen("peer")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error)
		go func() {
			_, err := ln.Accept()
			accepted <- err
		}()
		synctest.Wait()
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := n.Listen("peer"); err != nil {
			t.Errorf("the address is not free again: %v", err)
		}
		ln.Close()
		if _, err := n.Dial(t.Context(), "peer"); err != nil {
			t.Errorf("closing the old listener again took the new one down: %v", err)
		}
	})
}

func TestMemChoosesAFreeAddress(t *testing.T) {
	var n MemNetwork // the zero value is ready
	if _, err := n.Listen("mem-1"); err != nil {
		t.Fatal(err)
	}
	ln, err := n.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	if got := ln.Addr(); got.String() != "mem-2" || got.Network() != "mem" {
		t.Errorf("address %s %s", got.Network(), got)
	}
}

func TestMemAddresses(t *testing.T) {
	a, b := memPair(t, MemFaults{})
	defer a.Close()
	defer b.Close()
	if a.RemoteAddr() != MemAddr("peer") || b.LocalAddr() != MemAddr("peer") || a.LocalAddr() != b.RemoteAddr() || a.LocalAddr() == b.LocalAddr() {
		t.Errorf("a: %v to %v; b: %v to %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
}

func TestMemForgetsConnectionsThatAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		a, b := memPairOn(t, n, "peer")
		c, _ := memPairOn(t, n, "other")
		a.Close()
		if len(n.links) != 2 {
			t.Errorf("one end closed: %d connections known, want 2", len(n.links))
		}
		b.Abort()
		if len(n.links) != 1 {
			t.Errorf("both ends closed: %d connections known, want 1", len(n.links))
		}
		if got := n.CutAll(); got != 1 {
			t.Errorf("CutAll = %d, want 1", got)
		}
		wantReset(t, c)
	})
}

func TestMemSustainsTrafficOverABadLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := BothWays(MemPath{Latency: 3 * time.Millisecond, Jitter: 9 * time.Millisecond, Bandwidth: 1 << 20, Buffer: 1000})
		a, b := memPair(t, f)
		want := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		var ends sync.WaitGroup
		for _, c := range []*MemConn{a, b} {
			ends.Go(func() {
				if _, err := c.Write(want); err != nil {
					t.Error(err)
				}
				c.CloseWrite()
			})
			ends.Go(func() {
				if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			})
		}
		ends.Wait()
	})
}

// TestMemWithRealTime has many waiters with deadlines close together, where a
// wake-up lost between the look at the clock and the wait would hang.
func TestMemWithRealTime(t *testing.T) {
	a, b := memPair(t, BothWays(MemPath{Latency: 50 * time.Microsecond}))
	defer a.Close()
	defer b.Close()
	var ends sync.WaitGroup
	for _, c := range []*MemConn{a, b} {
		ends.Go(func() {
			for i := range 300 {
				c.SetReadDeadline(time.Now().Add(time.Duration(i%10) * 20 * time.Microsecond))
				if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			}
		})
		ends.Go(func() {
			for i := range 300 {
				c.SetWriteDeadline(time.Now().Add(time.Duration(i%10) * 30 * time.Microsecond))
				if _, err := c.Write(make([]byte, 1000)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	ends.Wait()
}
