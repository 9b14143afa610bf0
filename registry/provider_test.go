package registry

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func full() Provider {
	return Provider{
		ProviderKey: "tcp@a:1", Network: "tcp", Addr: "a:1",
		Tags: map[string]string{"k": "v"}, Weight: 2, Version: "v1", Draining: true,
		Started:  time.UnixMilli(5),
		Services: []Service{{Name: "S", Methods: []Method{{Name: "M", Request: "In", Response: "Out"}}}},
	}
}

func TestCloneSharesNothing(t *testing.T) {
	p := full()
	c := p.Clone()
	if !reflect.DeepEqual(p, c) {
		t.Fatalf("Clone = %+v, want %+v", c, p)
	}
	c.Tags["k"] = "w"
	c.Services[0].Methods[0].Name = "N"
	c.Services[0].Name = "T"
	if !reflect.DeepEqual(p, full()) {
		t.Errorf("writing into the clone changed the original: %+v", p)
	}
}

// Every field takes part in Equal, also one that is added later.
func TestEqualLooksAtEveryField(t *testing.T) {
	for i := range reflect.TypeFor[Provider]().NumField() {
		p := full()
		reflect.ValueOf(&p).Elem().Field(i).SetZero()
		if p.Equal(full()) {
			t.Errorf("Equal ignores %s", reflect.TypeFor[Provider]().Field(i).Name)
		}
	}
	p := full()
	p.Started = p.Started.UTC()
	if !p.Equal(full()) {
		t.Error("Equal tells one instant in two zones apart")
	}
	if !(Provider{Tags: map[string]string{}, Services: []Service{}}).Equal(Provider{}) {
		t.Error("Equal tells empty from nil")
	}
}

func TestSupersedes(t *testing.T) {
	at := func(d time.Duration) Provider { return Provider{Started: time.UnixMilli(1000).Add(d)} }
	for _, test := range []struct {
		name string
		p, q Provider
		want bool
	}{
		{"a later instance", at(time.Second), at(0), true},
		{"an earlier instance", at(0), at(time.Second), true},
		{"the same", at(0), at(0), false},
		{"the same, stored to the millisecond", at(0), at(400 * time.Microsecond), false},
		{"unknown which is asked", at(0), Provider{}, false},
		{"unknown which is listed", Provider{}, at(0), false},
	} {
		if got := test.p.Supersedes(test.q); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, test := range []struct{ key, network, addr string }{
		{"tcp@127.0.0.1:8888", "tcp", "127.0.0.1:8888"},
		{"tcp6@[::1]:1", "tcp6", "[::1]:1"},
		{"unix@@abstract", "unix", "@abstract"},
		{"unix@/a@b", "unix", "/a@b"},
	} {
		network, addr, err := SplitKey(test.key)
		if err != nil || network != test.network || addr != test.addr {
			t.Errorf("SplitKey(%q) = %q, %q, %v", test.key, network, addr, err)
		}
		if got := JoinKey(test.network, test.addr); got != test.key {
			t.Errorf("JoinKey(%q, %q) = %q, want %q", test.network, test.addr, got, test.key)
		}
	}
	for _, key := range []string{"", "tcp", "@", "tcp@", "@a:1"} {
		var invalid *ProviderError
		if _, _, err := SplitKey(key); !errors.As(err, &invalid) {
			t.Errorf("SplitKey(%q): %v, want a *ProviderError", key, err)
		}
	}
}

func FuzzSplitKey(f *testing.F) {
	for _, seed := range []string{"tcp@a:1", "@", "unix@@x", "", "ws@a/b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		network, addr, err := SplitKey(key)
		if err != nil {
			return
		}
		if JoinKey(network, addr) != key {
			t.Errorf("%q splits into %q and %q, which join to %q", key, network, addr, JoinKey(network, addr))
		}
		p, err := Provider{Network: network, Addr: addr}.Complete()
		if err != nil || p.ProviderKey != key {
			t.Errorf("Complete gives %q, %v for %q", p.ProviderKey, err, key)
		}
	})
}

func TestComplete(t *testing.T) {
	want := Provider{ProviderKey: "tcp@a:1", Network: "tcp", Addr: "a:1"}
	for _, p := range []Provider{want, {Network: "tcp", Addr: "a:1"}, {ProviderKey: "tcp@a:1"}} {
		if got, err := p.Complete(); err != nil || !got.Equal(want) {
			t.Errorf("Complete of %+v = %+v, %v", p, got, err)
		}
	}
	for _, test := range []struct {
		name string
		p    Provider
		says string
	}{
		{"nothing", Provider{}, "<network>@<addr>"},
		{"no network", Provider{Addr: "a:1"}, "Network is empty"},
		{"no address", Provider{Network: "tcp"}, "Addr is empty"},
		{"a network with an @", Provider{Network: "t@p", Addr: "a:1"}, "Network contains"},
		{"a contradiction", Provider{ProviderKey: "tcp@b:1", Network: "tcp", Addr: "a:1"}, "Network and Addr say tcp@a:1"},
	} {
		if _, err := test.p.Complete(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want it to say %q", test.name, err, test.says)
		}
	}
}

