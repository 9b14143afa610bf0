package transport

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzMemConn drives a connection by a program, two bytes an operation, while
// both ends read and write. Whatever the program does, each end reads a prefix
// of what the other wrote, and after both ends are closed nobody waits: a waiter
// left behind is a deadlock that the bubble reports.
func FuzzMemConn(f *testing.F) {
	f.Add([]byte{0, 200, 1, 100, 2, 30, 8, 10, 3, 0})
	f.Add([]byte{0, 255, 4, 20, 8, 200, 2, 0, 8, 50, 6, 0})
	f.Add([]byte{2, 9, 0, 40, 5, 90, 8, 8, 7, 0, 1, 1, 8, 255})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(t, MemFaults{})
			ends := [2]*MemConn{a, b}
			var readers sync.WaitGroup
			for _, c := range ends {
				readers.Go(func() { readCounting(t, c) })
			}
			var written [2]memCounter
			for ; len(program) >= 2; program = program[2:] {
				side := int(program[0]>>4) % 2
				runMemOp(ends[side], &written[side], program[0]%16, program[1])
			}
			a.Close()
			b.Close()
			readers.Wait()
		})
	})
}

// memCounter writes bytes that count up, so that a reader can tell a hole.
type memCounter struct{ next byte }

func (w *memCounter) write(c *MemConn, n int) {
	b := make([]byte, n)
	for i := range b {
		b[i] = w.next + byte(i)
	}
	n, _ = c.Write(b) // may fail: the program may have closed or cut
	w.next += byte(n)
}

func readCounting(t *testing.T, c *MemConn) {
	next := byte(0)
	b := make([]byte, 50)
	for {
		n, err := c.Read(b)
		for _, got := range b[:n] {
			if got != next {
				t.Errorf("read %d where %d was written", got, next)
			}
			next++
		}
		if err != nil {
			return
		}
	}
}

// runMemOp does one operation. Writes have a deadline, so that the program goes
// on when nobody reads.
func runMemOp(c *MemConn, w *memCounter, op, arg byte) {
	d := time.Duration(arg) * time.Millisecond
	switch op {
	case 0, 1:
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		w.write(c, int(arg))
	case 2:
		c.SetFaults(BothWays(MemPath{Latency: d, Jitter: d, Buffer: 1 + int(arg)}))
	case 3:
		c.SetFaults(BothWays(MemPath{Bandwidth: 1 + int64(arg), Stall: arg%2 == 0}))
	case 4:
		c.SetFaults(BothWays(MemPath{Blackhole: true, Buffer: int(arg)}))
	case 5:
		c.SetFaults(BothWays(MemPath{CutAfter: int64(arg), Latency: d}))
	case 6:
		c.SetFaults(MemFaults{})
	case 7:
		c.CloseWrite()
	case 8, 9, 10:
		time.Sleep(d)
	case 11:
		c.Abort()
	case 12:
		c.Close()
	case 13:
		c.Cut()
	case 14:
		c.SetReadDeadline(time.Now().Add(d + time.Second))
	}
}
