package registryserver

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// Etcd starts a server alone.
func Etcd(t testing.TB) *Server {
	t.Helper()
	return etcd(t, "http", healthy)
}

// EtcdTLS starts a server that speaks TLS alone, with the PEM files cert and key.
func EtcdTLS(t testing.TB, cert, key string) *Server {
	t.Helper()
	listens := func(addr string) error { // a health check would need the certificate's authority
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return etcd(t, "https", listens, "--cert-file", cert, "--key-file", key)
}

func etcd(t testing.TB, scheme string, ready func(string) error, more ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		missing(t, "etcd", "run `make servers`")
	}
	addr, peer := freeAddr(t), "http://"+freeAddr(t)
	args := append([]string{
		"etcd", "--name", "e1", "--data-dir", t.TempDir(),
		"--listen-client-urls", scheme + "://" + addr, "--advertise-client-urls", scheme + "://" + addr,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e1=" + peer,
	}, more...)
	return launch(t, "etcd", addr, ready, args...)
}

// healthy asks etcd how it is.
func healthy(addr string) error {
	return answers("http://" + addr + "/health")
}

func answers(url string) error {
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", url, r.Status)
	}
	return nil
}