func TestPrepareAdvertises(t *testing.T) {
	for _, test := range []struct{ name, key, advertise, want string }{
		{"nothing to advertise", "tcp@:8888", "", "tcp@:8888"},
		{"a host keeps the port", "tcp@:8888", "10.0.0.7", "tcp@10.0.0.7:8888"},
		{"a name", "tls@0.0.0.0:443", "api.example.com", "tls@api.example.com:443"},
		{"host and port", "tcp@:8888", "10.0.0.7:30001", "tcp@10.0.0.7:30001"},
		{"IPv6", "tcp@[::]:8888", "2001:db8::7", "tcp@[2001:db8::7]:8888"},
		{"IPv6 in brackets", "tcp@[::]:8888", "[2001:db8::7]", "tcp@[2001:db8::7]:8888"},
		{"IPv6 and port", "tcp@[::]:8888", "[2001:db8::7]:1", "tcp@[2001:db8::7]:1"},
		{"IPv6 of one link", "tcp@[::]:8888", "fe80::7%eth0", "tcp@[fe80::7%eth0]:8888"},
		{"a port by its name", "tcp@:8888", "api.example.com:https", "tcp@api.example.com:https"},
		{"a path stays", "ws@:80/rpc/v1", "10.0.0.7", "ws@10.0.0.7:80/rpc/v1"},
		{"unix has no host", "unix@/run/a.sock", "10.0.0.7", "unix@/run/a.sock"},
		{"mem has no host", "mem@a", "10.0.0.7", "mem@a"},
	} {
		ps, err := RegisterOption{Advertise: test.advertise}.Prepare("app", Provider{ProviderKey: test.key})
		if err != nil || len(ps) != 1 || ps[0].ProviderKey != test.want || JoinKey(ps[0].Network, ps[0].Addr) != test.want {
			t.Errorf("%s: %+v, %v, want %s", test.name, ps, err, test.want)
		}
	}
	for _, advertise := range []string{
		":9000", ":", "host:", "host:0", "host:00", "host:65536", "host:-1", // no host, or no port
		"0.0.0.0", "0.0.0.0:1", "::", "[::]", "[::]:1", "::ffff:0.0.0.0", "[]", // everybody's own
		" host", "host ", "ho st:1", "host:1\n", "http://h:80", "h/x", "h:80/x", "tcp@h:80", "h:80:90", // no address
	} {
		o := RegisterOption{Advertise: advertise}
		for _, key := range []string{"tcp@:8888", "tls@0.0.0.0:443", "ws@:80/rpc"} {
			var wrong *ProviderError
			ps, err := o.Prepare("app", Provider{ProviderKey: key})
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "host:port") {
				t.Errorf("%q for %s: %+v, %v, want an error that says what to write", advertise, key, ps, err)
			}
		}
		for _, key := range []string{"unix@/run/a.sock", "mem@a"} {
			if _, err := o.Prepare("app", Provider{ProviderKey: key}); err != nil {
				t.Errorf("%q for %s, which has no host: %v", advertise, key, err)
			}
		}
	}
	_, err := RegisterOption{Advertise: "10.0.0.7"}.Prepare("app", Provider{ProviderKey: "tcp@noport"})
	if err == nil || !strings.Contains(err.Error(), "Advertise") {
		t.Errorf("a host for an address without a port: %v, want an error that names Advertise", err)
	}
}

func TestPrepareComparesAppKeys(t *testing.T) {
	for _, test := range []struct {
		option, registry string
		ok               bool
	}{{"", "", true}, {"a", "", true}, {"", "a", true}, {"a", "a", true}, {"a", "b", false}} {
		_, err := RegisterOption{AppKey: test.option}.Prepare(test.registry)
		if (err == nil) != test.ok {
			t.Errorf("option %q, registry %q: %v", test.option, test.registry, err)
		}
	}
}

func TestStateReadsAsAPhrase(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, s := range map[string]State{
		"never reached":                      {},
		"fresh":                              {Status: Fresh, Since: at},
		"doubted since 2026-01-02T03:04:05Z": {Status: Doubted, Since: at},
		"stale since 2026-01-02T03:04:05Z: connection refused": {Status: Stale, Since: at, Cause: errors.New("connection refused")},
		"Status(9)": {Status: 9},
	} {
		if got := s.String(); got != want {
			t.Errorf("%#v reads %q, want %q", s, got, want)
		}
	}
}
