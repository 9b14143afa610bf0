package concurrency

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

var settings = Settings{Initial: 20, Min: 1, Max: 1 << 14, Levels: 1}

// goodput checks how many requests of a level were answered in time.
func goodput(t *testing.T, v *server, level int, least float64) {
	t.Helper()
	t.Logf("level %d: %d good of %d served, %d refused, slowest %v, %+v", level, v.good[level], v.served[level], v.refused[level], v.slowest, v.limiter.Stats())
	if float64(v.good[level]) < least {
		t.Errorf("level %d: %d answers in time, want %v at least", level, v.good[level], least)
	}
}

func wantLimit(t *testing.T, v *server, least, most int) {
	t.Helper()
	if n := v.limiter.Stats().Limit; n < least || n > most {
		t.Errorf("the limit is %d, want %d to %d", n, least, most)
	}
	if n := v.limiter.Stats().Running; n != 0 {
		t.Errorf("%d requests run when none does", n)
	}
}

// 16 slots of 10 ms serve 1,600 a second. Five times as many come, and as many
// are served in time as without overload, throughout.
func TestGoodputUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(16, settings)
		sort := traffic{perSecond: 8000, kind: new(Kind), hold: always(10 * time.Millisecond)}
		for range 11 { // measurements without load among them
			v.forget()
			v.load(t, time.Second, sort)
			goodput(t, v, 0, 0.95*1600)
			if v.slowest > 60*time.Millisecond {
				t.Errorf("a request took %v", v.slowest)
			}
		}
		wantLimit(t, v, 16, 48)
	})
}

func TestTheLimitFollowsWhatTheServerCanDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(16, settings)
		kind := new(Kind)
		full := func(slots int) {
			v.setSlots(slots)
			sort := traffic{perSecond: slots * 200, kind: kind, hold: always(10 * time.Millisecond)} // twice its capacity
			v.load(t, 11*time.Second, sort)
			v.forget()
			v.load(t, time.Second, sort)
			goodput(t, v, 0, 0.9*float64(slots)*100)
		}
		full(16)
		wantLimit(t, v, 16, 48)
		full(60)
		wantLimit(t, v, 60, 150)
		full(4)
		wantLimit(t, v, 4, 20)
		full(1)
		wantLimit(t, v, 1, 8)
	})
}

// A server that can do much is found out quickly, not refused to.
func TestAServerWithRoomRefusesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(600, settings)
		sort := traffic{perSecond: 1500, kind: new(Kind), hold: always(100 * time.Millisecond)}
		v.load(t, 2*time.Second, sort)
		v.forget()
		v.load(t, 12*time.Second, sort)
		goodput(t, v, 0, 0)
		if v.refused[0] != 0 {
			t.Errorf("%d requests were refused at a quarter of the load", v.refused[0])
		}
	})
}

// What the work depends on becomes slower for good: that is no overload, and
// the next measurement finds out.
func TestWorkThatHasBecomeSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(16, settings)
		v.late = time.Second
		kind := new(Kind)
		v.load(t, 5*time.Second, traffic{perSecond: 2000, kind: kind, hold: always(10 * time.Millisecond)})
		slow := traffic{perSecond: 1000, kind: kind, hold: always(50 * time.Millisecond)}
		v.load(t, 25*time.Second, slow)
		v.forget()
		v.load(t, 2*time.Second, slow)
		goodput(t, v, 0, 0.9*2*16*20)
	})
}

// So is it where the limit may not fall as far as it would, and the server can do much
// more than that.
func TestWorkThatHasBecomeSlowerAboveTheLeastLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(1000, Settings{Initial: 50, Min: 50, Max: 1 << 14, Levels: 1})
		v.late = time.Second
		kind := new(Kind)
		v.load(t, 5*time.Second, traffic{perSecond: 1000, kind: kind, hold: always(10 * time.Millisecond)})
		slow := traffic{perSecond: 4000, kind: kind, hold: always(50 * time.Millisecond)}
		v.load(t, 30*time.Second, slow)
		v.forget()
		v.load(t, 2*time.Second, slow)
		goodput(t, v, 0, 0.9*2*4000)
	})
}

// The server stands still now and then, for its collector or its neighbours, also
// while latency without load is measured: that does not pass for slow work.
func TestAServerThatStandsStillNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(16, settings)
		kind := new(Kind)
		for _, every := range []time.Duration{700 * time.Millisecond, 1700 * time.Millisecond} {
			v.load(t, 12*time.Second, traffic{perSecond: 3200, kind: kind, hold: stalling(10*time.Millisecond, 300*time.Millisecond, every)})
			v.forget()
			v.load(t, 2*time.Second, traffic{perSecond: 3200, kind: kind, hold: always(10 * time.Millisecond)})
			goodput(t, v, 0, 0.95*2*1600)
			wantLimit(t, v, 16, 80)
		}
	})
}

