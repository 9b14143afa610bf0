// Chaos runs a small deployment in processes of its own, hurts it by a seeded
// plan while calls of several kinds go on, and afterwards holds what every caller
// was told against what every provider wrote down. It ends with status 1 where
// one of them does not agree, or where something hung or was left behind.
//
//	go run ./e2e/chaos                            # one minute of faults, seed 1
//	go run ./e2e/chaos -duration 10m -seed 7
//	go run ./e2e/chaos -bug retry-maybe-run       # with a bug put in on purpose: must fail
//	go run ./e2e/chaos -plan rolling              # six providers replaced, twice: no failed call
//	go run ./e2e/chaos -plan soak -duration 30m   # a replacement every minute
//
// The deployment is six providers that register in a ZooKeeper ensemble of three,
// in etcd and in a BoltDB file, a gateway, and callers. Where the program may make
// network namespaces, each of them is a host of its own behind a bridge; elsewhere
// each has an address of the loopback interface, and the faults of the network are
// left out. The report says which.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// roles are what the program is besides the one that runs the others.
var roles = map[string]func(args []string) error{
	"provider": provide,
	"caller":   callAll,
	"gateway":  bridge,
	"entries":  countEntries,
	"ask":      ask,
}

// settings is what a run is asked for.
type settings struct {
	plan     string
	seed     uint64
	duration time.Duration
	callers  int
	rate     float64
	bug      string
	out      string
	loopback bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		if role := roles[args[0]]; role != nil {
			return role(args[1:])
		}
	}
	var s settings
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&s.plan, "plan", "chaos", "what is done: chaos, rolling or soak")
	flags.Uint64Var(&s.seed, "seed", 1, "the same seed is the same plan")
	flags.DurationVar(&s.duration, "duration", time.Minute, "how long faults go on; rolling takes as long as it takes")
	flags.IntVar(&s.callers, "callers", 500, "callers of a rolling restart")
	flags.Float64Var(&s.rate, "rate", 1, "factor on the calls per second of chaos and soak")
	flags.StringVar(&s.bug, "bug", "", "a bug to put in on purpose: "+strings.Join(bugNames(), ", "))
	flags.StringVar(&s.out, "out", "", "folder for the report; empty is out/chaos")
	flags.BoolVar(&s.loopback, "loopback", false, "make no network namespaces")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.out == "" {
		s.out = filepath.Join("out", "chaos")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	found, err := s.experiment(ctx)
	if err != nil {
		return err
	}
	if err := found.write(s.out); err != nil {
		return err
	}
	fmt.Print(found.summary())
	if n := len(found.violations); n > 0 {
		return fmt.Errorf("%d promises were broken: %s", n, filepath.Join(s.out, found.name()+".md"))
	}
	return nil
}

// experiment builds the deployment, runs the plan and judges.
func (s *settings) experiment(ctx context.Context) (found *findings, err error) {
	dir, err := os.MkdirTemp("", netPrefix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if found != nil && len(found.violations) > 0 {
			fmt.Println("what the processes wrote is kept in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	binary, err := s.binary(dir)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(s.loopback)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.remove()) }()
	d := &deployment{settings: s, network: n, dir: dir, binary: binary}
	defer d.killAll()
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	faults, err := d.execute(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return d.judge(faults)
}

// binary is this program, or with a bug another one that has it.
func (s *settings) binary(dir string) (string, error) {
	if s.bug == "" {
		return os.Executable()
	}
	return buildWith(s.bug, dir)
}
