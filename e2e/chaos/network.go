package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// netPrefix begins the names of the namespaces that a run makes, and nobody
// else's.
const netPrefix = "sinew-chaos-"

// network is where the hosts are: namespaces that meet at a bridge, which is in
// one of its own so that nothing is seen outside, or the loopback interface.
type network struct {
	lock       *os.File // held while namespaces are ours
	namespaces bool
	why        string // there are none
	netem      bool   // the kernel can lose and delay packets
	hosts      []*host
}

// host is one machine of the deployment.
type host struct {
	net  *network
	name string
	ip   string
}

// newNetwork makes the bridge. What a run that crashed has left is removed before.
func newNetwork(loopback bool) (*network, error) {
	n := &network{}
	switch {
	case loopback:
		n.why = "-loopback was given"
		return n, nil
	case os.Geteuid() != 0:
		n.why = "network namespaces need root"
		return n, nil
	}
	lock, err := os.OpenFile("/run/"+netPrefix+"lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		n.why = err.Error()
		return n, nil
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	n.lock = lock
	removeMounts()
	if err := removeNamespaces(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := n.bridge(); err != nil {
		n.why = err.Error()
		return n, removeNamespaces()
	}
	n.namespaces = true
	return n, nil
}

func (n *network) bridge() error {
	if err := commands(
		"ip netns add "+netPrefix+"net",
		"ip -n "+netPrefix+"net link add br0 type bridge",
		"ip -n "+netPrefix+"net link set br0 up",
	); err != nil {
		return err
	}
	n.netem = commands("ip netns exec "+netPrefix+"net tc qdisc add dev br0 root netem delay 1ms") == nil
	if n.netem {
		return commands("ip netns exec " + netPrefix + "net tc qdisc del dev br0 root")
	}
	return nil
}

// add makes a host.
func (n *network) add(name string) (*host, error) {
	number := len(n.hosts) + 1
	h := &host{net: n, name: name, ip: fmt.Sprintf("127.77.0.%d", number)}
	n.hosts = append(n.hosts, h)
	if !n.namespaces {
		return h, nil
	}
	h.ip = fmt.Sprintf("10.77.0.%d", number)
	own, bridge := netPrefix+name, netPrefix+"net"
	return h, commands(
		"ip netns add "+own,
		"ip -n "+bridge+" link add "+name+" type veth peer name eth0 netns "+own,
		"ip -n "+bridge+" link set "+name+" master br0 up",
		"ip -n "+own+" link set lo up",
		"ip -n "+own+" addr add "+h.ip+"/24 dev eth0",
		"ip -n "+own+" link set eth0 up",
	)
}

// args is a command line as the host runs it.
func (h *host) args(args ...string) []string {
	if !h.net.namespaces {
		return args
	}
	return append([]string{"ip", "netns", "exec", netPrefix + h.name}, args...)
}

// cut takes h off the bridge: all that comes from it or goes to it is lost, in
// silence, and its own link stands. join puts it back.
func (h *host) cut() error {
	return commands("ip -n " + netPrefix + "net link set " + h.name + " nomaster")
}

func (h *host) join() error {
	return commands("ip -n " + netPrefix + "net link set " + h.name + " master br0")
}

// impair loses and delays packets of h until the function it returns is called.
// Where the kernel has no netem, the bridge drops all of them for a part of the
// time, which TCP meets as bursts of loss.
func (h *host) impair() (restore func() error, err error) {
	dev := "ip netns exec " + netPrefix + "net tc qdisc %s dev " + h.name + " root"
	if h.net.netem {
		err := commands(fmt.Sprintf(dev, "add") + " netem delay 30ms 20ms loss 10%")
		return func() error { return commands(fmt.Sprintf(dev, "del")) }, err
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- h.blink(stop) }()
	return func() error { close(stop); return <-done }, nil
}

// blink lets a tenth to a third of the time's packets be lost.
func (h *host) blink(stop <-chan struct{}) error {
	on := time.NewTicker(150 * time.Millisecond)
	defer on.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-on.C:
		}
		if err := h.cut(); err != nil {
			return errors.Join(err, h.join())
		}
		time.Sleep(20 * time.Millisecond)
		if err := h.join(); err != nil {
			return err
		}
	}
}

// remove takes every namespace away.
func (n *network) remove() error {
	if n.lock == nil {
		return nil
	}
	return errors.Join(removeNamespaces(), n.lock.Close())
}

// removeNamespaces removes those of this run or of one that crashed, with the
// processes in them.
func removeNamespaces() error {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("ip netns list: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, netPrefix) {
			continue
		}
		pids, _ := exec.Command("ip", "netns", "pids", name).Output() // none, as a rule
		for _, pid := range strings.Fields(string(pids)) {
			_ = exec.Command("kill", "-9", pid).Run() // it may have ended
		}
		errs = append(errs, commands("ip netns del "+name))
	}
	return errors.Join(errs...)
}

// removeMounts removes the small disks of runs that crashed: whoever holds the
// lock is the only one who has any.
func removeMounts() {
	mounts, _ := os.ReadFile("/proc/mounts") // elsewhere: none
	for line := range strings.Lines(string(mounts)) {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(words[1], filepath.Join(os.TempDir(), netPrefix)) {
			_ = commands("umount -l " + words[1]) // one more is no harm
		}
	}
}

// commands runs one command line after the other until one fails. No word in
// them holds a space.
func commands(lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
