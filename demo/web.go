package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/dubbo"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/gateway/middleware"
	"github.com/sinew-rpc/sinew/gateway/openapi"
)

// webDrainTime is how long the gateway may take to answer the requests that it has
// when it is told to end. What is behind it begins to drain after that.
const webDrainTime = 3 * time.Second

// maxRequest bounds the body of a request to the gateway, in bytes.
const maxRequest = 1 << 20

// web is the gateway and what serves it.
type web struct {
	gateway *gateway.Gateway
	server  *gateway.Server
	addr    string
	served  chan error // what Serve returned, once
}

// openWeb serves backend to all that speaks HTTP, on addr.
func openWeb(addr string, backend gateway.Backend) (*web, error) {
	g, err := gateway.New(backend, nil)
	if err != nil {
		return nil, err
	}
	if err := routes(g); err != nil {
		return nil, err
	}
	s, err := gateway.NewServer(g, &gateway.ServerOption{ShutDownWait: webDrainTime})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, adviseListen(err, addr, "-web")
	}
	w := &web{gateway: g, server: s, addr: ln.Addr().String(), served: make(chan error, 1)}
	go func() { w.served <- s.Serve(ln) }()
	return w, nil
}

// routes is what the gateway serves beside the calls that every gateway takes.
func routes(g *gateway.Gateway) error {
	g.Use(middleware.AccessLog(nil), middleware.Recover(nil), middleware.BodyLimit(maxRequest))
	view := g.Group(gateway.GET, "/view")
	rpc, err := jsonrpc.NewHandler(g, nil)
	arith, dubboErr := dubbo.NewHandler(g, &dubbo.Option{
		ShortNames: true,
		Positional: map[string][]string{"ArithService.Add": {"A", "B"}},
	})
	return errors.Join(err, dubboErr,
		view.Route("/health", viewHealth),
		view.Route("/cpu", viewCPU),
		view.Route("/ram", viewRAM),
		view.Route("/disk", viewDisk),
		g.Bind("GET /v1/sums/{A}/{B}", "ArithService.Add"),
		g.Bind("POST /v1/products", "ArithService.Multiply"),
		g.Handle("POST /jsonrpc", rpc),
		g.Handle("POST /com.example.ArithService", arith),
		openapi.Mount(g, &openapi.Option{Title: "The demo's services"}),
	)
}

// close ends the gateway and waits for it.
func (w *web) close() error {
	err := w.server.Close()
	if end := <-w.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("the gateway at %s: %w", w.addr, end))
	}
	return errors.Join(err, w.gateway.Close())
}

// curl is a command that makes a call through the gateway.
type curl struct {
	form string // of the call
	args string // of curl, without the address
	path string
	to   string // where its output goes, as in a shell
	want string // what it prints
}

// curls are calls in every form, for the reader to paste.
var curls = []curl{
	{"JSON", `--json '{"A":1,"B":2}'`, "/ArithService/Add", "", `{"C":3}`},
	{"an error", `--json '{"A":1,"B":0}'`, "/ArithService/Divide", "", `{"code":"invalid_argument","message":"division by zero: B must not be 0"}`},
	{"REST", ``, "/v1/sums/1/2", "", `{"C":3}`},
	{"a form", `-d A=6 -d B=7`, "/v1/products", "", `{"C":42}`},
	{"a route", ``, "/view/health", "", `{"status":"ok"}`},
	{"JSON-RPC", `--json '{"jsonrpc":"2.0","method":"ArithService.Add","params":{"A":1,"B":2},"id":1}'`, "/jsonrpc", "", `{"jsonrpc":"2.0","result":{"C":3},"id":1}`},
	{"Dubbo", `--json '{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}'`, "/com.example.ArithService", "", `{"jsonrpc":"2.0","result":{"C":3},"id":1}`},
	{"a frame's header", `-H 'rpc-header-service_name: ArithService' -H 'rpc-header-method_name: Add' -H 'rpc-header-serialize_type: 1' -d '{"A":1,"B":2}'`, "/invoke", "", `{"C":3}`},
	{"OpenAPI", `-s`, "/openapi.json", "| cut -c -18", `{"openapi":"3.1.0"`},
}

// command is what the reader pastes.
func (c curl) command(addr string) string {
	words := []string{"curl", c.args, "http://" + addr + c.path, c.to}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// lines says how to call through the gateway.
func (w *web) lines() []string {
	lines := []string{"The gateway takes HTTP; paste one of these:"}
	for _, c := range curls {
		lines = append(lines, fmt.Sprintf("  %-61s # %s", c.command(w.addr), c.form))
	}
	return append(lines, "  http://"+w.addr+"/docs is for a browser")
}
