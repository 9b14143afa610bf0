package libkv

import (
	"errors"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/registry"
)

func TestParentKey(t *testing.T) {
	for _, test := range []struct {
		servicePath, appKey string
		want                string
		field               string // that is refused
	}{
		{"/sinew/service", "my-app", "sinew/service/my-app", ""},
		{"sinew/service/", "my-app", "sinew/service/my-app", ""},
		{"//sinew///service//", "my-app", "sinew/service/my-app", ""},
		{"", "my-app", "my-app", ""},
		{"/", "my-app", "my-app", ""},
		{"/Dienste/für uns", "a", "Dienste/für uns/a", ""},
		{"/p", "team/app", "p/team%2Fapp", ""},
		{"/p", "my app", "p/my%20app", ""},
		{"/p", "приложение", "p/%D0%BF%D1%80%D0%B8%D0%BB%D0%BE%D0%B6%D0%B5%D0%BD%D0%B8%D0%B5", ""},
		{"/p", "100%", "p/100%25", ""},
		{"/p", "a\x00b\xff", "p/a%00b%FF", ""},
		{"/p", "...", "p/...", ""},
		{"/p", "", "", "AppKey"},
		{"/p", ".", "", "AppKey"},
		{"/p", "..", "", "AppKey"},
		{"/p/./q", "a", "", "ServicePath"},
		{"/p/../q", "a", "", "ServicePath"},
		{"/p\x00", "a", "", "ServicePath"},
		{"/p\n", "a", "", "ServicePath"},
		{"/p\xff", "a", "", "ServicePath"},
	} {
		got, err := parentKey(test.servicePath, test.appKey)
		var refused *OptionError
		if errors.As(err, &refused) != (test.field != "") || refused != nil && refused.Field != test.field {
			t.Errorf("parentKey(%q, %q): error %v, want one of %q", test.servicePath, test.appKey, err, test.field)
		}
		if got != test.want {
			t.Errorf("parentKey(%q, %q) = %q, want %q", test.servicePath, test.appKey, got, test.want)
		}
	}
}

func TestChildName(t *testing.T) {
	for _, test := range []struct{ network, addr, want string }{
		{"tcp", "10.0.0.1:80", "tcp@10.0.0.1:80"},
		{"tcp", ":8888", "tcp@:8888"},
		{"tcp", "[::1]:80", "tcp@%5B::1%5D:80"},
		{"unix", "/tmp/a b.sock", "unix@%2Ftmp%2Fa%20b.sock"},
		{"unix", "@abstract", "unix@@abstract"},
		{"ws", "host:80/a/b?c=d&e", "ws@host:80%2Fa%2Fb%3Fc=d&e"},
		{"mem", "приложение", "mem@%D0%BF%D1%80%D0%B8%D0%BB%D0%BE%D0%B6%D0%B5%D0%BD%D0%B8%D0%B5"},
		{"mem", "100%", "mem@100%25"},
		{"mem", ".", "mem@."},
		{"mem", "a\x00b\xff", "mem@a%00b%FF"},
		{"my/net", "a", "my%2Fnet@a"},
	} {
		got := childName(registry.Provider{Network: test.network, Addr: test.addr})
		if got != test.want || strings.Contains(got, "/") {
			t.Errorf("childName of %q, %q = %q, want %q", test.network, test.addr, got, test.want)
		}
		if network, addr, err := providerOf(got); err != nil || network != test.network || addr != test.addr {
			t.Errorf("providerOf(%q) = %q, %q, %v; want %q, %q", got, network, addr, err, test.network, test.addr)
		}
	}
}

func TestProviderOfRefuses(t *testing.T) {
	for _, name := range []string{
		"", "tcp", "@", "tcp@", "@host:80", "lastUpdate",
		"tcp@%", "tcp@%zz", "t%zz@a",
		"tcp@%41", "unix@%2ftmp", "tcp@[::1]:80", "tcp@a b", // other spellings
		"tc%40p@a", // Complete refuses an @ in a network
	} {
		if network, addr, err := providerOf(name); err == nil {
			t.Errorf("providerOf(%q) = %q, %q; want an error", name, network, addr)
		}
	}
}
