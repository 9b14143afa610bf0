package sinew

import (
	"log/slog"

	"github.com/sinew-rpc/sinew/internal/log"
)

// SetLogger sends sinew's own messages to h; nil sends them to glog, which is
// where they go by default. It holds for the whole process, at once, and may be
// called at any time, concurrently with everything.
//
// Messages that follow single connections and calls exist at V levels. With
// glog its flags -v and -vmodule switch them on. With a slog.Handler, V(1) is on
// where h is enabled for [slog.LevelDebug], and V(n) where it is enabled for
// slog.LevelDebug-(n-1); they arrive as DEBUG records. A level that is off
// costs a call of h.Enabled and no allocation.
func SetLogger(h slog.Handler) { log.SetHandler(h) }
