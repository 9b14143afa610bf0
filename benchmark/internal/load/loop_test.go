package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const callTime = time.Millisecond

// answer echoes after callTime.
func answer(_ context.Context, id int64, body []byte) (int64, []byte, error) {
	time.Sleep(callTime)
	return id, body, nil
}

func repeat(call Call, n int) []Call {
	calls := make([]Call, n)
	for i := range calls {
		calls[i] = call
	}
	return calls
}

func TestLoopCountsAndTimesEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, each = 7, 1000
		loop := NewLoop(repeat(answer, callers), 32)
		for run := range 2 {
			// Half a call beyond: the calls in flight then are finished and counted.
			tally := loop.Run(t.Context(), (each-1)*callTime+callTime/2)
			if tally.Calls != callers*each || tally.Errors != 0 || tally.FirstError != nil {
				t.Fatalf("run %d: %d calls, %d errors, %v; want %d, 0, nil", run, tally.Calls, tally.Errors, tally.FirstError, callers*each)
			}
			if tally.Elapsed != each*callTime {
				t.Errorf("run %d: took %v, want %v", run, tally.Elapsed, each*callTime)
			}
			if n := tally.Latency.Count(); n != tally.Calls {
				t.Errorf("run %d: %d of %d calls were timed", run, n, tally.Calls)
			}
			for _, q := range []float64{50, 99, 100} {
				got := tally.Latency.Quantile(q)
				if off := (got - callTime).Abs(); off > callTime/500 {
					t.Errorf("run %d: quantile %v is %v, want %v", run, q, got, callTime)
				}
			}
		}
	})
}

func TestLoopFindsWrongReplies(t *testing.T) {
	failed := errors.New("refused")
	tests := []struct {
		name string
		call Call
		want error
	}{
		{"another's identifier", func(_ context.Context, id int64, body []byte) (int64, []byte, error) { return id + 1, body, nil }, ErrWrongReply},
		{"a byte changed", func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
			reply := append([]byte(nil), body...)
			reply[len(reply)-1]++
			return id, reply, nil
		}, ErrWrongReply},
		{"cut short", func(_ context.Context, id int64, body []byte) (int64, []byte, error) { return id, body[1:], nil }, ErrWrongReply},
		{"an error", func(context.Context, int64, []byte) (int64, []byte, error) { return 0, nil, failed }, failed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// It gives up by itself, long before the time is up.
			tally := NewLoop(repeat(test.call, 3), 16).Run(t.Context(), time.Hour)
			if tally.Calls != 0 || tally.Errors != 3*errorsPerCaller {
				t.Errorf("%d calls and %d errors, want 0 and %d", tally.Calls, tally.Errors, 3*errorsPerCaller)
			}
			if !errors.Is(tally.FirstError, test.want) {
				t.Errorf("first error %v, want %v", tally.FirstError, test.want)
			}
		})
	}
}

func TestCallersSendDifferentMessages(t *testing.T) {
	type message struct {
		id   int64
		body string
	}
	seen := make(chan message, 10)
	loop := NewLoop(repeat(func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
		seen <- message{id, string(body)}
		return id, nil, errors.New("enough") // ends the caller after errorsPerCaller calls
	}, 2), 16)
	go func() { defer close(seen); loop.Run(context.Background(), time.Hour) }()
	ids, bodies := map[int64]bool{}, map[string]bool{}
	for m := range seen {
		ids[m.id], bodies[m.body] = true, true
	}
	if len(ids) != 2*errorsPerCaller || len(bodies) != 2 {
		t.Errorf("%d identifiers and %d bodies, want %d and 2", len(ids), len(bodies), 2*errorsPerCaller)
	}
}

func TestTimeoutModes(t *testing.T) {
	tests := []struct {
		mode         Timeout
		wantDeadline bool
		wantOption   time.Duration
	}{
		{TimeoutNone, false, 0},
		{TimeoutRequest, false, CallTimeout},
		{TimeoutContext, true, 0},
		{TimeoutIgnored, false, 0},
	}
	for _, test := range tests {
		t.Run(string(test.mode), func(t *testing.T) {
			parsed, err := ParseTimeout(string(test.mode))
			if err != nil || parsed != test.mode {
				t.Fatalf("ParseTimeout: %q, %v", parsed, err)
			}
			if got := test.mode.requestTimeout(); got != test.wantOption {
				t.Errorf("option %v, want %v", got, test.wantOption)
			}
			call := test.mode.wrap(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
				if _, has := ctx.Deadline(); has != test.wantDeadline {
					t.Errorf("context has a deadline: %v, want %v", has, test.wantDeadline)
				}
				return id, body, nil
			})
			if id, _, err := call(t.Context(), 7, nil); id != 7 || err != nil {
				t.Errorf("call: %d, %v; want 7, nil", id, err)
			}
		})
	}
	if _, err := ParseTimeout("sometimes"); err == nil {
		t.Error("an unknown mode was taken")
	}
}
