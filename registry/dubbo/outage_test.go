package dubbo_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/dubbo"
)

const users = "com.example.UserProvider"

// patience is how long a change may take to be seen, an outage's end included.
const patience = 30 * time.Second

func option(s *registryserver.Server) dubbo.Option {
	return dubbo.Option{Servers: []string{s.Addr()}, Interface: users, SessionTimeout: 2 * time.Second, Settle: 3 * time.Second}
}

func provider(addr string) registry.Provider {
	return registry.Provider{ProviderKey: "jsonrpc@" + addr, Network: "jsonrpc", Addr: addr, Started: time.UnixMilli(1_700_000_000_123)}
}

func register(t *testing.T, r registry.Registry, ps ...registry.Provider) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Register(ctx, registry.RegisterOption{}, ps...); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until r lists exactly addrs, with that status.
func waitFor(t *testing.T, r registry.Registry, status registry.Status, addrs ...string) {
	t.Helper()
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last registry.Snapshot
	for {
		s, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("%v; the last list was %v, %v, want %v, %v", err, addrsOf(last), last.State, addrs, status)
		}
		if last = s; slices.Equal(addrsOf(s), addrs) && s.State.Status == status {
			return
		}
	}
}

func addrsOf(s registry.Snapshot) (addrs []string) {
	for _, p := range s.Providers {
		addrs = append(addrs, p.Addr)
	}
	return addrs
}

// byHand opens a session of its own, as an operator does, or a predecessor.
func byHand(t *testing.T, s *registryserver.Server) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect([]string{s.Addr()}, 2*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events {
		}
	})
	return conn
}

