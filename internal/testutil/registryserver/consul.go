package registryserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Consul starts an agent that keeps its data in memory. Building one takes
// minutes and so do its tests, so both are left to `make test-all`, which sets
// SINEW_REQUIRE_CONSUL; elsewhere the test is skipped, and says so.
func Consul(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("SINEW_REQUIRE_CONSUL") == "" {
		t.Skip("CONSUL IS NOT TESTED HERE: `make test-all` builds it and tests it")
	}
	binary := consulBinary()
	if binary == "" {
		t.Fatal("consul is not installed: run e2e/scripts/build-consul")
	}
	addr := freeAddr(t)
	return launch(t, "Consul", addr, func(addr string) error { return answers("http://" + addr + "/v1/kv/?keys&consistent&separator=/x") },
		binary, "agent", "-dev", "-client", "127.0.0.1", "-bind", "127.0.0.1",
		"-http-port", portOf(addr), "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
		"-server-port", portOf(freeAddr(t)), "-serf-lan-port", portOf(freeAddr(t)), "-serf-wan-port", "-1")
}

// consulBinary returns where one is: on the PATH, or where build-consul puts it.
func consulBinary() string {
	if path, err := exec.LookPath("consul"); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	built, err := filepath.Glob(filepath.Join(cache, "sinew", "consul-v*"))
	if err != nil || len(built) == 0 {
		return ""
	}
	return built[len(built)-1]
}
