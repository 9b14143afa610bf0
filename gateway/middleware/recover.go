package middleware

import (
	"net/http"
	"runtime/debug"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// Recover answers a request whose handler panicked with 500, where nothing was
// answered yet; else it breaks the connection off, so that nobody takes half a
// response for a whole one. onPanic is told what was panicked with and the stack,
// and may run concurrently; nil logs them as an error. http.ErrAbortHandler
// passes.
func Recover(onPanic func(r *http.Request, value any, stack []byte)) gateway.Middleware {
	if onPanic == nil {
		onPanic = logPanic
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen := &recorder{ResponseWriter: w}
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p == http.ErrAbortHandler {
					panic(p)
				}
				onPanic(r, p, debug.Stack())
				if seen.status != 0 {
					panic(http.ErrAbortHandler)
				}
				gateway.WriteError(w, protocol.NewError(protocol.Internal, "the handler panicked; the gateway's log has the stack").WithOutcome(protocol.MaybeRun))
			}()
			next.ServeHTTP(seen, r)
		})
	}
}

func logPanic(r *http.Request, value any, stack []byte) {
	log.Errorf("sinew: gateway: %s %.128q panicked: %v\n%s", r.Method, r.URL.Path, value, stack)
}
