package testutil

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leakWait is how long goroutines have to end after the last test: those that
// are on their way out when their owner has stopped waiting for them. This
// package's own test shortens it.
var leakWait = 5 * time.Second

// notLeaks are marks in the stacks of goroutines that are nobody's leak.
var notLeaks = []string{
	"testing.Main(",
	"testing.(*M).",
	"testing.tRunner(",
	"testing.runTests(",
	"runtime.ensureSigM(",
	"os/signal.signal_recv(",
	"os/signal.loop(",
	"runtime/pprof.",
	"runtime/trace.",
	"runtime.ReadTrace(",
	// glog keeps one goroutine for the life of the process.
	"glog.(*fileSink).flushDaemon(",
}

// Main runs a package's tests and ends the process with their result. Tests
// that passed fail after all when goroutines of theirs are left: Main waits up
// to five seconds for those to end and then prints the stacks of the rest. It
// is for TestMain, in every package that starts goroutines:
//
//	func TestMain(m *testing.M) { testutil.Main(m) }
//
// Before that it calls cleanups, for what all tests of a package share.
func Main(m *testing.M, cleanups ...func()) {
	code := m.Run()
	for _, clean := range cleanups {
		clean()
	}
	if code == 0 {
		if left := Leaked(leakWait); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: %d goroutines are left after the tests:\n\n%s\n",
				len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// Leaked returns the stacks of the goroutines that are left besides the
// caller's and those of the runtime, of package testing and of glog. It waits
// up to wait for them to end. While other tests run their goroutines count
// too.
func Leaked(wait time.Duration) []string {
	deadline := time.Now().Add(wait)
	pause := time.Millisecond
	for {
		left := strayGoroutines()
		if len(left) == 0 || !time.Now().Before(deadline) {
			return left
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func strayGoroutines() []string {
	var stray []string
	stacks := strings.Split(allStacks(), "\n\n")
	for _, stack := range stacks[1:] { // the first is the caller's
		if stack = strings.TrimSpace(stack); stack != "" && !isKnown(stack) {
			stray = append(stray, stack)
		}
	}
	return stray
}

// isKnown looks at what a goroutine runs, not at who created it: what a test
// started is created by something of package testing as well.
func isKnown(stack string) bool {
	running, _, _ := strings.Cut(stack, "\ncreated by ")
	for _, mark := range notLeaks {
		if strings.Contains(running, mark) {
			return true
		}
	}
	return false
}

func allStacks() string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}
