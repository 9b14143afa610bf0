// Package log is where sinew's own messages go: glog unless the program set a
// slog.Handler. It is small on purpose. What belongs to one call is an error
// that its caller gets; what is logged is what nobody was told.
//
// Messages that help to follow single calls are at a V level and guarded, so
// that they cost one load and no allocation when they are off:
//
//	if v := log.V(2); v {
//		v.Infof("sinew: dialling %s", addr)
//	}
//
// All functions may be called concurrently.
package log

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/golang/glog"
)

// Level is a verbosity: 1 is for following what happens to connections and
// registrations, 2 for following calls, 3 for following frames.
type Level int32

// Slog returns the slog level at which a handler must be enabled for V(v) to be
// on: DEBUG (-4) for 1, and one less for each further level, so 2 is DEBUG-1.
func (v Level) Slog() slog.Level {
	return slog.LevelDebug - slog.Level(max(0, v-1))
}

// Verbose is whether a V level is on.
type Verbose bool

// handler is what SetHandler was given; nil stands for glog.
var handler atomic.Pointer[slog.Handler]

// SetHandler sends all messages from now on to h, or to glog again when h is
// nil.
func SetHandler(h slog.Handler) {
	if h == nil {
		handler.Store(nil)
		return
	}
	handler.Store(&h)
}

// V reports whether messages at level v are wanted: with glog by its flags -v
// and -vmodule, with a slog.Handler by whether it is enabled for v.Slog().
func V(v Level) Verbose {
	if h := handler.Load(); h != nil {
		return Verbose((*h).Enabled(context.Background(), v.Slog()))
	}
	return Verbose(glog.VDepth(1, glog.Level(v)))
}

// Infof logs if v is true: as information with glog, as DEBUG with slog,
// whatever the level was. Its arguments are evaluated, and may be allocated,
// either way; the guard in the package's description avoids that.
func (v Verbose) Infof(format string, args ...any) {
	if v {
		output(slog.LevelDebug, glog.InfoDepthf, format, args)
	}
}

// Infof logs what an operator may want to know.
func Infof(format string, args ...any) {
	output(slog.LevelInfo, glog.InfoDepthf, format, args)
}

// Warningf logs what works, but should not be left so.
func Warningf(format string, args ...any) {
	output(slog.LevelWarn, glog.WarningDepthf, format, args)
}

// Errorf logs what went wrong and reached no caller.
func Errorf(format string, args ...any) {
	output(slog.LevelError, glog.ErrorDepthf, format, args)
}

// output must be called by an exported function directly: the message carries
// the place where that was called.
func output(level slog.Level, toGlog func(depth int, format string, args ...any), format string, args []any) {
	h := handler.Load()
	if h == nil {
		toGlog(2, format, args...)
		return
	}
	ctx := context.Background()
	if !(*h).Enabled(ctx, level) {
		return
	}
	var caller [1]uintptr
	runtime.Callers(3, caller[:]) // skips Callers, output and its caller
	record := slog.NewRecord(time.Now(), level, fmt.Sprintf(format, args...), caller[0])
	// A handler that fails has nowhere to say so, as in slog.Logger.
	_ = (*h).Handle(ctx, record)
}
