package client

import (
	"fmt"

	"github.com/sinew-rpc/sinew/protocol"
)

// methodSet is a set of methods that an option names.
type methodSet struct {
	all      bool
	services map[string]bool
	methods  map[string]bool
}

// newMethodSet reads patterns: "Service.Method", "Service.*" or "*".
func newMethodSet(option string, patterns []string) (s methodSet, err error) {
	s.services, s.methods = make(map[string]bool), make(map[string]bool)
	for i, p := range patterns {
		service, method, ok := protocol.SplitName(p)
		switch {
		case p == "*":
			s.all = true
		case !ok:
			return s, &OptionError{fmt.Sprintf("%s[%d]", option, i), fmt.Sprintf(`is %.128q: want "Service.Method", "Service.*" or "*"`, p)}
		case method == "*":
			s.services[service] = true
		default:
			s.methods[p] = true
		}
	}
	return s, nil
}

// has reports whether serviceMethod is in the set. It does not allocate.
func (s *methodSet) has(serviceMethod string) bool {
	if s.all || s.methods[serviceMethod] {
		return true
	}
	if len(s.services) == 0 {
		return false
	}
	service, _, ok := protocol.SplitName(serviceMethod)
	return ok && s.services[service]
}
