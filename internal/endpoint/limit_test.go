package endpoint

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whose limit a context has is told through whatever is between.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		background := context.Background()
		caller, cancelCaller := context.WithTimeout(background, 5*time.Second)
		defer cancelCaller()
		call := Bound(background, 2*time.Second)
		defer call.End()
		attempt := BoundAttempt(call, time.Second)
		defer attempt.End()
		race, cancelRace := context.WithCancel(call)
		defer cancelRace()
		raced := BoundAttempt(race, time.Second)
		defer raced.End()
		patient := BoundAttempt(call, time.Minute)
		defer patient.End()
		within := Bound(caller, time.Minute)
		defer within.End()
		shorter, cancelShorter := context.WithTimeout(call, time.Second)
		defer cancelShorter()
		for _, test := range []struct {
			what string
			ctx  context.Context
			left time.Duration
			name string
			says string
		}{
			{"a call", call, 2 * time.Second, "RequestTimeout", "within RequestTimeout (2s)"},
			{"an attempt", attempt, time.Second, "AttemptTimeout", "within AttemptTimeout (1s)"},
			{"a race", race, 2 * time.Second, "RequestTimeout", "within RequestTimeout (2s)"},
			{"an attempt in a race", raced, time.Second, "AttemptTimeout", "within AttemptTimeout (1s)"},
			{"an attempt longer than its call", patient, 2 * time.Second, "RequestTimeout", "within RequestTimeout (2s)"},
			{"a call longer than its caller", within, 5 * time.Second, "", "deadline of the caller's context"},
			{"what a wrapper shortened", shorter, time.Second, "", "deadline of the caller's context"},
			{"no limit", background, 0, "", "before the deadline"},
		} {
			if got := LimitName(test.ctx); got != test.name {
				t.Errorf("%s: the limit is %q, want %q", test.what, got, test.name)
			}
			if got := LimitText(test.ctx); !strings.Contains(got, test.says) {
				t.Errorf("%s: %q, want %q", test.what, got, test.says)
			}
			if deadline, ok := test.ctx.Deadline(); ok && time.Until(deadline) != test.left {
				t.Errorf("%s: %v left, want %v", test.what, time.Until(deadline), test.left)
			}
		}
		begun := time.Now()
		if at, ok := Begun(call); !ok || !at.Equal(begun) {
			t.Errorf("the call began at %v, %v", at, ok)
		}
		if _, ok := Begun(within); ok {
			t.Error("when a call began that its caller bounds is known")
		}
		<-attempt.Done()
		if took := time.Since(begun); took != time.Second || !errors.Is(attempt.Err(), context.DeadlineExceeded) || call.Err() != nil {
			t.Errorf("the attempt ended after %v with %v, the call with %v", took, attempt.Err(), call.Err())
		}
	})
}

// What a call waits on ends with every context that it is bounded by.
func TestWhatACallWaitsOn(t *testing.T) {
	caller, cancel := context.WithCancel(context.Background())
	call := Bound(caller, time.Hour)
	defer call.End()
	attempt := BoundAttempt(call, time.Minute)
	defer attempt.End()
	wait, deadline := waitOn(attempt, nil)
	want, _ := attempt.Deadline()
	if wait != caller || !deadline.Equal(want) {
		t.Errorf("waits on %v until %v", wait, deadline)
	}
	owner, end := context.WithCancel(context.Background())
	defer end()
	owned := Owned(caller, owner)
	defer owned.End()
	if wait, _ := waitOn(owned, owner); wait != caller {
		t.Errorf("a call of the owner's waits on %v", wait)
	}
	if wait, _ := waitOn(owned, nil); wait != owned {
		t.Errorf("another's call waits on %v", wait)
	}
	cancel()
	if attempt.Err() == nil {
		t.Error("the caller's end does not end the attempt")
	}
}
