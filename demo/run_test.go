package main

import (
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// play runs the program with args and returns what it said.
func play(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func wantText(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

// wholeShow is such that what lasts shortest, the move to another idc, is reported half
// a second after it began, and a third before it ends: each second has a line.
const wholeShow = "11500ms"

func TestTheWholeShow(t *testing.T) {
	code, out, errs := play(t, t.Context(), "-duration", wholeShow, "-callers", "8")
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	wantText(t, out,
		`3 providers, 8 callers`,
		`\* paused 127.0.0.1:\d+`,
		`calls at 127.0.0.1:\d+ fail: its breaker is open`,
		`127.0.0.1:\d+ does not answer heartbeats: degraded`,
		`127.0.0.1:\d+ lf (paused|serving) degraded \d+/s`,
		`127.0.0.1:\d+ answers heartbeats again`,
		`its breaker is closed`,
		`\* moved 127.0.0.1:\d+ to idc yf`,
		`127.0.0.1:\d+ yf serving other idc`,
		`\* killed 127.0.0.1:\d+ with \d calls in flight`,
		`127.0.0.1:\d+ lf killed (failing|connecting|breaker)`,
		`\* started 127.0.0.1:\d+ again`,
		`\* drained 127.0.0.1:\d+ in`,
		`calls    [1-9][\d,]* answered`,
		`what it must be: 0 wrong`,
		`of the third book`,
		`ran      [1-9][\d,]* methods`,
		`No call failed`,
	)
}

func TestTheShowEndsEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	watched := &watchedOutput{on: "calls/s", do: cancel}
	if code := run(ctx, []string{"-duration", "1h", "-callers", "2"}, watched, io.Discard); code != exitOK {
		t.Errorf("exit %d", code)
	}
	wantText(t, watched.text(), "ended early", `calls    [1-9][\d,]* answered`)
}

func TestTheShowRefusesBeforeItStarts(t *testing.T) {
	code, _, errs := play(t, t.Context(), "-file", "no-such-file")
	if code != exitFailed || !strings.Contains(errs, "no-such-file") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if code, _, errs := play(t, t.Context(), "server", "-nonsense"); code != exitUsage || !strings.Contains(errs, "server -h") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if code, _, errs := play(t, t.Context(), "-h"); code != exitOK || !strings.Contains(errs, "Shows sinew at work") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestServerAndClient plays one role per process, but for the processes.
func TestServerAndClient(t *testing.T) {
	addr, end := startServer(t)

	code, out, errs := play(t, t.Context(), "client", "-addr", addr, "ArithService.Add", `{"A":4611686018427387904,"B":1}`)
	if code != exitOK || out != "{\n  \"C\": 4611686018427387905\n}\n" {
		t.Errorf("Add: exit %d, %q, %s", code, out, errs)
	}
	for _, c := range []struct{ method, body, want string }{
		{"ArithService.Divide", `{"A":1}`, "InvalidArgument: division by zero"},
		{"ArithService.Subtract", `{}`, `Unimplemented: .*Subtract[^\n]*\n.*Add, .Multiply`},
		{"NoService.Add", `{}`, `Unimplemented: .*NoService`},
		{"ArithService.Add", `{"A":"one"}`, `InvalidArgument: .*operands`},
	} {
		code, out, errs := play(t, t.Context(), "client", "-addr", addr, c.method, c.body)
		if code != exitFailed || out != "" {
			t.Errorf("%s: exit %d, %q", c.method, code, out)
		}
		wantText(t, errs, c.want)
	}
	code, out, errs = play(t, t.Context(), "client", "-addr", addr, "-duration", "300ms", "-callers", "4")
	if code != exitOK || errs != "" {
		t.Errorf("client: exit %d, %s", code, errs)
	}
	wantText(t, out, `calls    [1-9][\d,]* answered`, `0 wrong`, `failed   0`, `connected`)

	wantText(t, end(), `demo serves at `+addr, "draining", `ended: [1-9][\d,]* requests served, [1-9]`)
}

func TestClientOfADeadAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	for _, args := range [][]string{{"client", "-addr", addr}, {"client", "-addr", addr, "ArithService.Add", "{}"}} {
		code, _, errs := play(t, t.Context(), args...)
		if code != exitFailed {
			t.Errorf("%v: exit %d", args, code)
		}
		wantText(t, errs, "Nothing listens at "+addr, "go run ./demo server -addr "+addr)
	}
}

func TestServerOnATakenAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	code, _, errs := play(t, t.Context(), "server", "-addr", ln.Addr().String())
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantText(t, errs, "address already in use", "choose another address with -addr")
}

// startServer plays the server's role on a free port until end is called, which
// returns what it said.
func startServer(t *testing.T) (addr string, end func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	serving := make(chan struct{})
	out := &watchedOutput{on: "serves at", do: sync.OnceFunc(func() { close(serving) })}
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"server", "-addr", "127.0.0.1:0"}, out, out) }()
	end = sync.OnceValue(func() string {
		cancel()
		if c := <-code; c != exitOK {
			t.Errorf("the server ended with %d", c)
		}
		return out.text()
	})
	t.Cleanup(func() { end() })
	select {
	case <-serving:
	case <-t.Context().Done():
	case c := <-code:
		code <- c
		t.Fatalf("the server ended at once: %s", out.text())
	}
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(out.text()), end
}

// watchedOutput calls do when on is written to it.
type watchedOutput struct {
	on string
	do func()

	mu sync.Mutex
	// Guarded by mu:
	written strings.Builder
}

// Write implements io.Writer.
func (w *watchedOutput) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.written.Write(b)
	w.mu.Unlock()
	if strings.Contains(string(b), w.on) {
		w.do()
	}
	return len(b), nil
}

func (w *watchedOutput) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}
