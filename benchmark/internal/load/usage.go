package load

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what this process has used so far, and what it holds now. The
// counters only grow: what a run cost is the difference of two.
type Usage struct {
	// CPU is user and system time together.
	CPU time.Duration `json:"cpu_ns"`
	// Mallocs and AllocBytes count heap allocations.
	Mallocs    uint64 `json:"mallocs"`
	AllocBytes uint64 `json:"alloc_bytes"`
	// HeapBytes is what live and not yet swept objects occupy, StackBytes
	// what goroutine stacks do.
	HeapBytes  uint64 `json:"heap_bytes"`
	StackBytes uint64 `json:"stack_bytes"`
	// RSS and PeakRSS are the kernel's VmRSS and VmHWM in bytes.
	RSS     uint64 `json:"rss_bytes"`
	PeakRSS uint64 `json:"peak_rss_bytes"`
	// Goroutines is their number.
	Goroutines int `json:"goroutines"`
	// Behind is that of the process which a server passes calls on to, nil where
	// there is none.
	Behind *Usage `json:"behind,omitempty"`
}

// ReadUsage reads the counters of this process. It stops the world for some
// microseconds, so it belongs before and after a run, not into it.
func ReadUsage() (Usage, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return Usage{}, fmt.Errorf("load: getrusage: %w", err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Usage{}, fmt.Errorf("load: memory of this process: %w", err)
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return Usage{
		CPU:        time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		Mallocs:    ms.Mallocs,
		AllocBytes: ms.TotalAlloc,
		HeapBytes:  ms.HeapAlloc,
		StackBytes: ms.StackInuse,
		RSS:        statusBytes(string(status), "VmRSS"),
		PeakRSS:    statusBytes(string(status), "VmHWM"),
		Goroutines: runtime.NumGoroutine(),
	}, nil
}

// statusBytes finds a "Name:  123 kB" line of /proc/self/status; zero where
// there is none.
func statusBytes(status, name string) uint64 {
	for line := range strings.Lines(status) {
		value, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		kilobytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return kilobytes << 10
	}
	return 0
}

// establishedTo counts the TCP connections that a server on this machine has
// open at its port, as the kernel sees them: a row that says one connection
// is held to it.
func establishedTo(port int) (int, error) {
	f, err := os.Open("/proc/self/net/tcp")
	if err != nil {
		return 0, fmt.Errorf("load: connections of this machine: %w", err)
	}
	defer f.Close()
	const established = "01"
	suffix := fmt.Sprintf(":%04X", port)
	count := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && strings.HasSuffix(fields[1], suffix) && fields[3] == established {
			count++
		}
	}
	return count, nil
}
