package server

import (
	"net"
	"strings"
	"testing"
)

func TestContainerNetsAreKnownByName(t *testing.T) {
	for name, want := range map[string]bool{
		"docker0": true, "docker_gwbridge": true, "br-0123456789ab": true, "veth1a2b3c4": true,
		"cni0": true, "cni-podman0": true, "flannel.1": true, "cali12ab": true, "cilium_host": true,
		"podman0": true, "lxcbr0": true, "lxdbr0": true, "weave": true, "kube-ipvs0": true, "nerdctl0": true,
		"eth0": false, "lo": false, "enp3s0": false, "wlan0": false, "wg0": false, "bond0": false, "": false,
		"br-lan": false, "br-0123456789a": false, "br-0123456789abc": false, "br-0123456789xy": false, "br0": false,
	} {
		if got := isContainerNet(name); got != want {
			t.Errorf("isContainerNet(%q) = %v", name, got)
		}
	}
}

func on(name string, ips ...string) hostInterface {
	i := hostInterface{name: name}
	for _, ip := range ips {
		i.ips = append(i.ips, net.ParseIP(ip))
	}
	return i
}

func TestHostAddr(t *testing.T) {
	lo := on("lo", "127.0.0.1", "::1")
	docker := on("docker0", "172.17.0.1", "fd00:d0c::1")
	eth := on("eth0", "fe80::1", "fd00::2", "192.0.2.2")
	six := on("eth1", "2001:db8::7")
	for _, test := range []struct {
		name, network string
		list          []hostInterface
		want          string
	}{
		{"the one that leads out", "tcp", []hostInterface{lo, docker, eth}, "192.0.2.2"},
		{"of the first family", "tcp4", []hostInterface{lo, docker, eth}, "192.0.2.2"},
		{"of the second family", "tcp6", []hostInterface{lo, docker, eth}, "fd00::2"},
		{"out on IPv6 rather than to containers on IPv4", "tcp", []hostInterface{lo, docker, six}, "2001:db8::7"},
		{"containers alone", "tcp", []hostInterface{lo, docker}, "172.17.0.1"},
		{"containers alone, IPv6", "tcp6", []hostInterface{lo, docker}, "fd00:d0c::1"},
		{"no such family", "tcp4", []hostInterface{lo, six}, "127.0.0.1"},
		{"nothing", "tcp", nil, "127.0.0.1"},
		{"nothing, IPv6", "tcp6", []hostInterface{lo}, "::1"},
	} {
		if got := hostAddr(test.network, test.list); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestCarrier(t *testing.T) {
	list := []hostInterface{on("lo", "127.0.0.1"), on("docker0", "172.17.0.1")}
	for ip, want := range map[string]string{"172.17.0.1": "docker0", "127.0.0.1": "lo", "172.17.0.2": ""} {
		if got := carrier(list, net.ParseIP(ip)); got != want {
			t.Errorf("%s is carried by %q, want %q", ip, got, want)
		}
	}
	for _, i := range hostInterfaces() {
		for _, ip := range i.ips {
			if got := carrier(hostInterfaces(), ip); got == "" {
				t.Errorf("nothing carries %s, which %s has", ip, i.name)
			}
		}
	}
}

// What is registered is doubted where other hosts look for it, and nowhere else.
func TestDoubtsAboutAnAddress(t *testing.T) {
	list := []hostInterface{on("lo", "127.0.0.1"), on("docker0", "172.17.0.1"), on("br-0123456789ab", "172.18.0.1"), on("eth0", "192.0.2.2")}
	for _, test := range []struct {
		host     string
		wildcard bool
		shared   bool
		says     string // empty: nothing
	}{
		{"192.0.2.2", false, true, ""},
		{"192.0.2.2", true, true, "every address"},
		{"192.0.2.2", true, false, "every address"},
		{"127.0.0.1", false, true, "loopback"},
		{"127.0.0.2", false, true, "loopback"},
		{"127.0.0.1", false, false, ""},
		{"172.17.0.1", false, true, "docker0"},
		{"172.18.0.1", false, true, "br-0123456789ab"},
		{"172.17.0.1", true, true, "docker0"},
		{"172.17.0.1", false, false, ""},
		{"172.17.0.2", false, true, ""}, // what eth0 of a container has
	} {
		d := listening{host: test.host, port: "80", wildcard: test.wildcard, shared: test.shared}
		got := d.doubt(list)
		if (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%+v: %q, want %q in it", d, got, test.says)
		}
		if got != "" && !strings.Contains(got, test.host) {
			t.Errorf("%q does not name the address", got)
		}
	}
}
