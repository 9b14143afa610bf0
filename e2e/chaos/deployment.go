package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// providers is how many there are.
const providers = 6

// deployment is everything that runs.
type deployment struct {
	*settings
	network *network
	dir     string
	binary  string
	began   time.Time // when the callers were ready

	registries *registries
	providers  []*node
	gateway    *node
	callers    []*node

	entries    map[string][2]int // per registry: after the faults, and after the end
	samples    []entrySample     // of a soak
	unfinished []string          // what did not end in order
}

// entrySample is how many entries all registries had together.
type entrySample struct {
	at    time.Time
	count int
}

// node is a process of ours on a host of its own.
type node struct {
	d    *deployment
	host *host
	args []string
	*process
}

func (d *deployment) add(name string, args ...string) (*node, error) {
	h, err := d.network.add(name)
	return &node{d: d, host: h, args: args}, err
}

// run starts the process, for the first time or again.
func (n *node) run() (err error) {
	n.process, err = n.host.start(n.d.dir, n.host.name, true, append([]string{n.d.binary}, n.args...)...)
	return err
}

// start starts everything and waits until it works.
func (d *deployment) start(ctx context.Context) (err error) {
	if d.registries, err = startRegistries(d.network, d.dir); err != nil {
		return err
	}
	words := d.registries.words()
	for i := range providers {
		p, err := d.add(fmt.Sprintf("p%d", i+1))
		if err != nil {
			return err
		}
		p.args = append([]string{"provider", "-name", p.host.name, "-ip", p.host.ip, "-dir", d.dir}, words...)
		if err := p.run(); err != nil {
			return err
		}
		d.providers = append(d.providers, p)
	}
	for _, word := range words {
		if n, err := d.count(word, providers, listLimit); err != nil {
			return fmt.Errorf("%s lists %d providers: %w", word, n, err)
		}
	}
	if d.gateway, err = d.add("g1"); err != nil {
		return err
	}
	d.gateway.args = []string{"gateway", "-name", "g1", "-addr", d.gateway.host.ip + ":8080", "-dir", d.dir, words[0]}
	if err := d.gateway.run(); err != nil {
		return err
	}
	for i, target := range append(words, "http="+d.gateway.host.ip+":8080") {
		if err := d.addCaller(i+1, target); err != nil {
			return err
		}
	}
	d.began = time.Now()
	return ctx.Err()
}

func (d *deployment) addCaller(number int, target string) error {
	c, err := d.add(fmt.Sprintf("c%d", number))
	if err != nil {
		return err
	}
	c.args = []string{"caller", "-name", c.host.name, "-number", strconv.Itoa(number), "-dir", d.dir,
		"-rate", strconv.FormatFloat(d.rateOfCallers(), 'f', -1, 64)}
	if d.plan == "rolling" {
		c.args = append(c.args, "-callers", strconv.Itoa(d.settings.callers/(len(kinds)+1)))
	}
	c.args = append(c.args, target)
	d.callers = append(d.callers, c)
	return c.run()
}

// rateOfCallers is a factor: a soak has half the load.
func (d *deployment) rateOfCallers() float64 {
	if d.plan == "soak" {
		return d.rate / 2
	}
	return d.rate
}

// How long a registry may take until it lists who is there, after whatever
// happened to it, and who is not: less than the TTL, after which an entry is gone
// whether or not its provider said that it leaves.
const (
	listLimit  = 30 * time.Second
	leaveLimit = time.Second
)

// count returns how many entries a registry has, once it is as many as wanted or
// limit is over.
func (d *deployment) count(word string, want int, limit time.Duration) (int, error) {
	// Any host that no fault of the network touches will do.
	out, err := d.registries.etcd.host.output(d.binary, "entries", word, strconv.Itoa(want), limit.String())
	n, convErr := strconv.Atoi(out)
	return n, errors.Join(err, convErr)
}

// finish ends everything in order: callers, gateway, providers. What does not
// end is a finding, and no error.
func (d *deployment) finish() error {
	d.entries = make(map[string][2]int)
	count := func(at, want int, limit time.Duration) {
		for _, word := range d.registries.words() {
			name, _, _ := strings.Cut(word, "=")
			n, err := d.count(word, want, limit)
			if err != nil {
				d.unfinished = append(d.unfinished, fmt.Sprintf("entries of %s: %v", name, err))
			}
			both := d.entries[name]
			both[at] = n
			d.entries[name] = both
		}
	}
	count(0, providers, listLimit)
	nodes := append(append(append([]*node(nil), d.callers...), d.gateway), d.providers...)
	for _, n := range nodes {
		if err := n.leave(30 * time.Second); err != nil {
			d.unfinished = append(d.unfinished, err.Error())
		}
	}
	count(1, 0, leaveLimit)
	return nil
}

// killAll ends what is left.
func (d *deployment) killAll() {
	for _, n := range append(append(append([]*node(nil), d.callers...), d.gateway), d.providers...) {
		if n != nil && n.process != nil {
			n.kill()
		}
	}
	if d.registries != nil {
		d.registries.stop()
	}
}

// path of a file that the node writes.
func (n *node) path(kind string) string { return filepath.Join(n.d.dir, n.host.name+"."+kind) }
