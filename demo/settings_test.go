package main

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		want settings
	}{
		{"nothing", "", settings{role: roleShow, web: "127.0.0.1:0", app: "demo", duration: 8 * time.Second, callers: 32}},
		{"the show's flags", "-duration 2s -callers 3 -file book.txt -web :80", settings{role: roleShow, web: ":80", app: "demo", duration: 2 * time.Second, callers: 3, file: "book.txt"}},
		{"server", "server", settings{role: roleServer, web: "127.0.0.1:0", registry: "bolt", app: "demo", addrs: []string{"127.0.0.1:8888"}}},
		{"server's flags", "server -addr :0 -app shop -web [::1]:80", settings{role: roleServer, web: "[::1]:80", registry: "bolt", app: "shop", addrs: []string{":0"}}},
		{"server in a container", "server -addr :8888 -advertise provider1 -registry zk://zookeeper1:2181,zookeeper2:2181", settings{
			role: roleServer, web: "127.0.0.1:0", registry: "zk://zookeeper1:2181,zookeeper2:2181", advertise: "provider1", app: "demo", addrs: []string{":8888"}}},
		{"client of two", "client -addr a:1,b:2 -duration 0", settings{role: roleClient, registry: "bolt", app: "demo", addrs: []string{"a:1", "b:2"}, callers: 32, timeout: time.Second}},
		{"one call, flags behind", `client A.B {"A":1} -addr a:1 -timeout 3s`, settings{
			role: roleCall, registry: "bolt", app: "demo", addrs: []string{"a:1"}, duration: 8 * time.Second, callers: 32, timeout: 3 * time.Second,
			method: "A.B", body: `{"A":1}`}},
		{"one call without a body", "client a.b.C", settings{
			role: roleCall, registry: "bolt", app: "demo", duration: 8 * time.Second, callers: 32, timeout: time.Second,
			method: "a.b.C", body: "{}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			got, err := parse(strings.Fields(c.args), &out)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serve", `"serve" is not understood; see go run ./demo -h`},
		{"-addr a:1", "-addr"}, // of no meaning to the show
		{"-duration 1ms", "-duration must be at least 100ms"},
		{"client -duration -1s", "-duration must not be negative"},
		{"client -callers 0", "-callers must be from 1 to"},
		{"client -timeout 0", "-timeout must be positive"},
		{"server -addr 8888", `"8888" is no host:port, such as 127.0.0.1:8888; see go run ./demo server -h`},
		{"server -addr a:1,b:2", "listens on one address"},
		{"server -advertise :9000", `-advertise: ":9000" is no host[:port]`},
		{"server now", `"now" is not understood`},
		{"client Add {}", "write Type.Method"},
		{"client A. {}", "write Type.Method"},
		{"client A.B {A:1}", `is no JSON`},
		{"client A.B {} {}", "in single quotes"},
	} {
		t.Run(c.args, func(t *testing.T) {
			_, err := parse(strings.Fields(c.args), new(bytes.Buffer))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"-h":        "go run ./demo client -h",
		"server -h": "go run ./demo server -addr 127.0.0.1:0",
		"client -h": `ArithService.Add '{"A":1,"B":2}'`,
	} {
		var out bytes.Buffer
		if _, err := parse(strings.Fields(args), &out); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", args, err)
		}
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "Flags:\n  -") {
			t.Errorf("%s does not show %q and the flags:\n%s", args, want, out.String())
		}
	}
}
