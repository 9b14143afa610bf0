package server

import (
	"net"
	"strings"
)

// hostInterface is a network interface of this host, with its addresses.
type hostInterface struct {
	name string
	ips  []net.IP
}

// hostInterfaces returns those of this host; none where it does not tell.
func hostInterfaces() []hostInterface {
	found, _ := net.Interfaces() // without any, the loopback is left
	list := make([]hostInterface, 0, len(found))
	for _, i := range found {
		one := hostInterface{name: i.Name}
		addrs, _ := i.Addrs() // it may have gone meanwhile
		for _, a := range addrs {
			if ipNet, ok := a.(*net.IPNet); ok {
				one.ips = append(one.ips, ipNet.IP)
			}
		}
		list = append(list, one)
	}
	return list
}

// containerNets begin the names of the interfaces by which a host takes part in
// the networks of its own containers: of Docker, Podman, nerdctl, LXC, and of
// what Kubernetes uses. Other hosts have no way there. Inside a container the
// interface has another name, eth0 as a rule.
var containerNets = []string{
	"docker", "veth", "cni", "flannel", "cali", "cilium", "weave", "kube-",
	"podman", "nerdctl", "lxc", "lxd",
}

// isContainerNet reports whether an interface of this name belongs to a network
// of this host's containers. Docker calls a bridge br- and twelve hexadecimal
// digits; a bridge that somebody else called br-something may be the way to
// everywhere.
func isContainerNet(name string) bool {
	if id, ok := strings.CutPrefix(name, "br-"); ok {
		return len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	}
	for _, prefix := range containerNets {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// carrier returns the name of the interface that has ip; empty if none has.
func carrier(list []hostInterface, ip net.IP) string {
	for _, i := range list {
		for _, own := range i.ips {
			if own.Equal(ip) {
				return i.name
			}
		}
	}
	return ""
}

// hostAddr returns an address of this host that is not the loopback, of the
// family that network wants and IPv4 if both will do, on an interface that leads
// to other hosts if there is one; the loopback if there is none at all.
func hostAddr(network string, list []hostInterface) string {
	found, rank := "127.0.0.1", 0
	if network == "tcp6" {
		found = "::1"
	}
	for _, i := range list {
		for _, ip := range i.ips {
			if r := rankOf(network, i.name, ip); r > rank {
				found, rank = ip.String(), r
			}
		}
	}
	return found
}

// rankOf orders addresses by how likely others can dial them: 0 is not at all.
func rankOf(network, carrier string, ip net.IP) int {
	four := ip.To4() != nil
	if !ip.IsGlobalUnicast() || four && network == "tcp6" || !four && network == "tcp4" {
		return 0
	}
	rank := 1
	if four {
		rank++
	}
	if !isContainerNet(carrier) {
		rank += 2
	}
	return rank
}
