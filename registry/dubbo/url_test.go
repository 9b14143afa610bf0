package dubbo

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

const userProvider = "com.ikurento.user.UserProvider"

// What Dubbo for Java and dubbo-go write, names and addresses changed.
var (
	javaNode = url.QueryEscape("jsonrpc://10.0.0.7:20000/" + userProvider + "?anyhost=true&application=BDTService&dubbo=2.6.5&" +
		"generic=false&group=lf&interface=" + userProvider + "&methods=getUser,addUser&pid=1447&side=provider&timestamp=1556509797245&version=1.0&weight=200")
	goNode = url.QueryEscape("jsonrpc://10.0.0.8:20001/" + userProvider + "?accesslog=&anyhost=true&app.version=3.3.1&application=users&" +
		"bean.name=UserProvider&cluster=failover&environment=dev&export=true&interface=" + userProvider + "&loadbalance=random&" +
		"message_size=4&methods=GetUser,getUser&module=sample&name=users&registry.role=3&release=dubbo-golang-3.3.1&side=provider&timestamp=1556509797&version=1.0&weight=0")
)

func options(o Option) *Option {
	o.Servers = []string{"127.0.0.1:2181"}
	if o.Interface == "" {
		o.Interface = userProvider
	}
	o, err := o.complete()
	if err != nil {
		panic(err)
	}
	return &o
}

func TestWhatDubboWritesIsRead(t *testing.T) {
	o := options(Option{Group: Any, Version: "1.0"})
	p, ok, err := o.providerOf(javaNode)
	want := registry.Provider{
		ProviderKey: "jsonrpc@10.0.0.7:20000", Network: "jsonrpc", Addr: "10.0.0.7:20000", Weight: 2,
		Started:  time.UnixMilli(1556509797245),
		Services: []registry.Service{{Name: userProvider, Methods: []registry.Method{{Name: "getUser"}, {Name: "addUser"}}}},
	}
	if err != nil || !ok || !p.Equal(want) {
		t.Errorf("of Java:\n%+v, %v, %v\nwant\n%+v", p, ok, err, want)
	}
	p, ok, err = o.providerOf(goNode)
	if err != nil || !ok || p.Addr != "10.0.0.8:20001" || p.Weight != 0 || p.Started.Unix() != 1556509797 || len(p.Services) != 1 {
		t.Errorf("of dubbo-go: %+v, %v, %v", p, ok, err)
	}
}

func TestFilters(t *testing.T) {
	node := func(changes ...string) string {
		u := dubboURL{protocol: "jsonrpc", host: "a:1", path: userProvider, params: map[string]string{"interface": userProvider}}
		for i := 0; i < len(changes); i += 2 {
			if changes[i] == "protocol" {
				u.protocol = changes[i+1]
			} else {
				u.params[changes[i]] = changes[i+1]
			}
		}
		return u.node()
	}
	for _, c := range []struct {
		name   string
		option Option
		node   string
		want   bool
	}{
		{"plain", Option{}, node(), true},
		{"another protocol", Option{}, node("protocol", "dubbo"), false},
		{"another protocol, any asked for", Option{Protocol: Any}, node("protocol", "dubbo"), true},
		{"a protocol asked for", Option{Protocol: "dubbo"}, node("protocol", "dubbo"), true},
		{"another interface", Option{}, node("interface", "com.example.Other"), false},
		{"a group, none asked for", Option{}, node("group", "lf"), false},
		{"a group, any asked for", Option{Group: Any}, node("group", "lf"), true},
		{"the group", Option{Group: "lf"}, node("group", "lf"), true},
		{"another group", Option{Group: "lf"}, node("group", "hl"), false},
		{"no group, one asked for", Option{Group: "lf"}, node(), false},
		{"a version, none asked for", Option{}, node("version", "1.0"), false},
		{"a version, any asked for", Option{Version: Any}, node("version", "1.0"), true},
		{"the version", Option{Version: "1.0"}, node("version", "1.0"), true},
		{"another version", Option{Version: "1.0"}, node("version", "2.0"), false},
		{"0.0.0 is no version", Option{}, node("version", "0.0.0"), true},
		{"no version is 0.0.0", Option{Version: "0.0.0"}, node(), true},
		{"a consumer", Option{Protocol: Any}, node("protocol", "consumer", "category", "consumers"), false},
		{"a provider that says so", Option{}, node("category", "providers"), true},
	} {
		if _, ok, err := options(c.option).providerOf(c.node); ok != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
	}
	for _, switched := range []string{node("enabled", "false"), node("disabled", "true")} {
		if p, ok, _ := options(Option{}).providerOf(switched); !ok || !p.Draining {
			t.Errorf("%s: %v, %+v", switched, ok, p)
		}
	}
}