func children(t *testing.T, conn *zk.Conn, category string) []string {
	t.Helper()
	names, _, err := conn.Children("/dubbo/" + users + "/" + category)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestARestartOfTheServerLosesNothing(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	writer, reader := open(t, option(server)), open(t, option(server))
	register(t, writer, provider("10.0.0.1:1"), provider("10.0.0.2:1"))
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")

	server.Kill()
	waitFor(t, reader, registry.Stale, "10.0.0.1:1", "10.0.0.2:1")
	if ok, err := writer.Registered(provider("10.0.0.1:1")); ok || err == nil {
		// The writer may notice a moment later than the reader.
		waitFor(t, writer, registry.Stale, "10.0.0.1:1", "10.0.0.2:1")
		if ok, err := writer.Registered(provider("10.0.0.1:1")); ok || err == nil {
			t.Errorf("registered while the server is away: %v, %v", ok, err)
		}
	}
	server.Restart()
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")
	waitFor(t, writer, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")

	// The sessions from before the restart end now: what is registered must not
	// go with them.
	conn := byHand(t, server)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if got := children(t, conn, "providers"); len(got) != 2 {
			t.Fatalf("%d entries: %q", len(got), got)
		}
		pace(t, 100*time.Millisecond)
	}
	if ok, err := writer.Registered(provider("10.0.0.1:1")); !ok || err != nil {
		t.Errorf("registered: %v, %v", ok, err)
	}
	register(t, writer, provider("10.0.0.3:1"))
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")
}

// pace waits between two looks at a real server.
func pace(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func TestAFrozenServerIsLeftAndComeBackTo(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	writer, reader := open(t, option(server)), open(t, option(server))
	register(t, writer, provider("10.0.0.1:1"))
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1")

	server.Freeze()
	waitFor(t, reader, registry.Stale, "10.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	begun := time.Now()
	if err := writer.Register(ctx, registry.RegisterOption{}, provider("10.0.0.2:1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Register at a frozen server: %v after %v", err, time.Since(begun))
	}
	server.Thaw()
	// What could not be written in time is written all the same.
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")
}

func TestAnEnsembleLosesItsLeader(t *testing.T) {
	servers := registryserver.ZooKeeperEnsemble(t, 3)
	o := option(servers[0])
	o.Servers = nil
	for _, s := range servers {
		o.Servers = append(o.Servers, s.Addr())
	}
	writer, reader := open(t, o), open(t, o)
	register(t, writer, provider("10.0.0.1:1"))
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1")
	leader, _ := registryserver.Leader(t, servers)
	leader.Kill()
	register(t, writer, provider("10.0.0.2:1"))
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")
}

func TestCloseDoesNotWaitForAFrozenServer(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	r := open(t, option(server))
	register(t, r, provider("10.0.0.1:1"))
	server.Freeze()
	defer server.Thaw()
	begun := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestAnyOrderOfStarting(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	server.Kill()
	writer, reader := open(t, option(server)), open(t, option(server))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, state, err := reader.Providers(ctx); !errors.Is(err, context.DeadlineExceeded) || state.Status != registry.NeverReached {
		t.Errorf("before there is a server: %v, %v", state, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := writer.Register(ctx, registry.RegisterOption{}, provider("10.0.0.1:1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Register: %v", err)
	}
	server.Restart()
	waitFor(t, reader, registry.Fresh, "10.0.0.1:1")
}

func TestAnEntryOfAPredecessorIsReplaced(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	r := open(t, option(server))
	register(t, r, provider("10.0.0.9:1")) // makes the path
	p := provider("10.0.0.1:1")
	older := p
	older.Started = p.Started.Add(-time.Hour)

	// The predecessor's session still stands: with a node of the very same name,
	// and with one of before its own restart.
	predecessor := open(t, option(server))
	register(t, predecessor, older)
	same := open(t, option(server))
	register(t, same, p)
	register(t, r, p)
	waitFor(t, r, registry.Fresh, "10.0.0.1:1", "10.0.0.9:1")
	predecessor.Close()
	same.Close()
	conn := byHand(t, server)
	if got := children(t, conn, "providers"); len(got) != 2 {
		t.Errorf("%d entries: %q", len(got), got)
	}
	if ok, err := r.Registered(p); !ok || err != nil {
		t.Errorf("registered: %v, %v", ok, err)
	}
}

// Whoever unregisters and cannot wait is removed all the same, in a process that goes
// on: a gateway, or one with another server.
func TestAnUnregisterThatCouldNotWait(t *testing.T) {
	for name, stalls := range map[string]bool{"its time was over": false, "the server stalls": true} {
		t.Run(name, func(t *testing.T) {
			server := registryserver.ZooKeeper(t)
			o := option(server)
			o.SessionTimeout = 10 * time.Second // the session outlives the stall
			reader := open(t, o)
			relay := registryserver.NewRelay(t, server.Addr())
			o.Servers = []string{relay.Addr()}
			r := open(t, o)
			p := provider("10.0.0.1:1")
			register(t, r, p, provider("10.0.0.2:1"))
			waitFor(t, reader, registry.Fresh, "10.0.0.1:1", "10.0.0.2:1")

			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if stalls {
				relay.BlackHole()
				p.Draining = true
				if err := r.Register(ctx, registry.RegisterOption{}, p); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Register where nobody answers: %v", err)
				}
				ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
			} else {
				cancel()
			}
			if err := r.Unregister(ctx, registry.RegisterOption{}, p); ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
				t.Errorf("Unregister: %v, want its context's error", err)
			}
			relay.Heal()
			waitFor(t, reader, registry.Fresh, "10.0.0.2:1")
			if ok, err := r.Registered(provider("10.0.0.2:1")); !ok || err != nil {
				t.Errorf("the other is registered: %v, %v", ok, err)
			}
		})
	}
}

func TestWhatIsDeletedByHandComesBack(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	o := option(server)
	o.Consumer = "10.0.0.77"
	o.PollInterval = 200 * time.Millisecond
	r := open(t, o)
	register(t, r, provider("10.0.0.1:1"))
	conn := byHand(t, server)
	wipe := func() {
		t.Helper()
		for _, category := range []string{"providers", "consumers"} {
			for _, name := range children(t, conn, category) {
				if err := conn.Delete("/dubbo/"+users+"/"+category+"/"+name, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
					t.Fatal(err)
				}
			}
		}
	}
	back := func() {
		t.Helper()
		deadline := time.Now().Add(patience)
		for len(children(t, conn, "providers")) != 1 || len(children(t, conn, "consumers")) != 1 {
			if time.Now().After(deadline) {
				t.Fatal("it does not come back")
			}
			pace(t, 20*time.Millisecond)
		}
	}
	back()
	wipe()
	back()

	name, err := url.QueryUnescape(children(t, conn, "consumers")[0])
	if err != nil || !strings.HasPrefix(name, "consumer://10.0.0.77/"+users+"?") || !strings.Contains(name, "category=consumers") {
		t.Errorf("the consumer's node: %q, %v", name, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(children(t, conn, "providers")) != 0 || len(children(t, conn, "consumers")) != 0 {
		t.Error("entries outlive the registry")
	}
}

// An operator may have closed what is above Dubbo's root, or all of it to those who
// only read.
func TestARootThatIsClosed(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	conn := byHand(t, server)
	closed := func(path string) {
		t.Helper()
		if _, err := conn.SetACL(path, zk.WorldACL(zk.PermRead), -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Create("/dubbo", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	closed("/")
	r := open(t, option(server))
	register(t, r, provider("10.0.0.1:1"))
	for _, path := range []string{"/dubbo", "/dubbo/" + users, "/dubbo/" + users + "/providers"} {
		closed(path)
	}
	waitFor(t, open(t, option(server)), registry.Fresh, "10.0.0.1:1")
}

func TestEndpoints(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	o := option(server)
	o.Protocol = dubbo.Any
	r := open(t, o)
	leaving := provider("10.0.0.3:1")
	leaving.Draining = true
	register(t, r, provider("10.0.0.1:1"), provider("10.0.0.2:1/rpc/users"), leaving, provider("10.0.0.5:http"),
		registry.Provider{Network: "dubbo", Addr: "10.0.0.4:1"})
	waitFor(t, r, registry.Fresh, "10.0.0.4:1", "10.0.0.1:1", "10.0.0.2:1/rpc/users", "10.0.0.3:1", "10.0.0.5:http")
	got, err := r.Endpoints(t.Context())
	if want := []string{"http://10.0.0.1:1/" + users, "http://10.0.0.2:1/rpc/users"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestARegistryOfAnyVersionOnlyReads(t *testing.T) {
	r := open(t, dubbo.Option{Servers: []string{"127.0.0.1:1"}, Interface: users, Version: dubbo.Any})
	var wrong *dubbo.OptionError
	if err := r.Register(t.Context(), registry.RegisterOption{}, provider("10.0.0.1:1")); !errors.As(err, &wrong) {
		t.Errorf("Register: %v", err)
	}
}

func TestForeignersAndGarbageAreLeftAlone(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	r := open(t, option(server))
	register(t, r, provider("10.0.0.1:1"))
	conn := byHand(t, server)
	foreign := []string{"garbage", url.QueryEscape("%"), "x%3A%2F%2F", url.QueryEscape("jsonrpc://10.0.0.1:1/" + users + "?interface=" + users + "&version=2.0")}
	for _, name := range foreign {
		if _, err := conn.Create("/dubbo/"+users+"/providers/"+name, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	register(t, r, provider("10.0.0.1:1"))
	if err := r.Unregister(t.Context(), registry.RegisterOption{}, provider("10.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, r, registry.Fresh)
	if got := children(t, conn, "providers"); len(got) != len(foreign) {
		t.Errorf("what is left: %q", got)
	}
}

func ExampleRegistry() {
	r, err := dubbo.NewRegistry(dubbo.Option{
		Servers:   []string{"127.0.0.1:2181"},
		Interface: "com.example.UserProvider",
		Version:   "1.0",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println(r.AppKey(), r.Addrs())
	// Output: com.example.UserProvider [127.0.0.1:2181]
}
