package dubbo

import (
	"maps"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
)

// Option governs a handler. The zero value serves each interface as the service of
// the same name.
type Option struct {
	// Services are the services that stand for interfaces: from
	// "com.example.UserProvider" to "Users", say.
	Services map[string]string
	// ShortNames takes what stands behind the last dot of an interface that is not
	// in Services for the service: "UserProvider".
	ShortNames bool
	// Positional names the parameters of methods, by "Service.Method" in sinew's
	// spelling.
	Positional map[string][]string
	// JSONRPC has the bounds of the calls. Its Resolve and Positional are not
	// looked at.
	JSONRPC jsonrpc.Option
}

// NewHandler returns a handler of Dubbo's calls, which go through g. It serves every
// interface, whatever path it is mounted on. option may be nil; it is copied. The
// error names the field that is wrong.
func NewHandler(g *gateway.Gateway, option *Option) (http.Handler, error) {
	var o Option
	if option != nil {
		o = *option
	}
	o.Services = maps.Clone(o.Services)
	o.JSONRPC.Positional = o.Positional
	o.JSONRPC.Resolve = o.resolve
	return jsonrpc.NewHandler(g, &o.JSONRPC)
}

// resolve finds the service and the method that a call means.
func (o *Option) resolve(r *http.Request, method string) (service, name string, ok bool) {
	inter := path.Base(r.URL.Path)
	if method == "" || inter == "/" || inter == "." {
		return "", "", false
	}
	return o.service(inter), GoMethod(method), true
}

func (o *Option) service(inter string) string {
	if service, ok := o.Services[inter]; ok {
		return service
	}
	if o.ShortNames {
		return shortName(inter)
	}
	return inter
}

// shortName returns what stands behind the last dot.
func shortName(inter string) string {
	return inter[strings.LastIndexByte(inter, '.')+1:]
}

// GoMethod returns the Go method that a Java method is: getUser is GetUser.
func GoMethod(java string) string {
	return withFirst(java, unicode.ToUpper)
}

// JavaMethod returns the Java method that a Go method is: GetUser is getUser.
func JavaMethod(name string) string {
	return withFirst(name, unicode.ToLower)
}

// withFirst returns s with its first letter changed.
func withFirst(s string, change func(rune) rune) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(change(first)) + s[size:]
}
