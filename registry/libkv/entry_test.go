package libkv

import (
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

func TestEntriesSurvive(t *testing.T) {
	for _, addr := range []string{":8888", "[::1]:80", "/tmp/a b.sock", "@abstract", "host:80/path?x=%2F&y", "ünïcode:1", "a@b:1"} {
		p, err := registry.Provider{
			Network: "tcp", Addr: addr, Weight: -3, Version: "v1 ü", Draining: true,
			Started:  time.Unix(1_700_000_000, 123_456_789),
			Tags:     map[string]string{"a=b": "c&d", "": "empty", "ü": ""},
			Services: []registry.Service{{Name: "S", Methods: []registry.Method{{Name: "M", Request: "a.B", Response: "[]c.D"}}}},
		}.Complete()
		if err != nil {
			t.Fatal(err)
		}
		e := entry{provider: p, instance: "i", stamp: newStamp(), ttl: 7 * time.Second}
		value, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		name := childName(p)
		if strings.Contains(name, "/") || strings.ContainsFunc(name+string(value), func(r rune) bool { return r > '~' || r < ' ' }) {
			t.Errorf("%s: %q with %q is not what every store takes", addr, name, value)
		}
		got, err := decodeEntry(name, value)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if !got.provider.Equal(p) || got.instance != e.instance || got.stamp != e.stamp || got.ttl != e.ttl {
			t.Errorf("%s: %+v came back as %+v", addr, e, got)
		}
	}
}

func TestKeysOfApplications(t *testing.T) {
	for _, c := range []struct{ path, app, want string }{
		{"/sinew/service", "my-app", "sinew/service/my-app"},
		{"//sinew//service/", "a/b c", "sinew/service/a%2Fb%20c"},
		{"", "app", "app"},
	} {
		if got, err := parentKey(c.path, c.app); err != nil || got != c.want {
			t.Errorf("%q below %q: %q, %v; want %q", c.app, c.path, got, err, c.want)
		}
	}
	for _, app := range []string{"", ".", ".."} {
		if got, err := parentKey("/sinew", app); err == nil {
			t.Errorf("the application %q stands under %q", app, got)
		}
	}
}

// What stands in a store may be anybody's: nothing of it panics, and what reads
// as an entry can be written again and says the same.
func FuzzEntry(f *testing.F) {
	f.Add("tcp@h:1", []byte("instance=i&stamp=s&ttl=15000&weight=2&tag.a=b&services=%5B%7B%22Name%22%3A%22S%22%7D%5D"))
	f.Add("unix@%2Ftmp%2Fs", []byte("instance=i&stamp=s&started=2026-11-22T21%3A00%3A00Z&draining=true"))
	f.Add("@", []byte("%zz"))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		parseLastUpdate(value)
		e, err := decodeEntry(name, value)
		if err != nil {
			return
		}
		if e.ttl < minTTL || e.ttl > maxTTL {
			t.Errorf("a TTL of %v", e.ttl)
		}
		again, err := e.encode()
		if err != nil {
			return // a time that has no form in text
		}
		got, err := decodeEntry(childName(e.provider), again)
		if err != nil {
			t.Fatalf("%q was read, and is written as %q: %v", value, again, err)
		}
		if !got.provider.Equal(e.provider) || got.instance != e.instance || got.stamp != e.stamp {
			t.Errorf("%+v came back as %+v", e, got)
		}
	})
}
