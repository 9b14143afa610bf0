package e2e

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
)

// The crowd: two hundred processes' worth of registries, each with a connection to
// the store of its own, that register five providers each, and as many consumers.
// The TTL is what such an application should choose: a list is read anew each half
// of it, by everyone.
const (
	crowdProviders = 1000
	crowdWriters   = 200
	crowdConsumers = 200
	crowdTTL       = 2 * time.Minute
	crowdInterval  = crowdTTL / 3     // between two refreshes of a provider
	crowdPoll      = 10 * time.Second // libkv's default
	crowdRest      = time.Minute      // how long the store is watched while nothing happens
)

// What is promised in advance. Intervals are means of jittered ones; the slack is
// for that, for where the minute begins and ends, and for a call that is made twice
// because the machine is slow. How long things take is measured, and no promise:
// server, providers and consumers share the machine of the test.
const (
	crowdSlack = 1.5
	// In bytes per consumer: 12 KiB for each provider that it knows, with what a
	// writer's sweeper keeps, and a list that is on its way.
	crowdMemory = 12 << 20
)

// crowdReads is the number of reads a second at rest, on a store where reading
// the list takes perList reads.
func crowdReads(perList float64) float64 {
	consumers := crowdConsumers * (1/crowdPoll.Seconds() + (1+perList)/(crowdTTL/2).Seconds())
	refreshes := crowdProviders / crowdInterval.Seconds()
	sweepers := 2*perList/crowdInterval.Seconds() + crowdWriters*perList/(10*crowdTTL).Seconds()
	return consumers + refreshes + sweepers
}

// crowdWrites is the number of writes a second at rest: the refreshes, whoever
// reads.
const crowdWrites = float64(crowdProviders) / (float64(crowdInterval) / float64(time.Second))

// crowd is the store, and everyone who uses it.
type crowd struct {
	*testing.T
	backend  store.Backend
	addr     string
	requests func() registryserver.Requests

	consumers  []client.SGClient
	registries []*libkv.KVRegistry // of consumers
	writers    []*libkv.KVRegistry // of providers
	memory     int                 // in use before there were consumers
	closers    []func()
}

// A thousand providers and two hundred consumers on one server: what they cost it
// and themselves at rest, and how soon all know of one more.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("long: make test-all runs it")
	}
	if raceEnabled {
		t.Skip("it measures: make crowd runs it without the detector")
	}
	for _, kind := range []struct {
		name     string
		backend  store.Backend
		start    func(testing.TB) *registryserver.Server
		requests func(testing.TB, *registryserver.Server) registryserver.Requests
		perList  float64 // reads
	}{
		{"ZooKeeper", store.ZK, registryserver.ZooKeeper, registryserver.ZooKeeperRequests, 1 + crowdProviders},
		{"etcd", etcdv3.Backend, registryserver.Etcd, registryserver.EtcdRequests, 1},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.start(t)
			c := &crowd{T: t, backend: kind.backend, addr: s.Addr(), requests: func() registryserver.Requests { return kind.requests(t, s) }}
			defer c.disperse()
			c.gatherProviders()
			c.gatherConsumers()
			c.rest(kind.perList)
			c.oneMore()
		})
	}
}

// crowdMember is at an address that nobody serves at: nobody calls there either.
func crowdMember(i int) registry.Provider {
	return registry.Provider{
		Network: "tcp", Addr: fmt.Sprintf("10.0.%d.%d:8888", i/256, i%256), Version: "v1", Started: time.Now(),
		Services: []registry.Service{{Name: "ArithService", Methods: []registry.Method{
			{Name: "Add", Request: "arith.Request", Response: "arith.Response"},
			{Name: "Divide", Request: "arith.Request", Response: "arith.Response"},
			{Name: "Multiply", Request: "arith.Request", Response: "arith.Response"},
		}}},
	}
}

func (c *crowd) connect() *libkv.KVRegistry {
	c.Helper()
	r, err := libkv.NewKVRegistry(c.backend, sharedApp, sharedPath, []string{c.addr}, crowdPoll, nil)
	if err != nil {
		c.Fatal(err)
	}
	return r
}

// register has one more provider registered, however often it takes.
func (c *crowd) register(r *libkv.KVRegistry, i int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Register(ctx, registry.RegisterOption{TTL: crowdTTL}, crowdMember(i)); err != nil {
		c.Logf("provider %d goes on trying: %v", i, err)
	}
}

func (c *crowd) gatherProviders() {
	began := time.Now()
	for range crowdWriters {
		r := c.connect()
		c.writers = append(c.writers, r)
		c.closers = append(c.closers, func() { _ = r.Close() }) // returns nil
	}
	inParallel(crowdProviders, 32, func(i int) { c.register(c.writers[i%crowdWriters], i) })
	c.Logf("%d providers are registered after %v", crowdProviders, time.Since(began).Round(time.Millisecond))
}

