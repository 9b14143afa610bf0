package middleware

import (
	"net/http"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/log"
)

// Access is one request that was answered. Query and headers are not in it: they
// hold what must not be in a log.
type Access struct {
	Method    string
	Path      string
	Remote    string // host:port of the peer
	RequestID string
	Status    int
	Bytes     int64 // of the body of the response
	Took      time.Duration
}

// accessLevel is the verbosity at which single requests are logged.
const accessLevel = 2

// AccessLog tells write of each request once it is answered, also of one whose
// handler panicked (status 500). write may run concurrently. Nil writes a line at
// V(2); where that is off a request costs one atomic load.
func AccessLog(write func(Access)) gateway.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if write == nil && !log.V(accessLevel) {
				next.ServeHTTP(w, r)
				return
			}
			seen := &recorder{ResponseWriter: w}
			begun := time.Now()
			answered := false
			defer func() {
				tell(write, access(seen, r, begun, answered))
			}()
			next.ServeHTTP(seen, r)
			answered = true
		})
	}
}

func access(seen *recorder, r *http.Request, begun time.Time, answered bool) Access {
	a := Access{
		Method:    r.Method,
		Path:      r.URL.Path,
		Remote:    r.RemoteAddr,
		RequestID: gateway.RequestID(r),
		Status:    seen.status,
		Bytes:     seen.bytes,
		Took:      time.Since(begun),
	}
	switch {
	case a.Status == 0 && answered:
		a.Status = http.StatusOK
	case a.Status == 0:
		a.Status = http.StatusInternalServerError
	}
	return a
}

func tell(write func(Access), a Access) {
	if write != nil {
		write(a)
		return
	}
	log.V(accessLevel).Infof("sinew: gateway: %s %.256q from %s: %d, %d bytes in %v, request %s", a.Method, a.Path, a.Remote, a.Status, a.Bytes, a.Took, a.RequestID)
}
