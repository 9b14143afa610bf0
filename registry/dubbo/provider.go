package dubbo

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/registry"
)

// Parameters of Dubbo's URLs.
const (
	paramAnyhost     = "anyhost"
	paramApplication = "application"
	paramCategory    = "category"
	paramDisabled    = "disabled"
	paramDubbo       = "dubbo"
	paramEnabled     = "enabled"
	paramGroup       = "group"
	paramInterface   = "interface"
	paramMethods     = "methods"
	paramProtocol    = "protocol"
	paramRelease     = "release"
	paramSide        = "side"
	paramTimestamp   = "timestamp"
	paramVersion     = "version"
	paramWeight      = "weight"

	// Of sinew's providers alone.
	paramAddr       = "sinew.addr" // where Addr is not host:port
	paramAppVersion = "sinew.version"
	paramServices   = "sinew.services"
	paramTags       = "sinew.tags"
)

// protocolVersion is the version of Dubbo's protocol that consumers look for.
const protocolVersion = "2.0.2"

// dubboWeight is the weight that a Dubbo provider has when it says nothing; a
// provider's 1.
const dubboWeight = 100

// maxNode bounds the name of a node, in bytes: ZooKeeper takes requests of 1 MiB.
const maxNode = 256 << 10

// nodeOf returns the name under which p is registered.
func (o *Option) nodeOf(p registry.Provider) (string, error) {
	u := dubboURL{protocol: p.Network, params: map[string]string{
		paramAnyhost:     "true",
		paramApplication: o.Application,
		paramCategory:    "providers",
		paramDubbo:       protocolVersion,
		paramGroup:       o.Group,
		paramInterface:   o.Interface,
		paramMethods:     methodsOf(p.Services),
		paramSide:        "provider",
		paramVersion:     o.Version,
		paramAppVersion:  p.Version,
		paramTags:        encodeTags(p.Tags),
		paramWeight:      encodeWeight(p.Weight),
	}}
	var simple bool
	if u.host, u.path, simple = o.splitAddr(p.Addr); !simple {
		u.params[paramAddr] = p.Addr
	}
	if p.Draining {
		u.params[paramEnabled] = "false"
	}
	if p.Started.UnixMilli() >= firstMilli {
		u.params[paramTimestamp] = strconv.FormatInt(p.Started.UnixMilli(), 10)
	}
	if services := withoutSchemas(p.Services); len(services) > 0 {
		text, err := json.Marshal(services)
		if err != nil {
			return "", &registry.ProviderError{ProviderKey: p.ProviderKey, Reason: "Services: " + err.Error()}
		}
		u.params[paramServices] = string(text)
	}
	node := u.node()
	if len(node) > maxNode {
		return "", &registry.ProviderError{ProviderKey: p.ProviderKey, Reason: fmt.Sprintf("its URL has %d bytes, ZooKeeper takes %d: give it fewer tags or services", len(node), maxNode)}
	}
	return node, nil
}

// splitAddr returns an address as a URL has it. One that is not host:port, with a
// path or without, or has no port that can be dialled, is not simple: a URL cannot
// hold it, so 0.0.0.0:0 stands there.
func (o *Option) splitAddr(addr string) (host, path string, simple bool) {
	host, path, found := strings.Cut(addr, "/")
	if !found {
		path = o.Interface
	}
	_, port, err := net.SplitHostPort(host)
	if err != nil || !isPort(port) || strings.ContainsFunc(addr, notInURL) || found && (path == o.Interface || path == "") {
		return "0.0.0.0:0", o.Interface, false
	}
	return host, path, true
}

// isPort tells a port as a URL has it: a number from 1 to 65535.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// notInURL tells the characters that mean something in a URL, or need an escape.
func notInURL(r rune) bool {
	return !(r == '-' || r == '.' || r == ':' || r == '[' || r == ']' || r == '/' || r == '_' || r == '$' ||
		r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)))
}

// providerOf returns what the URL of a node says. ok is false for what the option
// does not ask for.
func (o *Option) providerOf(node string) (p registry.Provider, ok bool, err error) {
	u, err := parseNode(node)
	if err != nil {
		return p, false, err
	}
	if !o.asksFor(&u) {
		return p, false, nil
	}
	p = registry.Provider{
		Network:  u.protocol,
		Addr:     o.addrOf(&u),
		Tags:     decodeTags(u.params[paramTags]),
		Weight:   weightOf(&u),
		Version:  u.params[paramAppVersion],
		Draining: u.params[paramEnabled] == "false" || u.params[paramDisabled] == "true",
		Services: o.servicesOf(&u),
	}
	if ms, err := strconv.ParseInt(u.params[paramTimestamp], 10, 64); err == nil {
		p.Started = timeOf(ms)
	}
	p, err = p.Complete()
	return p, err == nil, err
}

