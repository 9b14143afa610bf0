package protocol

import (
	"regexp"
	"strings"
	"testing"
)

// The grammars, said a second time and in another way.
var (
	serviceGrammar = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	methodGrammar  = regexp.MustCompile(`^[\p{L}_][\p{L}\p{Nd}_-]*$`)
)

func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"", ".", "..", "a", "Arith", "com.example.Arith-v2", "1a", "-a", ".a", "a.", "a b", "a/b", "a\n", "Ärger", "数え", "a\xff",
		"\u0661a", "a\u0661", strings.Repeat("x", 255), strings.Repeat("x", 256), "sinew", "sinew.health", "sinews",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		short := len(name) <= maxNameLen
		for _, c := range []struct {
			err  error
			want bool
		}{
			{CheckServiceName(name), short && serviceGrammar.MatchString(name)},
			{CheckMethodName(name), short && methodGrammar.MatchString(name)},
		} {
			if (c.err == nil) != c.want {
				t.Errorf("%q: got %v, want it taken: %t", name, c.err, c.want)
			}
		}
		service, method, ok := SplitName(name)
		if ok && (service+"."+method != name || service == "" || method == "" || strings.Contains(method, ".")) {
			t.Errorf("%q was split into %q and %q", name, service, method)
		}
		if whole := "S." + name; !strings.Contains(name, ".") && name != "" {
			if s, m, ok := SplitName(whole); !ok || s != "S" || m != name {
				t.Errorf("%q was split into %q and %q, %t", whole, s, m, ok)
			}
		}
	})
}
