package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpenLoopKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := OpenLoop{
			Call: answer, Size: 8, Deadline: 10 * callTime,
			Phases: []Phase{{100, 2 * time.Second}, {4000, time.Second}, {3, 1500 * time.Millisecond}},
		}
		begun := time.Now()
		tally := loop.Run(t.Context())
		if took := time.Since(begun); took < 4*time.Second || took > 4500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		want := []int64{100, 100, 4000, 3, 2}
		if len(tally.Seconds) != len(want) {
			t.Fatalf("%d seconds", len(tally.Seconds))
		}
		for i, s := range tally.Seconds {
			if s.Sent != want[i] || s.Good != want[i] || s.Refused != 0 || s.Late != 0 {
				t.Errorf("second %d: %+v, want %d good", i, s, want[i])
			}
		}
		if late := tally.Lateness.Quantile(100); late > pace {
			t.Errorf("a call was made %v late", late)
		}
	})
}

func TestOpenLoopDoesNotWaitForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusal := errors.New("no")
		loop := OpenLoop{Deadline: 100 * time.Millisecond, Phases: []Phase{{10, time.Second}}}
		loop.Call = func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
			switch {
			case id < 4: // hangs until its deadline
				<-ctx.Done()
				return 0, nil, ctx.Err()
			case id < 7:
				return 0, nil, refusal
			case id == 7:
				return id + 1, body, nil
			case id == 8: // answers in spite of its deadline
				time.Sleep(200 * time.Millisecond)
			}
			return id, body, nil
		}
		tally := loop.Run(t.Context())
		if s := tally.Seconds[0]; s != (Second{Sent: 10, Good: 1, Refused: 4, Late: 5}) {
			t.Errorf("%+v", s)
		}
		if !errors.Is(tally.FirstRefusal, refusal) {
			t.Errorf("the first refusal is %v", tally.FirstRefusal)
		}
	})
}

func TestDeskWorksOffItsCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := NewDesk()
		begun := time.Now()
		ended := make(chan time.Duration)
		for range Capacity {
			go func() {
				if err := desk.Work(t.Context()); err != nil {
					t.Error(err)
				}
				ended <- time.Since(begun)
			}()
		}
		var last time.Duration
		for range Capacity {
			last = <-ended
		}
		if last != time.Second {
			t.Errorf("%d calls took %v", Capacity, last)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range Slots {
			desk.slots <- struct{}{}
		}
		if err := desk.Work(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("one that has gone: %v", err)
		}
	})
}
