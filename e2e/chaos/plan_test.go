package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var allMeans = map[need]bool{hosts: true, disk: true}

func TestTheSameSeedIsTheSamePlan(t *testing.T) {
	a, b := plan(7, time.Minute, allMeans), plan(7, time.Minute, allMeans)
	if !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("one seed, two plans:\n%v\n%v", a, b)
	}
	if slices.Equal(a, plan(8, time.Minute, allMeans)) {
		t.Error("two seeds, one plan")
	}
}

func TestEveryFaultComesInAMinute(t *testing.T) {
	for seed := range uint64(200) {
		came := make(map[string]int)
		var end time.Duration
		for _, f := range plan(seed, time.Minute, allMeans) {
			if f.at < end {
				t.Fatalf("seed %d: %v begins before the last has ended", seed, f)
			}
			end = f.at + f.lasts
			came[f.name]++
		}
		if end > time.Minute {
			t.Errorf("seed %d: the last fault ends after %v", seed, end)
		}
		if len(came) < len(troubles)-1 { // the last may have no room
			t.Errorf("seed %d: %d of %d faults came", seed, len(came), len(troubles))
		}
	}
}

func TestWithoutHostsTheNetworkIsLeftAlone(t *testing.T) {
	for _, f := range plan(1, 10*time.Minute, nil) {
		for _, x := range troubles {
			if x.name == f.name && x.needs != nothing {
				t.Errorf("%s needs what is not there", f.name)
			}
		}
	}
}

// Where a bug no longer fits the source, nobody knows what a clean run is worth.
func TestEveryBugFitsTheSource(t *testing.T) {
	for _, b := range bugs {
		source, err := os.ReadFile(filepath.Join("..", "..", b.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.apply(string(source)); err != nil {
			t.Error(err)
		}
	}
}
