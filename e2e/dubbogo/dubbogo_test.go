package dubbogo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	gatewaydubbo "github.com/sinew-rpc/sinew/gateway/dubbo"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	registrydubbo "github.com/sinew-rpc/sinew/registry/dubbo"
	"github.com/sinew-rpc/sinew/server"
)

// Users is sinew's service.
type Users struct{}

func (Users) GetUser(_ context.Context, id *string, user *User) error {
	if *id == "" {
		return protocol.NewError(protocol.NotFound, "no such user")
	}
	*user = User{ID: *id, Name: "of sinew", Age: 1 << 40}
	return nil
}

func (Users) Rename(_ context.Context, user, renamed *User) error {
	*renamed = *user
	renamed.Name = strings.ToUpper(user.Name)
	return nil
}

// serve serves Users beside a gateway in Dubbo's form, registered in ZooKeeper.
func serve(t *testing.T, r *registrydubbo.Registry) {
	t.Helper()
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Register(Users{}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	h, err := gatewaydubbo.NewHandler(g, &gatewaydubbo.Option{Services: map[string]string{inter: "Users"}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	t.Cleanup(func() {
		web.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	infos, err := s.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := registry.Provider{Network: "jsonrpc", Addr: ln.Addr().String(), Started: time.Now()}
	for _, info := range infos {
		if info.Name != "Users" {
			continue
		}
		service := registry.Service{Name: info.Name}
		for _, m := range info.Methods {
			service.Methods = append(service.Methods, registry.Method(m))
		}
		p.Services = append(p.Services, service)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.Register(ctx, registry.RegisterOption{}, p); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, zk string) *registrydubbo.Registry {
	t.Helper()
	r, err := registrydubbo.NewRegistry(registrydubbo.Option{
		Servers: []string{zk}, Interface: inter, Group: group, Version: version, Consumer: "127.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestDubboGoCallsSinew(t *testing.T) {
	zk := registryserver.ZooKeeper(t).Addr()
	serve(t, open(t, zk))
	cmd := dubbo(t, roleClient, zk)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := reports(t, out)
	want := []string{
		`{"error":"\u003cnil\u003e","user":{"id":"A001","name":"of sinew","age":1099511627776}}`,
		`no such user`,
		`{"error":"\u003cnil\u003e","user":{"id":"A2","name":"BOB","age":9007199254740992}}`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d reports:\n%s", len(got), out)
	}
	for i, w := range want {
		if got[i] != w && !(w[0] != '{' && strings.Contains(got[i], w) && strings.Contains(got[i], "-32005")) {
			t.Errorf("%s\nwant\n%s", got[i], w)
		}
	}
}

func TestSinewCallsDubboGo(t *testing.T) {
	zk := registryserver.ZooKeeper(t).Addr()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // dubbo-go listens there
	cmd := dubbo(t, roleServer, zk, port)
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it does not end by itself
		_ = cmd.Wait()         // killed
		if t.Failed() {
			t.Logf("dubbo-go said:\n%s", out)
		}
	})
	r := open(t, zk)
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for {
		s, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("dubbo-go does not register: %v", err)
		}
		if len(s.Providers) == 1 {
			check(t, s.Providers[0])
			break
		}
	}
	c, err := gatewaydubbo.NewClient(inter, r.Endpoints, &gatewaydubbo.ClientOption{
		RequestTimeout: 10 * time.Second,
		MethodName:     func(name string) string { return name },
	})
	if err != nil {
		t.Fatal(err)
	}
	var user User
	if err := c.Call(ctx, "UserProvider.GetUser", "A001", &user); err != nil || user != (User{"A001", "of dubbo-go", 1 << 40}) {
		t.Errorf("%+v, %v", user, err)
	}
	err = c.Call(ctx, "UserProvider.GetUser", "", &user)
	if protocol.OutcomeOf(err) != protocol.Ran || err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("an error: %v (%v)", err, protocol.OutcomeOf(err))
	}
	err = c.Call(ctx, "UserProvider.None", "", &user)
	if err == nil || !strings.Contains(err.Error(), "cannot find method [None]") {
		t.Errorf("a method that does not exist: %v", err)
	}
	// dubbo-go lists a method in Java's spelling too.
	java, err := gatewaydubbo.NewClient(inter, r.Endpoints, &gatewaydubbo.ClientOption{RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := java.Call(ctx, "UserProvider.GetUser", gatewaydubbo.Args{"A2"}, &user); err != nil || user.ID != "A2" {
		t.Errorf("in Java's spelling: %+v, %v", user, err)
	}
}

// check looks at what is read of what dubbo-go registered.
func check(t *testing.T, p registry.Provider) {
	t.Helper()
	if age := time.Since(p.Started); age < -time.Minute || age > time.Minute {
		t.Errorf("dubbo-go started at %v", p.Started)
	}
	if p.Weight != 0 || p.Draining || len(p.Services) != 1 || len(p.Services[0].Methods) == 0 {
		t.Errorf("%+v", p)
	}
}
