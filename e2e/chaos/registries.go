package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	_ "github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
	_ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
)

// What the providers register as.
const (
	application = "chaos"
	servicePath = "/sinew/chaos"
	ttl         = 3 * time.Second // the shortest that readers believe
	pollEvery   = time.Second
)

// kinds of registry, each with the port at which a provider serves who found it
// there.
var kinds = []struct {
	name    string
	backend store.Backend
	port    string
}{
	{"zk", store.ZK, "7001"},
	{"etcd", etcdv3.Backend, "7002"},
	{"bolt", store.BOLTDB, "7003"},
}

// open opens the registry that word names, such as zk=10.0.0.1:2181,10.0.0.2:2181,
// and says at which port providers that register there serve.
func open(word string) (r *libkv.KVRegistry, port string, err error) {
	name, addrs, _ := strings.Cut(word, "=")
	for _, k := range kinds {
		if k.name == name {
			r, err := libkv.NewKVRegistry(k.backend, application, servicePath, strings.Split(addrs, ","), pollEvery, nil)
			return r, k.port, err
		}
	}
	return nil, "", fmt.Errorf("no registry is called %q", name)
}

// registries are the servers that keep the lists, and the file that does.
type registries struct {
	zookeepers []*registryServer
	etcd       *registryServer
	disk       string // a small file system of its own for BoltDB, or a folder
	mounted    bool
}

// registryServer is one server of a registry.
type registryServer struct {
	*process
	host *host
	args []string
	port string
	dir  string
}

func (s *registryServer) addr() string { return net.JoinHostPort(s.host.ip, s.port) }

func (s *registryServer) run() (err error) {
	s.process, err = s.host.start(s.dir, s.host.name, false, s.args...)
	return err
}

// words name the registries for the roles.
func (r *registries) words() []string {
	var addrs []string
	for _, s := range r.zookeepers {
		addrs = append(addrs, s.addr())
	}
	return []string{"zk=" + strings.Join(addrs, ","), "etcd=" + r.etcd.addr(), "bolt=" + filepath.Join(r.disk, "registry.db")}
}

// startRegistries starts all of them and waits until the ensemble has a leader
// and etcd answers.
func startRegistries(n *network, dir string) (*registries, error) {
	r := &registries{disk: filepath.Join(dir, "disk")}
	if err := os.Mkdir(r.disk, 0o700); err != nil {
		return nil, err
	}
	r.mounted = n.namespaces && commands("mount -t tmpfs -o size=512k tmpfs "+r.disk) == nil
	if err := r.configure(n, dir); err != nil {
		return r, err
	}
	for _, s := range append([]*registryServer{r.etcd}, r.zookeepers...) {
		if err := s.run(); err != nil {
			return r, err
		}
	}
	return r, r.ready()
}

// configure lays out the servers' hosts and files.
func (r *registries) configure(n *network, dir string) error {
	if _, err := exec.LookPath("etcd"); err != nil {
		return fmt.Errorf("%w: run `make servers`", err)
	}
	if _, err := os.Stat(zooKeeperJar); err != nil {
		return fmt.Errorf("%w: run `make servers`", err)
	}
	var members []string
	for i := range 3 {
		h, err := n.add(fmt.Sprintf("z%d", i+1))
		if err != nil {
			return err
		}
		members = append(members, fmt.Sprintf("server.%d=%s:2888:3888", i+1, h.ip))
		r.zookeepers = append(r.zookeepers, &registryServer{host: h, port: "2181", dir: dir})
	}
	for i, s := range r.zookeepers {
		if err := s.configureZooKeeper(i+1, members); err != nil {
			return err
		}
	}
	h, err := n.add("e1")
	if err != nil {
		return err
	}
	r.etcd = &registryServer{host: h, port: "2379", dir: dir}
	peer := "http://" + net.JoinHostPort(h.ip, "2380")
	clients := "http://" + r.etcd.addr()
	r.etcd.args = []string{
		"etcd", "--name", "e1", "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e1=" + peer,
	}
	return nil
}

