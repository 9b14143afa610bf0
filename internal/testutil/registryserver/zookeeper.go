package registryserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zooKeeperJar is where Debian's package puts it.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

// tick is ZooKeeper's unit of time: sessions last 2 to 20 of them.
const tick = 500 * time.Millisecond

// ZooKeeper starts a server alone, whose sessions last 1 to 10 s.
func ZooKeeper(t testing.TB) *Server {
	t.Helper()
	requireZooKeeper(t)
	c := configure(t, freeAddr(t), nil, 0)
	return launch(t, "ZooKeeper", c.addr, zooKeeperServes, c.args...)
}

// ZooKeeperEnsemble starts n servers that keep the data together.
func ZooKeeperEnsemble(t testing.TB, n int) []*Server {
	t.Helper()
	requireZooKeeper(t)
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("server.%d=127.0.0.1:%s:%s", i+1, portOf(freeAddr(t)), portOf(freeAddr(t))))
	}
	var servers []*Server
	for i := range n {
		c := configure(t, freeAddr(t), members, i+1)
		servers = append(servers, begin(t, fmt.Sprintf("ZooKeeper %d", i+1), c.addr, zooKeeperServes, c.args...))
	}
	for _, s := range servers {
		s.await()
	}
	return servers
}

// Leader returns which of the ensemble's servers leads it, and the others.
func Leader(t testing.TB, ensemble []*Server) (leader *Server, others []*Server) {
	t.Helper()
	for _, s := range ensemble {
		if mode, err := zooKeeperMode(s.addr); err == nil && mode == "leader" {
			leader = s
		} else {
			others = append(others, s)
		}
	}
	if leader == nil {
		t.Fatal("the ensemble has no leader")
	}
	return leader, others
}

func requireZooKeeper(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("java")
	if _, jar := os.Stat(zooKeeperJar); err != nil || jar != nil {
		missing(t, "ZooKeeper", "run `make servers`")
	}
}

type zooKeeperSetup struct {
	addr string
	args []string
}

// configure writes the files of one server. Debian's own start script takes no
// configuration but the system's, so Java is started directly.
func configure(t testing.TB, addr string, members []string, id int) zooKeeperSetup {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := fmt.Sprintf("tickTime=%d\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n%s\n",
		tick.Milliseconds(), data, portOf(addr), strings.Join(members, "\n"))
	file := filepath.Join(dir, "zoo.cfg")
	err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(file, []byte(config), 0o600))
	if id > 0 {
		err = errors.Join(err, os.WriteFile(filepath.Join(data, "myid"), fmt.Append(nil, id), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return zooKeeperSetup{addr, []string{
		"java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true",
		"-cp", "/etc/zookeeper/conf:" + zooKeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file,
	}}
}

// Sessions returns how many sessions a ZooKeeper server has with clients that are
// connected to it.
func Sessions(t testing.TB, s *Server) int {
	t.Helper()
	answer, err := fourLetters(s.addr, "cons")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(answer, []byte("sid="))
}

// zooKeeperServes reports whether the server takes requests.
func zooKeeperServes(addr string) error {
	_, err := zooKeeperMode(addr)
	return err
}

// zooKeeperMode returns standalone, leader or follower.
func zooKeeperMode(addr string) (string, error) {
	answer, err := fourLetters(addr, "srvr")
	if err != nil {
		return "", err
	}
	_, mode, found := bytes.Cut(answer, []byte("Mode: "))
	if !found {
		return "", fmt.Errorf("it says %q", answer)
	}
	mode, _, _ = bytes.Cut(mode, []byte("\n"))
	return string(mode), nil
}

// fourLetters asks a server one of the questions that it answers in plain text.
func fourLetters(addr, word string) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(word)); err != nil {
		return nil, err
	}
	return io.ReadAll(conn)
}