func TestWhatIsWrittenIsDubbos(t *testing.T) {
	o := options(Option{Group: "lf", Version: "1.0", Application: "users"})
	node, err := o.nodeOf(registry.Provider{
		Network: "jsonrpc", Addr: "10.0.0.7:20000", Weight: 3, Started: time.UnixMilli(1700000000123), Draining: true,
		Services: []registry.Service{{Name: "UserProvider", Methods: []registry.Method{{Name: "GetUser"}, {Name: "AddUser"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := url.QueryUnescape(node)
	if err != nil {
		t.Fatal(err)
	}
	const head = "jsonrpc://10.0.0.7:20000/com.ikurento.user.UserProvider?"
	if !strings.HasPrefix(text, head) {
		t.Fatalf("%s", text)
	}
	params := make(map[string]string)
	for pair := range strings.SplitSeq(text[len(head):], "&") {
		k, v, _ := strings.Cut(pair, "=")
		params[k] = v // as Dubbo for Java reads it: without decoding
	}
	delete(params, paramServices)
	want := map[string]string{
		"anyhost": "true", "application": "users", "category": "providers", "dubbo": "2.0.2", "enabled": "false", "group": "lf",
		"interface": userProvider, "methods": "addUser,getUser", "side": "provider", "timestamp": "1700000000123", "version": "1.0", "weight": "300",
	}
	if !maps.Equal(params, want) {
		t.Errorf("%v\nwant\n%v", params, want)
	}
	if strings.ContainsAny(node, "/ ?&=") {
		t.Errorf("the node's name is not escaped: %s", node)
	}
}

func TestSchemasStayOutOfNames(t *testing.T) {
	o := options(Option{})
	p := registry.Provider{Network: "jsonrpc", Addr: "a:1", Services: []registry.Service{{Name: "S", Methods: []registry.Method{
		{Name: "M", Request: "In", Response: "Out", RequestSchema: `{"type":"object"}`, ResponseSchema: `{}`},
	}}}}
	node, err := o.nodeOf(p)
	if err != nil {
		t.Fatal(err)
	}
	read, ok, err := o.providerOf(node)
	want := registry.Method{Name: "M", Request: "In", Response: "Out"}
	if err != nil || !ok || len(read.Services) != 1 || read.Services[0].Methods[0] != want {
		t.Errorf("%+v, %v, %v", read, ok, err)
	}
	if p.Services[0].Methods[0].RequestSchema == "" {
		t.Error("the provider was written to")
	}
}

func TestWeights(t *testing.T) {
	for dubbo, want := range map[string]int{"": 0, "x": 0, "0": -1, "-5": -1, "1": 1, "50": 1, "100": 1, "149": 1, "150": 2, "700": 7} {
		if got := decodeWeight(dubbo); got != want {
			t.Errorf("Dubbo's weight %q is %d, want %d", dubbo, got, want)
		}
	}
	for weight, want := range map[int]string{0: "", -1: "0", -7: "0", 1: "100", 7: "700", 1 << 40: "2147483600"} {
		if got := encodeWeight(weight); got != want {
			t.Errorf("the weight %d is Dubbo's %q, want %q", weight, got, want)
		}
	}
}

func TestNodesThatAreNone(t *testing.T) {
	for _, node := range []string{"", "x", "%", "%zz", url.QueryEscape("//a:1/x"), url.QueryEscape("jsonrpc:a:1")} {
		if _, ok, err := options(Option{}).providerOf(node); ok || err == nil {
			t.Errorf("%q: %v, %v", node, ok, err)
		}
	}
	huge := registry.Provider{Network: "tcp", Addr: "a:1", Tags: map[string]string{"k": strings.Repeat("x", maxNode)}}
	if _, err := options(Option{}).nodeOf(huge); err == nil {
		t.Error("a provider larger than a node can be")
	}
}

// What no URL holds is written beside one, and is nobody's endpoint.
func TestAddressesThatNoURLHolds(t *testing.T) {
	o := options(Option{})
	for addr, want := range map[string]bool{
		"10.0.0.7:1": true, "10.0.0.7:65535/rpc/users": true, "[::1]:80": true,
		"10.0.0.7": false, "10.0.0.7:-1": false, "10.0.0.7:0": false, "10.0.0.7:http": false, "10.0.0.7:65536": false, "10.0.0.7:": false,
	} {
		if _, _, simple := o.splitAddr(addr); simple != want {
			t.Errorf("%s: %v", addr, simple)
		}
		node, err := o.nodeOf(registry.Provider{Network: "jsonrpc", Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		if p, ok, err := o.providerOf(node); err != nil || !ok || p.Addr != addr {
			t.Errorf("%s is read as %s, %v, %v", addr, p.Addr, ok, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Option{Servers: []string{"a:1"}, Interface: "I"}
	for field, spoil := range map[string]func(*Option){
		"Servers":        func(o *Option) { o.Servers = nil },
		"Interface":      func(o *Option) { o.Interface = "" },
		"Root":           func(o *Option) { o.Root = "/" + "/a//b" },
		"Group":          func(o *Option) { o.Group = "a\nb" },
		"SessionTimeout": func(o *Option) { o.SessionTimeout = -1 },
		"PollInterval":   func(o *Option) { o.PollInterval = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := NewRegistry(o); err == nil || !strings.Contains(err.Error(), "Option."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	o := good
	o.Servers = []string{"no port"}
	if _, err := NewRegistry(o); err == nil || !strings.Contains(err.Error(), "Option.Servers") {
		t.Errorf("a server without a port: %v", err)
	}
}

// FuzzNode reads any name, and writes again what it read: that must come back the
// same.
func FuzzNode(f *testing.F) {
	f.Add(javaNode)
	f.Add(goNode)
	for _, s := range []string{"", "a://", "a://b?c", "tcp%3A%2F%2F%5B%3A%3A1%5D%3A80%2Fx%3Fweight%3D7%26sinew.tags%3Da%253Db"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		o := options(Option{Interface: "I", Protocol: Any})
		p, ok, err := o.providerOf(name)
		if err != nil || !ok {
			return
		}
		node, err := o.nodeOf(p)
		if err != nil {
			return
		}
		again, ok, err := o.providerOf(node)
		if err != nil || !ok || !again.Equal(p) {
			t.Errorf("%q was read as\n%+v\nwritten as %q and read again as\n%+v, %v, %v", name, p, node, again, ok, err)
		}
	})
}