// zooKeeperJar is where Debian's package puts it; its start script takes no
// configuration but the system's.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

func (s *registryServer) configureZooKeeper(id int, members []string) error {
	data := filepath.Join(s.dir, s.host.name)
	file := data + ".cfg"
	config := fmt.Sprintf("tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir=%s\nclientPort=%s\nclientPortAddress=%s\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n%s\n",
		data, s.port, s.host.ip, strings.Join(members, "\n"))
	s.args = []string{
		"java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true",
		"-cp", "/etc/zookeeper/conf:" + zooKeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file,
	}
	return errors.Join(os.Mkdir(data, 0o700), os.WriteFile(file, []byte(config), 0o600),
		os.WriteFile(filepath.Join(data, "myid"), fmt.Append(nil, id), 0o600))
}

// ready waits until all of them serve.
func (r *registries) ready() error {
	if err := poll(startLimit, func() error { _, err := r.leader(); return err }); err != nil {
		return err
	}
	return poll(startLimit, func() error {
		answer, err := r.etcd.host.output(self(), "ask", r.etcd.addr(), "GET /health HTTP/1.0\r\n\r\n")
		if err == nil && !strings.Contains(answer, "true") {
			err = fmt.Errorf("etcd says %q", answer)
		}
		return err
	})
}

// leader returns which of ZooKeeper's servers leads.
func (r *registries) leader() (*registryServer, error) {
	var said []string
	for _, s := range r.zookeepers {
		answer, err := s.host.output(self(), "ask", s.addr(), "srvr")
		if strings.Contains(answer, "Mode: leader") {
			return s, nil
		}
		said = append(said, fmt.Sprintf("%s: %.80q %v", s.host.name, answer, err))
	}
	return nil, fmt.Errorf("ZooKeeper has no leader: %s", strings.Join(said, "; "))
}

// self is this program.
func self() string {
	exe, err := os.Executable()
	if err != nil { // it runs, so it is somewhere
		return os.Args[0]
	}
	return exe
}

// ask prints what a server answers to a few bytes: a role, so that it is asked
// from within its network.
func ask(args []string) error {
	if len(args) != 2 {
		return errors.New("ask addr bytes")
	}
	conn, err := net.DialTimeout("tcp", args[0], time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, args[1]); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// fill leaves no byte free on BoltDB's disk, until free.
func (r *registries) fill() error {
	file, err := os.Create(r.ballast())
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); err != nil {
			return nil // full
		}
	}
}

func (r *registries) free() error { return os.Remove(r.ballast()) }

func (r *registries) ballast() string { return filepath.Join(r.disk, "ballast") }

func (r *registries) stop() {
	for _, s := range append([]*registryServer{r.etcd}, r.zookeepers...) {
		if s != nil && s.process != nil {
			s.kill()
		}
	}
	if r.mounted {
		_ = commands("umount -l " + r.disk) // a process that dies may hold it
	}
}

// countEntries prints how many providers a registry lists, and waits for there
// to be as many as it was told.
func countEntries(args []string) error {
	if len(args) != 3 {
		return errors.New("entries registry count limit")
	}
	r, _, err := open(args[0])
	if err != nil {
		return err
	}
	defer r.Close()
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	limit, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	count, err := awaitEntries(r, want, limit)
	fmt.Println(count)
	return err
}

// awaitEntries returns how many providers r lists, once they are as many as
// wanted or limit is over since the first list.
func awaitEntries(r registry.Registry, want int, limit time.Duration) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	ps, _, err := r.Providers(ctx)
	if err != nil {
		return 0, err
	}
	for end := time.Now().Add(limit); len(ps) != want && time.Now().Before(end); {
		if err := rest(ctx, 200*time.Millisecond); err != nil {
			return len(ps), err
		}
		if ps, _, err = r.Providers(ctx); err != nil {
			return 0, err
		}
	}
	return len(ps), nil
}
