package libkv

import (
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// sample is an entry with everything in it.
func sample() entry {
	return entry{
		provider: registry.Provider{
			ProviderKey: "tcp@[::1]:80", Network: "tcp", Addr: "[::1]:80",
			Tags:    map[string]string{"idc": "lf", "": "empty", "a&b=c": "d e+f%", "Ümläut": "ß\x00\xff", "stamp": "not the stamp"},
			Weight:  -3,
			Version: "v1.2.3+meta & more", Draining: true,
			Started: time.Date(2026, 2, 3, 4, 5, 6, 789012345, time.FixedZone("", 3600)),
			Services: []registry.Service{
				{Name: "Arith", Methods: []registry.Method{{Name: "Add", Request: "arith.AddRequest", Response: "arith.AddResponse"}}},
				{Name: "Ünicode"},
			},
		},
		instance: "instance-1", claim: 1770084245006, ttl: 15 * time.Second, stamp: "stamp-1",
	}
}

// same reports whether two entries say the same.
func (e *entry) same(f *entry) bool {
	return e.provider.Equal(f.provider) && e.instance == f.instance && e.claim == f.claim && e.ttl == f.ttl && e.stamp == f.stamp
}

func TestEntryComesBack(t *testing.T) {
	for name, change := range map[string]func(*entry){
		"full":               func(*entry) {},
		"bare":               func(e *entry) { e.provider = registry.Provider{ProviderKey: "tcp@a:1", Network: "tcp", Addr: "a:1"} },
		"a unix socket":      func(e *entry) { e.address("unix", "/tmp/a b.sock") },
		"an abstract socket": func(e *entry) { e.address("unix", "@abstract") },
		"no host":            func(e *entry) { e.address("tcp", ":8888") },
		"unicode":            func(e *entry) { e.address("mem", "приложение") },
		"the shortest TTL":   func(e *entry) { e.ttl = minTTL },
		"the longest TTL":    func(e *entry) { e.ttl = maxTTL },
		"100 KiB": func(e *entry) {
			e.provider.Tags = map[string]string{"long": strings.Repeat("x", 100<<10)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := sample()
			change(&e)
			value, err := e.encode()
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range value {
				if b <= ' ' || b > '~' {
					t.Fatalf("%q is not printable ASCII", value)
				}
			}
			got, err := decodeEntry(childName(e.provider), value)
			if err != nil || !got.same(&e) {
				t.Errorf("%+v came back as %+v, %v", e, got, err)
			}
		})
	}
}

func (e *entry) address(network, addr string) {
	e.provider.Network, e.provider.Addr, e.provider.ProviderKey = network, addr, registry.JoinKey(network, addr)
}

// A refresh must be the only reason for which a value changes.
func TestEncodingIsDeterministic(t *testing.T) {
	e := sample()
	first, err := e.encode()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		e.provider.Tags = maps.Clone(e.provider.Tags)
		if again, err := e.encode(); err != nil || string(again) != string(first) {
			t.Fatalf("%q and then %q, %v", first, again, err)
		}
	}
}

