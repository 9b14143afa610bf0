package middleware_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/middleware"
	"github.com/sinew-rpc/sinew/ratelimit"
	"github.com/sinew-rpc/sinew/server"
)

// Middleware round a whole gateway, and round the routes of one group.
func Example() {
	s, err := server.NewSGServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	gw, err := gateway.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	cors, err := middleware.CORS(middleware.CORSOption{Origins: []string{"https://app.example.org"}})
	if err != nil {
		log.Fatal(err)
	}
	gw.Use(cors, middleware.AccessLog(nil), middleware.Recover(nil), middleware.BodyLimit(1<<20))

	limiter := ratelimit.NewRateLimiter(0.5, 0) // one each two seconds
	slow := gw.Group(gateway.GET, "/reports")
	slow.Use(
		middleware.RateLimit(func(r *http.Request) error { return limiter.TryAcquire(r.Context()) }),
		middleware.Breaker(middleware.BreakerOption{Threshold: 5, Window: 10 * time.Second}),
	)
	if err := slow.Route("/year", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a good one") }); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/reports/year", nil))
		fmt.Printf("%d %q\n", w.Code, w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 ""
	// 429 "2"
}
