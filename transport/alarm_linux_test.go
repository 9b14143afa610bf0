package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarm(t *testing.T) {
	covered := func(t *testing.T, a *alarm, want bool, when string) {
		t.Helper()
		if got := a.covers(); got != want {
			t.Errorf("%s: covers is %v", when, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var a alarm
		covered(t, &a, false, "zero")
		if !a.set() {
			t.Fatal("an alarm that is off was not set")
		}
		if a.set() {
			t.Error("it was set twice")
		}
		covered(t, &a, false, "before the monitor heard of it")
		a.heard()
		for range 3 {
			covered(t, &a, true, "while bytes move")
			time.Sleep(alarmPeriod)
			synctest.Wait()
		}
		covered(t, &a, true, "after the last time")
		time.Sleep(2 * alarmPeriod)
		synctest.Wait()
		covered(t, &a, false, "after a period without bytes")
		if !a.set() {
			t.Error("it was not set anew")
		}
		time.Sleep(alarmPeriod)
		synctest.Wait()
		a.heard()
		covered(t, &a, false, "when it went off before the monitor heard of it")
	})
}
