package dubbo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/dubbo"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

const inter = "com.example.UserProvider"

type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Age  int    `json:"age"`
}

// Users is called by Dubbo.
type Users struct{}

func (Users) GetUser(ctx context.Context, id *string, user *User) error {
	switch *id {
	case "":
		return protocol.NewError(protocol.NotFound, "no such user")
	case "slow":
		<-ctx.Done()
		return protocol.NewError(protocol.DeadlineExceeded, "waited in vain")
	}
	*user = User{ID: *id, Name: "Alex", Age: 18}
	return nil
}

func (Users) Rename(_ context.Context, user *User, renamed *User) error {
	*renamed = *user
	renamed.Name = strings.ToUpper(user.Name)
	return nil
}

func (Users) Sum(_ context.Context, numbers *[]int, sum *int) error {
	for _, n := range *numbers {
		*sum += n
	}
	return nil
}

func (Users) Count(_ context.Context, _ *struct{}, n *int) error {
	*n = 1
	return nil
}

// serve returns the URL of a gateway that serves Users to Dubbo.
func serve(t testing.TB, o *dubbo.Option) string {
	t.Helper()
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, name := range []string{"Users", "UserProvider"} {
		if err := s.RegisterName(name, Users{}); err != nil {
			t.Fatal(err)
		}
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	h, err := dubbo.NewHandler(g, o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}

// at is where an interface is provided, for ever.
func at(endpoints ...string) dubbo.Endpoints {
	return func(context.Context) ([]string, error) { return endpoints, nil }
}

func dial(t testing.TB, endpoints dubbo.Endpoints, o *dubbo.ClientOption) *dubbo.Client {
	t.Helper()
	var patient dubbo.ClientOption // the machine may be busy
	if o != nil {
		patient = *o
	}
	if patient.RequestTimeout == 0 {
		patient.RequestTimeout = 30 * time.Second
	}
	c, err := dubbo.NewClient(inter, endpoints, &patient)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var _ client.Caller = (*dubbo.Client)(nil)

// TestAsDubboGoSendsIt is what dubbo-go's client puts on the wire.
func TestAsDubboGoSendsIt(t *testing.T) {
	url := serve(t, &dubbo.Option{
		Services:   map[string]string{inter: "Users"},
		Positional: map[string][]string{"Users.Rename": {"id", "name", "age"}},
	})
	for _, c := range []struct{ name, timeout, path, body, want string }{
		{"one parameter", "30s", "/" + inter, `{"jsonrpc":"2.0","method":"getUser","params":["A001"],"id":1874143215}`, `{"jsonrpc":"2.0","result":{"id":"A001","name":"Alex","age":18},"id":1874143215}`},
		{"the method in Go's spelling", "30s", "/" + inter, `{"jsonrpc":"2.0","method":"GetUser","params":["A001"],"id":1}`, `{"jsonrpc":"2.0","result":{"id":"A001","name":"Alex","age":18},"id":1}`},
		{"several parameters with names", "30s", "/" + inter, `{"jsonrpc":"2.0","method":"rename","params":["A2","bob",7],"id":1}`, `{"jsonrpc":"2.0","result":{"id":"A2","name":"BOB","age":7},"id":1}`},
		{"several parameters without", "30s", "/" + inter, `{"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":1}`, `{"jsonrpc":"2.0","result":7,"id":1}`},
		{"no parameters", "30s", "/" + inter, `{"jsonrpc":"2.0","method":"count","params":[],"id":1}`, `{"jsonrpc":"2.0","result":1,"id":1}`},
		{"below a context path", "30s", "/api/" + inter, `{"jsonrpc":"2.0","method":"count","params":[],"id":1}`, `{"jsonrpc":"2.0","result":1,"id":1}`},
		{"another interface", "30s", "/com.example.Other", `{"jsonrpc":"2.0","method":"count","params":[],"id":1}`, `-32601`},
		{"no interface", "30s", "/", `{"jsonrpc":"2.0","method":"count","params":[],"id":1}`, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}`},
		{"the time is up", "100ms", "/" + inter, `{"jsonrpc":"2.0","method":"getUser","params":["slow"],"id":1}`, `-32004`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json", "Timeout": c.timeout,
			"X-Proxy-Id": "dubbogo", "X-Services": inter, "X-Method": "getUser",
		} {
			r.Header.Set(name, value)
		}
		r.Close = true
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		got := string(body)
		if err != nil || res.StatusCode != 200 || got != c.want && !(c.want[0] == '-' && strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, %v\n%s\nwant\n%s", c.name, res.Status, err, got, c.want)
		}
	}
}

func TestInterfacesBecomeServices(t *testing.T) {
	for name, o := range map[string]*dubbo.Option{
		"by a table":      {Services: map[string]string{inter: "Users"}},
		"by a short name": {ShortNames: true},
	} {
		c := dial(t, at(serve(t, o)+"/"+inter), nil)
		var user User
		if err := c.Call(t.Context(), "UserProvider.GetUser", "A001", &user); err != nil || user.Name != "Alex" {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
	c := dial(t, at(serve(t, nil)+"/"+inter), nil)
	err := c.Call(t.Context(), "UserProvider.GetUser", "A001", nil)
	wantError(t, err, protocol.Unimplemented, protocol.Refused)
}

func wantError(t testing.TB, err error, code protocol.Code, outcome protocol.Outcome) {
	t.Helper()
	if protocol.CodeOf(err) != code || protocol.OutcomeOf(err) != outcome {
		t.Errorf("%v (%v), want %v (%v)", err, protocol.OutcomeOf(err), code, outcome)
	}
}

func TestClientCalls(t *testing.T) {
	c := dial(t, at(serve(t, &dubbo.Option{ShortNames: true})+"/"+inter), nil)
	user, err := client.Invoke[User](t.Context(), c, inter+".GetUser", new("A001"))
	if err != nil || user.ID != "A001" {
		t.Errorf("Invoke: %+v, %v", user, err)
	}
	var sum int
	if err := c.Call(t.Context(), "UserProvider.Sum", dubbo.Args{1, 2, 4}, &sum); err != nil || sum != 7 {
		t.Errorf("several parameters: %d, %v", sum, err)
	}
	if err := c.Call(t.Context(), "UserProvider.count", nil, &sum); err != nil || sum != 1 {
		t.Errorf("none: %d, %v", sum, err)
	}
	wantError(t, c.Call(t.Context(), "UserProvider.GetUser", "", nil), protocol.NotFound, protocol.Ran)
	wantError(t, c.Call(t.Context(), "UserProvider.None", nil, nil), protocol.Unimplemented, protocol.Refused)
	for _, wrong := range []string{"GetUser", "UserProvider.", "Other.GetUser", ".GetUser"} {
		wantError(t, c.Call(t.Context(), wrong, nil, nil), protocol.InvalidArgument, protocol.NotSent)
	}
}

func TestClientHeadersAndNames(t *testing.T) {
	var got http.Header
	var body []byte
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":null}`)
	}))
	defer web.Close()
	c := dial(t, at(web.URL), &dubbo.ClientOption{
		Header:     http.Header{"X-Tenant": {"7"}},
		MethodName: func(name string) string { return name },
	})
	if err := c.Call(t.Context(), "UserProvider.GetUser", "A001", nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"jsonrpc":"2.0","method":"GetUser","params":["A001"],"id":1}`; string(body) != want {
		t.Errorf("%s\nwant\n%s", body, want)
	}
	if d, err := time.ParseDuration(got.Get("Timeout")); err != nil || d <= 0 || d > 30*time.Second || got.Get("X-Services") != inter || got.Get("X-Tenant") != "7" {
		t.Errorf("%v", got)
	}
}

func TestClientGoesFromOneProviderToTheNext(t *testing.T) {
	var calls [2]atomic.Int32
	var live []string
	for i := range calls {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls[i].Add(1)
			body, _ := io.ReadAll(r.Body)
			_, id, _ := strings.Cut(string(body), `"id":`)
			fmt.Fprint(w, `{"jsonrpc":"2.0","result":1,"id":`+id)
		}))
		defer web.Close()
		live = append(live, web.URL)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + ln.Addr().String()
	ln.Close()
	c := dial(t, at(live[0], dead, live[1]), nil)
	for range 9 {
		if err := c.Call(t.Context(), "UserProvider.Count", nil, nil); err != nil {
			t.Error(err)
		}
	}
	if a, b := calls[0].Load(), calls[1].Load(); a+b != 9 || a < 3 || b < 3 {
		t.Errorf("%d and %d calls", a, b)
	}
	gone := dial(t, at(dead, dead+"/x"), nil)
	wantError(t, gone.Call(t.Context(), "UserProvider.Count", nil, nil), protocol.Unavailable, protocol.NotSent)
}

// Nonsense in a registry costs nobody a call.
func TestClientLeavesOutEndpointsThatAreNone(t *testing.T) {
	good := serve(t, &dubbo.Option{ShortNames: true}) + "/" + inter
	c := dial(t, at("http://10.0.0.9:-1/"+inter, good, "http://10.0.0.9:http/"+inter, "no URL"), nil)
	for range 5 { // each has its turn
		if err := c.Call(t.Context(), "UserProvider.Count", nil, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestClientWithoutProviders(t *testing.T) {
	c := dial(t, at(), nil)
	wantError(t, c.Call(t.Context(), "UserProvider.Count", nil, nil), protocol.Unavailable, protocol.NotSent)

	broken := errors.New("the registry is closed")
	c = dial(t, func(context.Context) ([]string, error) { return nil, broken }, nil)
	err := c.Call(t.Context(), "UserProvider.Count", nil, nil)
	wantError(t, err, protocol.Unavailable, protocol.NotSent)
	if !errors.Is(err, broken) {
		t.Errorf("%v does not wrap its cause", err)
	}

	c = dial(t, func(ctx context.Context) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() }, &dubbo.ClientOption{RequestTimeout: 10 * time.Millisecond})
	wantError(t, c.Call(t.Context(), "UserProvider.Count", nil, nil), protocol.DeadlineExceeded, protocol.NotSent)

	c = dial(t, at("no URL"), nil)
	wantError(t, c.Call(t.Context(), "UserProvider.Count", nil, nil), protocol.InvalidArgument, protocol.NotSent)
}

func TestArgumentsAreChecked(t *testing.T) {
	if _, err := dubbo.NewClient("", at(), nil); err == nil {
		t.Error("without an interface")
	}
	if _, err := dubbo.NewClient(inter, nil, nil); err == nil {
		t.Error("without endpoints")
	}
	if _, err := dubbo.NewClient(inter, at(), &dubbo.ClientOption{MaxResponse: -1}); err == nil {
		t.Error("without a bound")
	}
	if _, err := dubbo.NewHandler(nil, nil); err == nil {
		t.Error("without a gateway")
	}
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := dubbo.NewHandler(g, &dubbo.Option{JSONRPC: jsonrpc.Option{MaxReply: -1}}); err == nil || !strings.Contains(err.Error(), "MaxReply") {
		t.Errorf("MaxReply: %v", err)
	}
}

func TestNames(t *testing.T) {
	for java, name := range map[string]string{"getUser": "GetUser", "x": "X", "": "", "éa": "Éa", "_x": "_x"} {
		if got := dubbo.GoMethod(java); got != name {
			t.Errorf("GoMethod(%q) = %q", java, got)
		}
		if got := dubbo.JavaMethod(name); got != java {
			t.Errorf("JavaMethod(%q) = %q", name, got)
		}
	}
}

// observed is a transport that a program has put round that of package net/http.
type observed struct{ http.RoundTripper }

func TestClientOfAProgramWithATransportOfItsOwn(t *testing.T) {
	common := http.DefaultTransport
	defer func() { http.DefaultTransport = common }()
	http.DefaultTransport = observed{common}
	nobody := func(context.Context) ([]string, error) { return nil, nil }
	c, err := dubbo.NewClient("com.example.Shop", nobody, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), "Shop.Open", nil, nil); protocol.OutcomeOf(err) != protocol.NotSent {
		t.Error(err)
	}
}
