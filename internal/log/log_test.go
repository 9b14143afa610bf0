package log

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/golang/glog"
)

// capture sends messages at and above level to a buffer until the test ends.
func capture(t *testing.T, level slog.Level) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	SetHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, AddSource: true}))
	t.Cleanup(func() { SetHandler(nil) })
	return &out
}

func TestLevelsWithSlog(t *testing.T) {
	log := func() {
		V(2).Infof("call %d", 2)
		V(1).Infof("conn %d", 1)
		Infof("info")
		Warningf("warning")
		Errorf("error")
	}
	for _, test := range []struct {
		name  string
		level slog.Level
		want  []string
	}{
		{"errors alone", slog.LevelError, []string{"msg=error"}},
		{"info", slog.LevelInfo, []string{"msg=info", "msg=warning", "msg=error"}},
		{"V(1)", Level(1).Slog(), []string{`level=DEBUG`, `msg="conn 1"`, "msg=info", "msg=warning", "msg=error"}},
		{"V(2)", Level(2).Slog(), []string{`msg="call 2"`, `msg="conn 1"`, "msg=info", "msg=warning", "msg=error"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := capture(t, test.level)
			log()
			var messages int
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
				if strings.HasPrefix(want, "msg=") {
					messages++
				}
			}
			if got := strings.Count(out.String(), "\n"); got != messages {
				t.Errorf("%d messages, want %d:\n%s", got, messages, out)
			}
		})
	}
}

func TestSlogLevels(t *testing.T) {
	for v, want := range map[Level]slog.Level{-1: -4, 0: -4, 1: -4, 2: -5, 5: -8} {
		if got := v.Slog(); got != want {
			t.Errorf("V(%d) is %d, want %d", v, got, want)
		}
	}
}

func TestSourceIsTheCaller(t *testing.T) {
	out := capture(t, slog.LevelDebug)
	for name, write := range map[string]func(){
		"Infof":         func() { Infof("x") },
		"Errorf":        func() { Errorf("x") },
		"Verbose.Infof": func() { V(1).Infof("x") },
	} {
		out.Reset()
		write()
		if !strings.Contains(out.String(), "log_test.go:") {
			t.Errorf("%s names another source than its caller: %s", name, out)
		}
	}
}

func TestGlogByDefault(t *testing.T) {
	set := func(name, value string) {
		old := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, old) })
	}
	if V(1) {
		t.Error("V(1) is on without -v")
	}
	set("v", "1")
	if !V(1) || V(2) {
		t.Errorf("with -v=1: V(1) is %v, V(2) is %v", V(1), V(2))
	}
	set("v", "0")
	set("vmodule", "log_test=3")
	if !V(3) || V(4) {
		t.Errorf("with -vmodule=log_test=3: V(3) is %v, V(4) is %v", V(3), V(4))
	}

	before := glog.Stats.Warning.Lines()
	set("stderrthreshold", "FATAL")
	dir := t.TempDir()
	set("log_dir", dir)
	Warningf("to glog")
	glog.Flush()
	if got := glog.Stats.Warning.Lines() - before; got != 1 {
		t.Errorf("glog counted %d warnings, want 1", got)
	}
}

type off struct{ slog.Handler }

func (off) Enabled(context.Context, slog.Level) bool { return false }

func TestLevelThatIsOffAllocatesNothing(t *testing.T) {
	addr := "127.0.0.1:8888"
	guarded := func() {
		if v := V(2); v {
			v.Infof("dialling %s, attempt %d", addr, runtime.NumGoroutine())
		}
	}
	for name, h := range map[string]slog.Handler{"glog": nil, "slog": off{}} {
		SetHandler(h)
		if n := testing.AllocsPerRun(100, guarded); n != 0 {
			t.Errorf("%s: %v allocations for a message that is off", name, n)
		}
	}
	SetHandler(nil)
}

func TestSwapWhileLogging(t *testing.T) {
	t.Cleanup(func() { SetHandler(nil) })
	counted := &counter{}
	SetHandler(counted)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 100 {
				Infof("message")
			}
		})
	}
	for range 100 {
		SetHandler(slog.NewTextHandler(io.Discard, nil))
		SetHandler(counted)
	}
	writers.Wait()
	Infof("last")
	if counted.last() != "last" {
		t.Errorf("the handler set last got %q last", counted.last())
	}
}

type counter struct {
	off
	mu   sync.Mutex
	text string // guarded by mu
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = r.Message
	return nil
}

func (c *counter) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}