func (c *crowd) gatherConsumers() {
	c.memory = memoryInUse()
	began := time.Now()
	for range crowdConsumers {
		r := c.connect()
		op := client.DefaultSGOption
		op.AppKey, op.Registry = sharedApp, r
		consumer, err := client.NewSGClient(op) // it waits for nothing
		if err != nil {
			c.Fatal(err)
		}
		c.consumers, c.registries = append(c.consumers, consumer), append(c.registries, r)
		c.closers = append(c.closers, func() { _, _ = consumer.Close(), r.Close() }) // they return nil
	}
	known := c.until(crowdProviders, 10*time.Minute)
	c.Logf("%d consumers started together: half know all providers after %v, the last after %v",
		crowdConsumers, known[crowdConsumers/2].Sub(began).Round(time.Millisecond), known[crowdConsumers-1].Sub(began).Round(time.Millisecond))
}

// until waits until every consumer knows n providers, and returns when each did,
// in order.
func (c *crowd) until(n int, atMost time.Duration) (known []time.Time) {
	c.Helper()
	began := time.Now()
	knows := make([]bool, len(c.consumers))
	for len(known) < len(c.consumers) {
		for i, consumer := range c.consumers {
			if !knows[i] && c.registries[i].Stats().Reader.Providers == n && len(consumer.Providers()) == n {
				knows[i] = true
				known = append(known, time.Now())
			}
		}
		if time.Since(began) > atMost {
			c.Fatalf("after %v, %d of %d consumers know %d providers", atMost, len(known), len(c.consumers), n)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return known
}

// rest looks at what the store is asked while nothing happens.
func (c *crowd) rest(perList float64) {
	time.Sleep(crowdTTL * 5 / 4) // what has just begun is no rest: each writer looks within a TTL, once, whether it is a sweeper
	before, did := c.requests(), c.work()
	time.Sleep(crowdRest)
	asked := c.requests().Sub(before)
	c.Logf("at rest, in %v: %v", crowdRest, c.work().sub(did))
	reads, writes := float64(asked.Reads)/crowdRest.Seconds(), float64(asked.Writes)/crowdRest.Seconds()
	c.Logf("at rest: %.0f reads a second, at most %.0f promised; %.1f writes, at most %.1f",
		reads, crowdReads(perList)*crowdSlack, writes, crowdWrites*crowdSlack)
	if reads > crowdReads(perList)*crowdSlack || writes > crowdWrites*crowdSlack {
		c.Error("that is more")
	}
	perConsumer := (memoryInUse() - c.memory) / crowdConsumers
	c.Logf("memory per consumer: %d KiB, at most %d promised", perConsumer>>10, crowdMemory>>10)
	if perConsumer > crowdMemory {
		c.Error("that is more")
	}
}

// crowdWork is what registries did, so that a surplus at the store can be traced
// to who asked for it.
type crowdWork struct {
	lists, polls, early, hints, rearmed, silent uint64 // of consumers
	refreshes, touches, sweeps, lost            uint64 // of writers
	faults                                      uint64 // of both
}

func (w crowdWork) sub(o crowdWork) crowdWork {
	return crowdWork{
		w.lists - o.lists, w.polls - o.polls, w.early - o.early, w.hints - o.hints, w.rearmed - o.rearmed, w.silent - o.silent,
		w.refreshes - o.refreshes, w.touches - o.touches, w.sweeps - o.sweeps, w.lost - o.lost,
		w.faults - o.faults,
	}
}

func (w crowdWork) String() string {
	return fmt.Sprintf("consumers: %d lists, %d polls, %d early, %d hints, %d rearmed, %d silent; writers: %d refreshes, %d touches, %d sweeps, %d lost; %d faults",
		w.lists, w.polls, w.early, w.hints, w.rearmed, w.silent, w.refreshes, w.touches, w.sweeps, w.lost, w.faults)
}

func (c *crowd) work() (w crowdWork) {
	for _, r := range slices.Concat(c.registries, c.writers) {
		s := r.Stats()
		w.lists += s.Reader.Lists
		w.polls += s.Reader.Polls
		w.early += s.Reader.Early
		w.hints += s.Reader.Hints
		w.rearmed += s.Reader.Rearmed
		w.silent += s.Reader.Silent
		w.refreshes += s.Writer.Refreshes
		w.touches += s.Writer.Touches
		w.sweeps += s.Writer.Sweeps
		w.lost += s.Writer.Lost
		w.faults += s.Store.Faults
	}
	return w
}

// oneMore looks at how soon everyone knows of another provider.
func (c *crowd) oneMore() {
	began := time.Now()
	r := c.connect()
	c.closers = append(c.closers, func() { _ = r.Close() }) // returns nil
	c.register(r, crowdProviders)
	registered := time.Now()
	known := c.until(crowdProviders+1, 5*time.Minute)
	last := known[len(known)-1].Sub(began)
	c.Logf("one more: registered after %v, half of the consumers know it after %v, the last after %v",
		registered.Sub(began).Round(time.Millisecond), known[len(known)/2].Sub(began).Round(time.Millisecond), last.Round(time.Millisecond))
}

func (c *crowd) disperse() {
	began := time.Now()
	slices.Reverse(c.closers)
	inParallel(len(c.closers), 64, func(i int) { c.closers[i]() })
	c.Logf("all is closed after %v", time.Since(began).Round(time.Millisecond))
}

// inParallel calls f for 0 to n-1, at most width at a time.
func inParallel(n, width int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// memoryInUse is what live objects and stacks take.
func memoryInUse() int {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
