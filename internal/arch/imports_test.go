package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/sinew-rpc/sinew"
	root       = "../.."
	everything = "..."
)

// leaves import nothing of ours, and everything may import them.
var leaves = []string{"internal/log", "internal/breaker", "internal/concurrency", "internal/backoff"}

// forTests may be imported by test files alone.
var forTests = []string{"internal/testutil/...", "internal/arch", "registry/registrytest", "registry/libkv/internal/drivertest"}

// house is the table of DESIGN.md, "The house": what each package may import of
// ours besides the leaves. "x/..." stands for x and all below it. The first
// rule that matches a package counts.
var house = []struct {
	pkg     string
	imports []string
}{
	{".", nil},
	{"internal/log", nil},
	{"internal/breaker", nil},
	{"internal/concurrency", nil},
	{"internal/backoff", nil},
	{"internal/testutil/...", []string{everything}},
	{"internal/arch", nil},
	{"protocol/...", []string{"protocol/..."}},
	{"transport/...", []string{"protocol", "transport/..."}},
	{"registry", nil},
	{"registry/registrytest", []string{"registry"}},
	{"registry/memory", []string{"registry"}},
	{"registry/libkv/internal/drivertest", []string{"registry", "registry/libkv", "registry/registrytest"}},
	{"registry/libkv/...", []string{"registry", "registry/libkv/..."}},
	{"registry/dubbo/...", []string{"registry", "registry/dubbo/..."}},
	{"selector/...", []string{"registry", "selector/..."}},
	{"ratelimit/...", []string{"ratelimit"}},
	{"internal/endpoint", []string{"protocol", "transport"}},
	{"internal/registryurl", []string{"registry/libkv/..."}}, // for the programs: demo and cmd
	{"internal/histogram", nil},                              // for the programs too
	{"client", []string{"internal/endpoint", "protocol", "transport", "registry", "selector"}},
	{"server", []string{"internal/endpoint", "protocol", "transport", "registry"}},
	{"wrapper/...", []string{"client", "server", "protocol", "ratelimit", "wrapper", "wrapper/jwt"}},
	{"gateway/middleware/...", []string{"protocol", "ratelimit", "gateway/..."}},
	{"gateway/...", []string{"protocol", "gateway/..."}},
	{"demo/...", []string{everything}},
	{"cmd/...", []string{"client", "registry/...", "protocol", "transport", "internal/registryurl", "internal/histogram", "cmd/..."}},
	{"e2e/...", []string{everything}},
}

// linkable is every module whose packages a program gets with the client or
// the server, and why. Drivers of registries and metrics libraries are not
// among them: nobody links what they do not import.
var linkable = map[string]string{
	"github.com/coder/websocket":          "the networks ws and wss; links nothing but the standard library",
	"github.com/golang/glog":              "the default logger",
	"github.com/google/uuid":              "identities",
	"github.com/klauspost/compress":       "snappy and zstd",
	"github.com/vmihailenco/msgpack/v5":   "the default serializer",
	"github.com/vmihailenco/tagparser/v2": "of msgpack",
	"golang.org/x/sys":                    "socket options",
	"google.golang.org/protobuf":          "the protobuf serializer",
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Module     *struct{ Path string }
}

// list runs go list with args at the root of the module.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard,Module"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.Bytes())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list %v: %v", args, err)
		}
		packages = append(packages, p)
	}
}

