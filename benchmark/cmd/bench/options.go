package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Bounds keep a mistyped flag from running for days or filling the machine.
const (
	maxRounds   = 50
	maxDuration = time.Minute
	maxCallers  = 10_000
	maxSize     = 1 << 20
)

type options struct {
	rounds   int
	duration time.Duration
	warmup   time.Duration
	only     []string
	sizes    []int
	callers  []int
	timeouts bool
	idle     int
	cpu      int
	seed     uint64
	markdown bool
	raw      string
}

func parseOptions(args []string) (options, error) {
	var o options
	var only, sizes, callers string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often each row is measured")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of each run")
	f.DurationVar(&o.warmup, "warmup", time.Second, "time of calls before it")
	f.StringVar(&only, "peers", "", "rows to measure, a comma list of names or of what stands before the slash (default all)")
	f.StringVar(&sizes, "sizes", "16,1024,65536", "bytes of payload, a comma list")
	f.StringVar(&callers, "callers", "1,100,1000", "numbers of callers, a comma list; 1 is pinned to one CPU with its server")
	f.BoolVar(&o.timeouts, "timeouts", true, "measure what timeouts cost, with 100 callers and 16 bytes")
	f.IntVar(&o.idle, "idle", 10_000, "idle connections to open for the memory of one; 0: none")
	f.IntVar(&o.cpu, "cpu", 0, "the CPU for one caller and its server")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the order of rows (default: by chance, printed)")
	f.BoolVar(&o.markdown, "markdown", false, "print Markdown")
	f.StringVar(&o.raw, "raw", "", "file for each single result as a line of JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	var err error
	if o.sizes, err = numbers("sizes", sizes, 0, maxSize); err != nil {
		return o, err
	}
	if o.callers, err = numbers("callers", callers, 1, maxCallers); err != nil {
		return o, err
	}
	return o, o.check()
}

func (o options) check() error {
	if o.rounds < 1 || o.rounds > maxRounds {
		return fmt.Errorf("-rounds %d is not between 1 and %d", o.rounds, maxRounds)
	}
	if o.duration <= 0 || o.duration > maxDuration || o.warmup <= 0 || o.warmup > maxDuration {
		return fmt.Errorf("-duration %v and -warmup %v must be above 0 and at most %v", o.duration, o.warmup, maxDuration)
	}
	if o.idle < 0 {
		return fmt.Errorf("-idle %d is negative", o.idle)
	}
	return nil
}

// numbers reads a comma list of integers between low and high.
func numbers(name, list string, low, high int) ([]int, error) {
	var all []int
	for item := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(item))
		if err != nil || n < low || n > high {
			return nil, fmt.Errorf("-%s: %q is not a number between %d and %d", name, item, low, high)
		}
		all = append(all, n)
	}
	return all, nil
}

// wants tells whether a row of that name is to be measured.
func wants(only []string, name string) bool {
	if len(only) == 0 {
		return true
	}
	family, _, _ := strings.Cut(name, "/")
	for _, o := range only {
		if o == name || o == family {
			return true
		}
	}
	return false
}