// A mix of quick and slow methods, whose shares change, and one that is quick
// nine times of ten: none is overload.
func TestAMixOfWorkIsNoOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(1000, settings)
		random := rand.New(rand.NewPCG(1, 2))
		quick := traffic{kind: new(Kind), hold: always(time.Millisecond)}
		slow := traffic{kind: new(Kind), hold: always(80 * time.Millisecond)}
		uneven := traffic{kind: new(Kind), hold: func() time.Duration {
			if random.IntN(10) == 0 {
				return 50 * time.Millisecond
			}
			return 100 * time.Microsecond
		}}
		mix := func(q, s, u int) {
			quick.perSecond, slow.perSecond, uneven.perSecond = q, s, u
			v.load(t, 12*time.Second, quick, slow, uneven)
		}
		mix(900, 50, 50)
		v.forget()
		mix(500, 200, 300)
		mix(50, 300, 650)
		mix(900, 50, 50)
		goodput(t, v, 0, 0)
		if all := v.refused[0] + v.served[0]; float64(v.refused[0]) > 0.001*float64(all) {
			t.Errorf("%d of %d requests were refused", v.refused[0], all)
		}
	})
}

// The low are refused first, and get what the high leave.
func TestTheLowAreRefusedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings
		s.Levels = 3
		v := newServer(16, s)
		kind, hold := new(Kind), always(10*time.Millisecond)
		low := traffic{perSecond: 5000, level: 0, kind: kind, hold: hold}
		middle := traffic{perSecond: 600, level: 1, kind: kind, hold: hold}
		high := traffic{perSecond: 600, level: 2, kind: kind, hold: hold}
		v.load(t, 2*time.Second, low, middle, high)
		v.forget()
		v.load(t, 9*time.Second, low, middle, high)
		for level := range 3 {
			goodput(t, v, level, 0)
		}
		sent := func(level int) float64 { return float64(v.good[level] + v.refused[level]) }
		if share := float64(v.refused[2]) / sent(2); share > 0.02 {
			t.Errorf("%.3f of the high were refused", share)
		}
		if share := float64(v.refused[1]) / sent(1); share > 0.06 {
			t.Errorf("%.3f of the middle were refused", share)
		}
		if all := v.good[0] + v.good[1] + v.good[2]; all < 0.93*9*1600 {
			t.Errorf("%d answers in time: the room that is kept is lost", all)
		}

		v.load(t, time.Second, low) // the high stay away
		v.forget()
		v.load(t, 3*time.Second, low)
		goodput(t, v, 0, 0.95*3*1600)
	})
}

func TestTheHighAloneFillTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings
		s.Levels = 2
		v := newServer(16, s)
		kind, hold := new(Kind), always(10*time.Millisecond)
		sorts := []traffic{{4000, 0, kind, hold}, {4000, 1, kind, hold}}
		v.load(t, time.Second, sorts...)
		v.forget()
		v.load(t, 3*time.Second, sorts...)
		goodput(t, v, 1, 0.9*3*1600)
		if v.served[0] > 3*1600/20 {
			t.Errorf("%d low ones were served while high ones were refused", v.served[0])
		}
	})
}

// What was admitted and never arrived is forgotten.
func TestAdmittedAndNeverSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(settings)
		for range settings.Initial {
			if _, ok := l.Admit(0); !ok {
				t.Fatal("refused within the limit")
			}
		}
		if after, ok := l.Admit(0); ok || after < leastRetry || after > mostRetry {
			t.Errorf("admitted beyond the limit, or come back in %v", after)
		}
		time.Sleep(2 * span)
		if _, ok := l.Admit(0); !ok {
			t.Error("still remembered")
		}
	})
}

func TestBeginRefusesBeyondTheLimit(t *testing.T) {
	l := New(settings)
	var tickets []Ticket
	for range settings.Initial {
		ticket, _, ok := l.Begin(0)
		if !ok {
			t.Fatal("refused within the limit")
		}
		tickets = append(tickets, ticket)
	}
	if _, _, ok := l.Begin(0); ok {
		t.Error("one too many")
	}
	for _, ticket := range tickets {
		l.End(ticket, new(Kind), false)
	}
	if s := l.Stats(); s.Running != 0 || s.Refused != 1 || s.Limit != settings.Initial {
		t.Errorf("%+v", s)
	}
}

// A burst on a server that had little to do finds the whole limit.
func TestABurstAfterQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(16, settings)
		sort := traffic{perSecond: 10, kind: new(Kind), hold: always(10 * time.Millisecond)}
		for range 5 {
			v.load(t, 7*time.Second, sort)
			for range v.limiter.Stats().Limit {
				v.request(sort)
			}
			v.all.Wait()
		}
		if v.refused[0] != 0 {
			t.Errorf("%d were refused", v.refused[0])
		}
	})
}

func TestBoundsOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(1000, Settings{Initial: 50, Min: 3, Max: 8, Levels: 1})
		kind := new(Kind)
		wantLimit(t, v, 8, 8)
		v.load(t, 2*time.Second, traffic{perSecond: 5000, kind: kind, hold: always(10 * time.Millisecond)})
		wantLimit(t, v, 8, 8)
		v.setSlots(1)
		v.load(t, 4*time.Second, traffic{perSecond: 5000, kind: kind, hold: always(10 * time.Millisecond)})
		wantLimit(t, v, 3, 5)
	})
}

func TestARequestAllocatesNothing(t *testing.T) {
	l, k := New(Settings{Initial: 20, Min: 1, Max: 100, Levels: 17}), new(Kind)
	if allocs := testing.AllocsPerRun(1000, func() {
		l.Admit(8)
		ticket, _, _ := l.Begin(8)
		l.End(ticket, k, true)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkRequest(b *testing.B) {
	l, k := New(Settings{Initial: 1000, Min: 1, Max: 1000, Levels: 17}), new(Kind)
	for b.Loop() {
		l.Admit(8)
		ticket, _, _ := l.Begin(8)
		l.End(ticket, k, true)
	}
}
