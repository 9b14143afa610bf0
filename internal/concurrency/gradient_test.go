package concurrency

import (
	"testing"
	"time"
)

// measured has the gradient measure once, by samples that took so long each.
func measured(t *testing.T, g *gradient, k *Kind, took time.Duration) (next time.Duration) {
	t.Helper()
	now := g.measureAt.Add(1)
	g.pressed = true
	g.measure(now)
	if !g.measuring() {
		t.Fatal("no measurement")
	}
	for range measureEnough {
		g.sample(k, took, true)
	}
	g.tick(now)
	if g.measuring() {
		t.Fatal("the measurement does not end")
	}
	return g.measureAt.Sub(now)
}

func TestAMeasurementIsDoubtedOnce(t *testing.T) {
	g, k := newGradient(settings, time.Now()), new(Kind)
	for range mostWeight {
		g.sample(k, 10*time.Millisecond, true)
	}
	g.measured = 0
	if next := measured(t, &g, k, 300*time.Millisecond); next >= measureEvery {
		t.Errorf("after a doubtful one, the next measurement is due in %v", next)
	}
	if got := time.Duration(k.noLoad); got > 20*time.Millisecond {
		t.Errorf("without load it takes %v, by one measurement", got)
	}
	g.latency = 10 * time.Millisecond
	if next := measured(t, &g, k, 10*time.Millisecond); next != measureEvery {
		t.Errorf("the next measurement is due in %v", next)
	}
	if got := time.Duration(k.noLoad); got > 12*time.Millisecond {
		t.Errorf("without load it takes %v again", got)
	}
	for range 3 { // it is so indeed
		measured(t, &g, k, 50*time.Millisecond)
	}
	if got := time.Duration(k.noLoad); got < 45*time.Millisecond {
		t.Errorf("without load it takes %v by now", got)
	}
}

func TestWhatIsKnownRisesSlowlyUnderLoad(t *testing.T) {
	now := time.Now()
	g, k := newGradient(settings, now), new(Kind)
	for range mostWeight {
		g.sample(k, 10*time.Millisecond, true)
	}
	for range 1000 { // in one window
		g.sample(k, time.Second, true)
	}
	g.open(now)
	for range 1000 { // and in the next
		g.sample(k, time.Second, true)
	}
	if got, most := k.noLoad, windowRise*windowRise*float64(10*time.Millisecond)*1.001; got > most {
		t.Errorf("without load it takes %v after two windows, %v at most", time.Duration(got), time.Duration(most))
	}
	g.sample(k, 0, true)
	if k.noLoad <= 0 {
		t.Errorf("it takes %v", k.noLoad)
	}
}
