package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// fault is something that is done to the deployment, and undone.
type fault struct {
	name   string
	target string        // a host, or what is hit
	at     time.Duration // after the callers began
	lasts  time.Duration
	spares bool // see trouble

	began, ending, healed time.Time // it was begun; its end was begun; all was in its place
}

// action begins a fault and returns what ends it.
type action func(d *deployment, target string) (heal func() error, err error)

// trouble is a fault that a plan may hold.
type trouble struct {
	name    string
	targets []string
	needs   need
	spares  bool // it is the registry's alone: no call may notice
	begin   action
}

// need is what a fault cannot be made without.
type need uint8

const (
	nothing need = iota
	hosts        // namespaces of their own
	disk         // a file system of its own for BoltDB
)

var (
	providerHosts = []string{"p1", "p2", "p3", "p4", "p5", "p6"}
	gatewayHosts  = []string{"g1"}
	callerHosts   = []string{"c1", "c2", "c3"} // of those who call providers themselves
)

// touches reports whether a call may notice the fault: one of a caller is noticed by
// its own calls alone, and one of the gateway by those through it.
func (f *fault) touches(c *record) bool {
	switch {
	case f.spares:
		return false
	case slices.Contains(gatewayHosts, f.target):
		return c.Kind == kindHTTP
	case slices.Contains(callerHosts, f.target):
		return c.caller() == f.target
	}
	return true
}

var troubles = []trouble{
	{"provider killed", providerHosts, nothing, false, kill},
	{"provider frozen", providerHosts, nothing, false, freeze},
	{"provider replaced", providerHosts, nothing, false, replace},
	{"provider cut off", providerHosts, hosts, false, partition},
	{"provider behind a bad link", providerHosts, hosts, false, badLink},
	{"caller cut off", callerHosts, hosts, false, partition},
	{"gateway killed", gatewayHosts, nothing, false, kill},
	{"gateway behind a bad link", gatewayHosts, hosts, false, badLink},
	{"ZooKeeper's leader killed", []string{"leader"}, nothing, true, killLeader},
	{"all of ZooKeeper killed", []string{"z1 z2 z3"}, nothing, true, killZooKeeper},
	{"etcd killed", []string{"e1"}, nothing, true, killEtcd},
	{"BoltDB's disk full", []string{"disk"}, disk, true, fillDisk},
}

// The least time that a fault and the recovery from it have together, and the
// most.
const (
	minSlot = 3 * time.Second
	maxSlot = 15 * time.Second
	quiet   = 10 * time.Second // at the end, when all must be well again
)

// plan makes faults that fill the duration: of the same seed always the same.
// Each kind comes once before any comes again.
func plan(seed uint64, duration time.Duration, has map[need]bool) (faults []fault) {
	random := rand.New(rand.NewPCG(seed, 0))
	var possible []trouble
	for _, t := range troubles {
		if t.needs == nothing || has[t.needs] {
			possible = append(possible, t)
		}
	}
	slot := min(max(minSlot, duration/time.Duration(len(possible))), maxSlot)
	at := time.Second
	for at < duration {
		for _, i := range random.Perm(len(possible)) {
			t := possible[i]
			f := fault{name: t.name, target: t.targets[random.IntN(len(t.targets))], at: at, spares: t.spares}
			f.lasts = slot*2/5 + time.Duration(random.Int64N(int64(slot*3/10)))
			if t.spares && duration >= 5*time.Minute {
				f.lasts = time.Minute
			}
			if f.at+f.lasts > duration {
				return faults
			}
			faults = append(faults, f)
			at += f.lasts + slot*2/5
		}
	}
	return faults
}

// execute runs the plan and returns what was done, and when.
func (d *deployment) execute(ctx context.Context) ([]fault, error) {
	switch d.plan {
	case "chaos":
		return d.chaos(ctx)
	case "rolling":
		return d.rolling(ctx)
	case "soak":
		return d.soak(ctx)
	}
	return nil, fmt.Errorf("no plan is called %q", d.plan)
}

func (d *deployment) chaos(ctx context.Context) ([]fault, error) {
	faults := plan(d.seed, d.duration, d.means())
	for i := range faults {
		f := &faults[i]
		if err := rest(ctx, time.Until(d.began.Add(f.at))); err != nil {
			return nil, err
		}
		if err := d.commit(ctx, f); err != nil {
			return nil, fmt.Errorf("%s (%s): %w", f.name, f.target, err)
		}
	}
	return faults, rest(ctx, quiet)
}