// asksFor filters as Dubbo's consumers do.
func (o *Option) asksFor(u *dubboURL) bool {
	category := u.params[paramCategory]
	return (category == "" || category == "providers") &&
		(o.Protocol == Any || o.Protocol == u.protocol) &&
		o.isOurs(u)
}

// isOurs reports whether u is of the option's interface, group and version.
func (o *Option) isOurs(u *dubboURL) bool {
	name := u.params[paramInterface]
	if name == "" {
		name = u.path
	}
	return name == o.Interface &&
		(o.Group == Any || o.Group == u.params[paramGroup]) &&
		(o.Version == Any || version(o.Version) == version(u.params[paramVersion]))
}

// version returns a version as it is compared.
func version(v string) string {
	if v == "0.0.0" {
		return ""
	}
	return v
}

// addrOf returns where the provider is: the path is left out where it is the
// interface's name.
func (o *Option) addrOf(u *dubboURL) string {
	if addr := u.params[paramAddr]; addr != "" {
		return addr
	}
	if u.path == o.Interface || u.path == "" {
		return u.host
	}
	return u.host + "/" + u.path
}

func (o *Option) servicesOf(u *dubboURL) (services []registry.Service) {
	if text := u.params[paramServices]; text != "" && json.Unmarshal([]byte(text), &services) == nil {
		return services
	}
	names := u.params[paramMethods]
	if names == "" {
		return nil
	}
	s := registry.Service{Name: o.Interface}
	for name := range strings.SplitSeq(names, ",") {
		s.Methods = append(s.Methods, registry.Method{Name: name})
	}
	return []registry.Service{s}
}

// withoutSchemas returns a copy of services that fits a name: Dubbo's consumers
// take the names of all providers in one answer of a megabyte.
func withoutSchemas(services []registry.Service) []registry.Service {
	services = registry.Provider{Services: services}.Clone().Services
	for _, s := range services {
		for i := range s.Methods {
			s.Methods[i].RequestSchema, s.Methods[i].ResponseSchema = "", ""
		}
	}
	return services
}

// methodsOf returns the names of all methods as Java spells them, sorted.
func methodsOf(services []registry.Service) string {
	var names []string
	for _, s := range services {
		for _, m := range s.Methods {
			first, size := utf8.DecodeRuneInString(m.Name)
			names = append(names, string(unicode.ToLower(first))+m.Name[size:])
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

func encodeTags(tags map[string]string) string {
	values := make(url.Values, len(tags))
	for k, v := range tags {
		values.Set(k, v)
	}
	return values.Encode()
}

func decodeTags(text string) map[string]string {
	values, err := url.ParseQuery(text)
	if err != nil || len(values) == 0 {
		return nil
	}
	tags := make(map[string]string, len(values))
	for k := range values {
		tags[k] = values.Get(k)
	}
	return tags
}

// encodeWeight returns a provider's weight as Dubbo counts; nothing for the
// default of both.
func encodeWeight(w int) string {
	const most = 1<<31 - 1 // Java's int
	switch {
	case w == 0:
		return ""
	case w < 0:
		return "0"
	}
	return strconv.Itoa(min(w, most/dubboWeight) * dubboWeight)
}

// weightOf returns the weight of a Dubbo provider.
func weightOf(u *dubboURL) int {
	weight := u.params[paramWeight]
	if weight == "0" && strings.HasPrefix(u.params[paramRelease], "dubbo-golang") {
		return 0 // dubbo-go writes 0 where nothing was said
	}
	return decodeWeight(weight)
}

// firstMilli is the first timestamp in milliseconds, of 1973; a smaller one is in
// seconds.
const firstMilli = 100_000_000_000

// timeOf returns the time of a timestamp: milliseconds, as Dubbo for Java writes
// them, or seconds, as dubbo-go does. What is before 1973 is no time.
func timeOf(timestamp int64) time.Time {
	if 0 < timestamp && timestamp < firstMilli {
		timestamp *= 1000
	}
	if timestamp < firstMilli {
		return time.Time{}
	}
	return time.UnixMilli(timestamp)
}

// decodeWeight is the way back; weights of Dubbo below 100 are 1.
func decodeWeight(text string) int {
	w, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0
	case w <= 0:
		return -1
	}
	return max(1, (w+dubboWeight/2)/dubboWeight)
}

// consumerNode is the node by which this process says that it consumes.
func (o *Option) consumerNode(started time.Time) string {
	u := dubboURL{protocol: "consumer", host: o.Consumer, path: o.Interface, params: map[string]string{
		paramApplication: o.Application,
		paramCategory:    "consumers",
		paramDubbo:       protocolVersion,
		paramGroup:       o.Group,
		paramInterface:   o.Interface,
		paramProtocol:    o.Protocol,
		paramSide:        "consumer",
		paramTimestamp:   strconv.FormatInt(started.UnixMilli(), 10),
		paramVersion:     o.Version,
	}}
	return u.node()
}