// short returns the path below the module, "." for its root.
func short(importPath string) (path string, ours bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// matches reports whether pkg is what pattern stands for.
func matches(pattern, pkg string) bool {
	if pattern == everything || pattern == pkg {
		return true
	}
	base, below := strings.CutSuffix(pattern, "/...")
	return below && (pkg == base || strings.HasPrefix(pkg, base+"/"))
}

func matchesAny(patterns []string, pkg string) bool {
	for _, pattern := range patterns {
		if matches(pattern, pkg) {
			return true
		}
	}
	return false
}

// violations compares the imports of one package with the house.
func violations(pkg string, imports []string) (wrong []string) {
	for _, rule := range house {
		if !matches(rule.pkg, pkg) {
			continue
		}
		isLeaf := matchesAny(leaves, pkg)
		for _, imported := range imports {
			path, ours := short(imported)
			switch {
			case !ours:
			case matchesAny(forTests, path) && !matchesAny(forTests, pkg):
				wrong = append(wrong, pkg+" imports "+path+", which is for tests alone")
			case !isLeaf && matchesAny(leaves, path):
			case !matchesAny(rule.imports, path):
				wrong = append(wrong, pkg+" imports "+path)
			}
		}
		return wrong
	}
	return []string{pkg + " is not in the table: decide where it stands in DESIGN.md, then here"}
}

func TestImportsFollowTheHouse(t *testing.T) {
	packages := list(t, "./...")
	if len(packages) == 0 {
		t.Fatal("go list found no packages")
	}
	for _, p := range packages {
		pkg, ours := short(p.ImportPath)
		if !ours {
			t.Fatalf("%s is not in %s", p.ImportPath, modulePath)
		}
		for _, wrong := range violations(pkg, p.Imports) {
			t.Error(wrong)
		}
	}
}

func TestTheTableCatchesWhatItShould(t *testing.T) {
	for _, test := range []struct {
		pkg, imports string
		ok           bool
	}{
		{"client", "selector", true},
		{"client", "internal/backoff", true},
		{"client", "server", false},
		{"server", "client", false},
		{"client", "registry/memory", false},
		{"client", "internal/testutil", false},
		{"registry", "protocol", false},
		{"protocol", "transport", false},
		{"protocol", "internal/log", true},
		{"internal/log", "internal/backoff", false},
		{"registry/libkv/zookeeper", "registry/libkv", true},
		{"registry/memory", "registry/libkv", false},
		{"wrapper/prometheus", "client", true},
		{"gateway", "server", false},
		{"gateway", "ratelimit", false},
		{"gateway/middleware", "ratelimit", true},
		{"demo", "gateway", true},
		{"surprise", "protocol", false},
		{".", "internal/log", true},
		{".", "client", false},
	} {
		wrong := violations(test.pkg, []string{modulePath + "/" + test.imports, "fmt"})
		if (len(wrong) == 0) != test.ok {
			t.Errorf("%s importing %s: violations %q, want ok %v", test.pkg, test.imports, wrong, test.ok)
		}
	}
}

func TestWhatUsersLink(t *testing.T) {
	for _, pkg := range []string{"client", "server", "registry", "selector", "transport", "protocol"} {
		t.Run(pkg, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(root, pkg)); err != nil {
				t.Skip("no such package yet")
			}
			for _, p := range list(t, "-deps", "./"+pkg) {
				if p.Standard || p.Module == nil || p.Module.Path == modulePath {
					continue
				}
				if linkable[p.Module.Path] == "" {
					t.Errorf("%s links %s of %s", pkg, p.ImportPath, p.Module.Path)
				}
			}
		})
	}
}

// ownedBy is which of our packages a library comes with: who imports none of
// them does not link it.
var ownedBy = map[string][]string{
	"github.com/prometheus/client_golang":   {"wrapper/prometheus"},
	"github.com/golang-jwt/jwt/v5":          {"wrapper/jwt", "wrapper/jwt/kvkey"},
	"github.com/go-jose/go-jose/v4":         {"wrapper/jwt/kvkey"},
	"github.com/docker/libkv":               {"wrapper/jwt/kvkey"},
	"github.com/opentracing/opentracing-go": {"wrapper/opentracing"},
}

func TestWrappersBringTheirOwnLibrariesAlone(t *testing.T) {
	for _, pkg := range []string{"client", "server", "wrapper", "wrapper/prometheus", "wrapper/jwt", "wrapper/jwt/kvkey", "wrapper/opentracing"} {
		for _, p := range list(t, "-deps", "./"+pkg) {
			if p.Module == nil {
				continue
			}
			if owners := ownedBy[p.Module.Path]; owners != nil && !matchesAny(owners, pkg) {
				t.Errorf("%s links %s, which comes with %v alone", pkg, p.ImportPath, owners)
			}
		}
	}
}

func TestRegistryImportsNothing(t *testing.T) {
	for _, p := range list(t, "./registry") {
		for _, imported := range p.Imports {
			if strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				t.Errorf("registry imports %s: it is the vocabulary of every driver and keeps to the standard library", imported)
			}
		}
	}
}
