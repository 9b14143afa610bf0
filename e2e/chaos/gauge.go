package main

import (
	"encoding/json"
	"os"
	"runtime"
	"sync"
	"time"
)

// reading is what a process takes at one moment.
type reading struct {
	At          time.Time
	PID         int
	Goroutines  int
	Heap        uint64 // bytes in use after the last collection, and since
	Descriptors int
	First       bool `json:",omitempty"` // before the process did anything
	Last        bool `json:",omitempty"` // after it ended all that it began
}

// gauge writes a reading each second. Its goroutine ends with finish.
type gauge struct {
	file *os.File
	stop chan struct{}
	done sync.WaitGroup
}

func startGauge(path string) (*gauge, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	g := &gauge{file: file, stop: make(chan struct{})}
	if err := g.write(reading{First: true}); err != nil {
		return nil, err
	}
	g.done.Go(g.run)
	return g, nil
}

func (g *gauge) run() {
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-each.C:
			_ = g.write(reading{}) // the next says more
		}
	}
}

// settle is how long what was closed may take to be gone: net/http and the
// libraries of the stores end goroutines on their own time.
const settle = 10 * time.Second

// finish writes the last reading, taken when nothing of what the process began
// is left, or after a while.
func (g *gauge) finish() error {
	close(g.stop)
	g.done.Wait()
	end := time.Now().Add(settle)
	var r reading
	for {
		runtime.GC()
		r = read()
		if r.Goroutines <= goroutinesAtRest || time.Now().After(end) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.Last = true
	if r.Goroutines > goroutinesAtRest {
		stacks := make([]byte, 1<<20)
		_, _ = os.Stderr.Write(stacks[:runtime.Stack(stacks, true)]) // its log, for whoever looks for the leak
	}
	return g.write(r)
}

// goroutinesAtRest are main and glog's, which is there for the life of a process,
// and one for a library that keeps one likewise.
const goroutinesAtRest = 3

func (g *gauge) write(r reading) error {
	now := read()
	now.First, now.Last = r.First, r.Last
	line, err := json.Marshal(now)
	if err != nil {
		return err
	}
	_, err = g.file.Write(append(line, '\n'))
	return err
}

func read() reading {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, _ := os.ReadDir("/proc/self/fd") // elsewhere: none
	return reading{At: time.Now(), PID: os.Getpid(), Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc, Descriptors: len(open)}
}
