package registryserver

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Redis starts a server alone that keeps nothing on disk: it is no registry, but
// dies and comes back as they do.
func Redis(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "Redis", "run `make servers`")
	}
	addr := freeAddr(t)
	return launch(t, "Redis", addr, redisAnswers,
		"redis-server", "--bind", "127.0.0.1", "--port", portOf(addr), "--dir", t.TempDir(), "--save", "", "--appendonly", "no")
}

// redisAnswers pings it.
func redisAnswers(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "+PONG" {
		return fmt.Errorf("it says %q", answer)
	}
	return nil
}
