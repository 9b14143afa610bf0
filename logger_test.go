package sinew_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/internal/log"
)

func TestSetLoggerTakesAndGivesBack(t *testing.T) {
	var out strings.Builder
	sinew.SetLogger(slog.NewTextHandler(&out, nil))
	log.Warningf("disk %d%% full", 91)
	sinew.SetLogger(nil)
	log.V(100).Infof("not for the handler")

	if got := out.String(); !strings.Contains(got, `level=WARN msg="disk 91% full"`) {
		t.Errorf("the handler got %q, want the warning", got)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("the handler got %d records, want 1", n)
	}
}

func ExampleSetLogger() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	sinew.SetLogger(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	defer sinew.SetLogger(nil)

	log.Errorf("sinew: lost the registry") // as the framework does
	// Output: level=ERROR msg="sinew: lost the registry"
}
