package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/middleware"
	"github.com/sinew-rpc/sinew/protocol"
)

// slow is a backend that takes a while for each call.
type slow struct {
	takes time.Duration
	heeds bool // ends a call when its time is up
}

func (s slow) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	if !s.heeds {
		ctx = context.Background()
	}
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, protocol.NewError(protocol.DeadlineExceeded, "too late").WithOutcome(protocol.MaybeRun)
	}
	return &protocol.Message{Header: protocol.Header{SerializeType: m.SerializeType}, Body: []byte("{}")}, nil
}

func (slow) Services(context.Context) ([]protocol.ServiceInfo, error) { return nil, nil }

// One caller that does not wait closes a route for nobody else.
func TestWhichDeadlinesABreakerCounts(t *testing.T) {
	for _, test := range []struct {
		header, value string
		heeds, counts bool
	}{
		{"Timeout", "1ns", true, false},
		{"Timeout", "1ns", false, false},
		{"Timeout", "49ms", true, false},
		{"Timeout", "49", false, false},
		{"Connect-Timeout-Ms", "0", true, false},
		{"Connect-Timeout-Ms", "0", false, false},
		{"Connect-Timeout-Ms", "49", false, false},
		{"Timeout", "50ms", true, true},
		{"Timeout", "50", false, true},
		{"Connect-Timeout-Ms", "50", true, true},
	} {
		t.Run(test.header+" "+test.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, err := gateway.New(slow{takes: 200 * time.Millisecond, heeds: test.heeds}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer time.Sleep(200 * time.Millisecond) // for calls that heed nothing
				h := middleware.Breaker(middleware.BreakerOption{Window: time.Minute})(gw)
				call := func(header, value string) int {
					r := httptest.NewRequest(http.MethodPost, "/Shop/Sell", strings.NewReader("{}"))
					r.Header.Set("Content-Type", "application/json")
					if header != "" {
						r.Header.Set(header, value)
					}
					return ask(h, r).Code
				}
				for i := range 50 {
					want := http.StatusGatewayTimeout
					if test.counts && i >= middleware.DefaultBreakerThreshold {
						want = http.StatusServiceUnavailable
					}
					if code := call(test.header, test.value); code != want {
						t.Fatalf("call %d is answered %d, want %d", i, code, want)
					}
				}
				want := http.StatusOK
				if test.counts {
					want = http.StatusServiceUnavailable
				}
				if code := call("", ""); code != want {
					t.Errorf("another caller is answered %d, want %d", code, want)
				}
			})
		})
	}
}
