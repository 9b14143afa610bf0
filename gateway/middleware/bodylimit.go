package middleware

import (
	"net/http"

	"github.com/sinew-rpc/sinew/gateway"
)

// BodyLimit lets handlers read at most limit bytes of a request's body. One that
// says beforehand that it is longer is answered 413; of one that does not, reading
// fails with *http.MaxBytesError, which the gateway answers so too.
func BodyLimit(limit int64) gateway.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				gateway.WriteError(w, gateway.BodyTooLarge(limit))
				return
			}
			limited := *r
			limited.Body = http.MaxBytesReader(w, r.Body, limit)
			next.ServeHTTP(w, &limited)
		})
	}
}
