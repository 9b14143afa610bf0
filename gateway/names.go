package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/protocol"
)

// maxName bounds a service's and a method's name each, in bytes.
const maxName = 255

// checkNames refuses what no server can have registered, so that it reaches no log,
// span or series of a client's chain as a name, and the services of the framework,
// unless they may be called.
func (g *Gateway) checkNames(service, method string) error {
	if err := g.checkService(service); err != nil {
		return err
	}
	if !isMethodName(method) {
		return notSent(protocol.Unimplemented, "unknown method %.384q", service+"."+method)
	}
	return nil
}

func (g *Gateway) checkService(service string) error {
	if !isServiceName(service) || isInternal(service) && !g.option.Internal {
		return notSent(protocol.Unimplemented, "unknown service %.128q", service)
	}
	return nil
}

// isInternal tells a service of the framework.
func isInternal(service string) bool {
	return service == "sinew" || strings.HasPrefix(service, "sinew.")
}

// isServiceName holds name against [A-Za-z_][A-Za-z0-9_.-]*.
func isServiceName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// isMethodName takes letters of any script, digits, underscores and hyphens, the
// first a letter or an underscore.
func isMethodName(name string) bool {
	for i, r := range name {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsDigit(r) && r != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName && utf8.ValidString(name)
}