// means is what faults can be made with here.
func (d *deployment) means() map[need]bool {
	return map[need]bool{hosts: d.network.namespaces, disk: d.registries.mounted}
}

// commit begins a fault, waits, and ends it.
func (d *deployment) commit(ctx context.Context, f *fault) error {
	f.began = time.Now()
	heal, err := begin(f.name)(d, f.target)
	if err != nil {
		return err
	}
	waited := rest(ctx, time.Until(f.began.Add(f.lasts)))
	f.ending = time.Now()
	err = errors.Join(waited, heal())
	f.healed = time.Now()
	return err
}

func begin(name string) action {
	for _, t := range troubles {
		if t.name == name {
			return t.begin
		}
	}
	return replace
}

// rest waits, unless ctx ends before.
func rest(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// node returns ours on the host.
func (d *deployment) node(name string) *node {
	for _, n := range append(append(append([]*node(nil), d.providers...), d.callers...), d.gateway) {
		if n.host.name == name {
			return n
		}
	}
	return nil
}

func kill(d *deployment, target string) (func() error, error) {
	n := d.node(target)
	n.kill()
	return n.run, nil
}

// replace drains a provider and starts another in its place.
func replace(d *deployment, target string) (func() error, error) {
	n := d.node(target)
	if err := n.leave(30 * time.Second); err != nil {
		d.unfinished = append(d.unfinished, err.Error())
	}
	return n.run, nil
}

func freeze(d *deployment, target string) (func() error, error) {
	n := d.node(target)
	return func() error { return n.signal(syscall.SIGCONT) }, n.signal(syscall.SIGSTOP)
}

func partition(d *deployment, target string) (func() error, error) {
	h := d.node(target).host
	return h.join, h.cut()
}

func badLink(d *deployment, target string) (func() error, error) {
	return d.node(target).host.impair()
}

func killLeader(d *deployment, _ string) (func() error, error) {
	var leader *registryServer
	err := poll(startLimit, func() (err error) { leader, err = d.registries.leader(); return err })
	if err != nil {
		return nil, err
	}
	leader.kill()
	return leader.run, nil
}

func killZooKeeper(d *deployment, _ string) (func() error, error) {
	for _, s := range d.registries.zookeepers {
		s.kill()
	}
	return func() error {
		var errs []error
		for _, s := range d.registries.zookeepers {
			errs = append(errs, s.run())
		}
		return errors.Join(errs...)
	}, nil
}

func killEtcd(d *deployment, _ string) (func() error, error) {
	d.registries.etcd.kill()
	return d.registries.etcd.run, nil
}

func fillDisk(d *deployment, _ string) (func() error, error) {
	return d.registries.free, d.registries.fill()
}

// The calm before and after a rolling restart.
const calm = 5 * time.Second

// rolling replaces every provider in turn, twice: the next when all registries
// list the last.
func (d *deployment) rolling(ctx context.Context) (faults []fault, err error) {
	if err := rest(ctx, calm); err != nil {
		return nil, err
	}
	for range 2 {
		for _, p := range d.providers {
			f := fault{name: "provider replaced", target: p.host.name, at: time.Since(d.began)}
			if err := d.commit(ctx, &f); err != nil {
				return nil, err
			}
			faults = append(faults, f)
			// The next leaves when consumers, who poll, have seen this one.
			if err := rest(ctx, 2*pollEvery); err != nil {
				return nil, err
			}
		}
	}
	return faults, rest(ctx, calm)
}

// soak replaces a provider every minute, and counts the entries before each.
func (d *deployment) soak(ctx context.Context) (faults []fault, err error) {
	random := rand.New(rand.NewPCG(d.seed, 0))
	for at := 30 * time.Second; at < d.duration; at += time.Minute {
		if err := rest(ctx, time.Until(d.began.Add(at))); err != nil {
			return nil, err
		}
		if err := d.countNow(); err != nil {
			return nil, err
		}
		f := fault{name: "provider replaced", target: providerHosts[random.IntN(providers)], at: at}
		if err := d.commit(ctx, &f); err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	err = rest(ctx, time.Until(d.began.Add(d.duration)))
	return faults, errors.Join(err, d.countNow())
}

// countNow notes how many entries all registries have together.
func (d *deployment) countNow() error {
	sum := 0
	for _, word := range d.registries.words() {
		n, err := d.count(word, providers, listLimit)
		if err != nil {
			return err
		}
		sum += n
	}
	d.samples = append(d.samples, entrySample{time.Now(), sum})
	return nil
}