func TestEntryTooLong(t *testing.T) {
	e := sample()
	e.provider.Version = strings.Repeat("x", maxEntry)
	if refused := (*registry.ProviderError)(nil); !errors.As(checkSize(e.provider), &refused) {
		t.Errorf("checkSize: %v; want a *registry.ProviderError", checkSize(e.provider))
	}
	value := "instance=i&stamp=s&pad="
	value += strings.Repeat("x", maxEntry-len(value))
	if _, err := decodeEntry("tcp@a:1", []byte(value)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := decodeEntry("tcp@a:1", []byte(value+"x")); err == nil {
		t.Error("a value over the limit was decoded")
	}
}

func TestTTLIsClamped(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"":                     defaultTTL,
		"0":                    defaultTTL,
		"-1":                   defaultTTL,
		"-9223372036854775808": defaultTTL,
		"1":                    minTTL,
		"2999":                 minTTL,
		"3000":                 minTTL,
		"3001":                 3001 * time.Millisecond,
		"600000":               maxTTL,
		"600001":               maxTTL,
		"9223372036854775807":  maxTTL,
	} {
		e, err := decodeEntry("tcp@a:1", []byte("instance=i&stamp=s&ttl="+text))
		if err != nil || e.ttl != want {
			t.Errorf("TTL %q is read as %v, %v; want %v", text, e, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := "instance=i&stamp=s"
	for name, test := range map[string]struct{ child, value string }{
		"empty":                  {"tcp@a:1", ""},
		"no instance":            {"tcp@a:1", "stamp=s"},
		"no stamp":               {"tcp@a:1", "instance=i&stamp="},
		"another's":              {"tcp@a:1", `{"addr":"a:1"}`},
		"binary":                 {"tcp@a:1", "\x01"},
		"a broken escape":        {"tcp@a:1", good + "&tag.a=%zz"},
		"a semicolon":            {"tcp@a:1", good + ";"},
		"a TTL that is none":     {"tcp@a:1", good + "&ttl=15s"},
		"a TTL beyond 64 bits":   {"tcp@a:1", good + "&ttl=9223372036854775808"},
		"a weight that is none":  {"tcp@a:1", good + "&weight=heavy"},
		"a start that is none":   {"tcp@a:1", good + "&started=yesterday"},
		"a start before year 1":  {"tcp@a:1", good + "&started=" + url.QueryEscape("0000-01-01T00:00:00+23:00")},
		"a start after 9999":     {"tcp@a:1", good + "&started=" + url.QueryEscape("9999-12-31T23:00:00-23:00")},
		"services that are none": {"tcp@a:1", good + "&services=Arith"},
		"a child that is none":   {"lastUpdate", good},
	} {
		if e, err := decodeEntry(test.child, []byte(test.value)); err == nil {
			t.Errorf("%s: decoded as %+v", name, e)
		}
	}
	_, err := decodeEntry("lastUpdate", []byte(good))
	if refused := (*registry.ProviderError)(nil); !errors.As(err, &refused) {
		t.Errorf("a child that is none: %v, want a *registry.ProviderError", err)
	}
}

// What a later version adds must not hide a provider from this one.
func TestDecodePassesOverWhatItDoesNotKnow(t *testing.T) {
	e, err := decodeEntry("tcp@a:1", []byte("instance=i&stamp=s&zone=7&draining=maybe&services="+url.QueryEscape(`[{"Name":"A","Since":"v9"}]`)))
	if err != nil || e.provider.Draining || len(e.provider.Services) != 1 || len(e.provider.Tags) != 0 {
		t.Errorf("decoded as %+v, %v", e, err)
	}
}

// What stands in a store may be anybody's: nothing of it panics, and what decodes
// encodes again to the same.
func FuzzEntry(f *testing.F) {
	e := sample()
	value, err := e.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(childName(e.provider), value)
	for _, value := range []string{
		"", "instance=i&stamp=s", "instance=i&stamp=s&ttl=-1&weight=-1&started=0000-01-01T00:00:00%2B23:59",
		"instance=i&stamp=s&started=0001-01-01T00:00:00Z", "instance=i&stamp=s&tag.=&tag.a=1&tag.a=2", "instance=%ff&stamp=%00",
		"instance=i&stamp=s&services=[{\"Name\":\"\\ud800\"},null]", "instance=i&stamp=s&services=null", ";", "%", "\x01",
	} {
		f.Add("tcp@a:1", []byte(value))
	}
	f.Add("unix@%2Ftmp%2Fa%20b.sock", []byte("instance=i&stamp=s"))
	f.Add("unix@@abstract", []byte("instance=i&stamp=s"))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		parseLastUpdate(value)
		e, err := decodeEntry(name, value)
		if err != nil {
			return
		}
		if _, err := e.provider.Complete(); err != nil {
			t.Fatalf("%q decoded to a provider that is none: %v", name, err)
		}
		if again := childName(e.provider); again != name {
			t.Fatalf("child %q would be written as %q", name, again)
		}
		encoded, err := e.encode()
		if err != nil {
			t.Fatalf("%q decodes and does not encode: %v", value, err)
		}
		if len(encoded) > maxEntry {
			return // it has grown: escapes, and fields that JSON spells out
		}
		again, err := decodeEntry(name, encoded)
		if err != nil || !again.same(e) {
			t.Fatalf("%q decoded to %+v, encoded to %q, and decoded to %+v, %v", value, e, encoded, again, err)
		}
	})
}
