// Package jayson tests gateway/jsonrpc against the npm package jayson, which is
// not ours: its client calls our server, and our client its server.
package jayson

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// modules is where e2e/scripts/install-node-packages puts jayson.
const modules = "../../out/node/node_modules"

// node returns the command that runs a script of this folder.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	_, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(modules, "jayson")); err != nil || missing != nil {
		const text = "NODE OR JAYSON IS NOT INSTALLED, so JSON-RPC is not tested against anybody else's: run `make node-packages`"
		if os.Getenv("CI") != "" || os.Getenv("SINEW_REQUIRE_SERVERS") != "" {
			t.Fatal(text)
		}
		fmt.Fprintln(os.Stderr, t.Name()+": "+text)
		t.Skip(text)
	}
	path, err := filepath.Abs(modules)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// Arith is what jayson's client calls.
type Arith struct{ notes chan int }

type Args struct{ A, B int }

func (Arith) Add(_ context.Context, args *Args, sum *int) error {
	*sum = args.A + args.B
	return nil
}

func (Arith) Divide(_ context.Context, args *Args, quotient *int) error {
	if args.B == 0 {
		return protocol.NewError(protocol.OutOfRange, "division by zero")
	}
	*quotient = args.A / args.B
	return nil
}

func (a Arith) Note(_ context.Context, args *Args, _ *struct{}) error {
	a.notes <- args.A
	return nil
}

// serve returns the URL of a gateway beside a server of Arith.
func serve(t *testing.T, arith Arith) string {
	t.Helper()
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Register(arith); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	h, err := jsonrpc.NewHandler(g, &jsonrpc.Option{
		Positional: map[string][]string{"Arith.Add": {"A", "B"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}

func TestJaysonCallsOurServer(t *testing.T) {
	arith := Arith{notes: make(chan int, 8)}
	out, err := node(t, "client.js", serve(t, arith)).Output()
	if err != nil {
		t.Fatal(err)
	}
	const notFound = `{"response":{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found","data":{"code":"unimplemented","message":"unknown method \"Arith.Root\"","outcome":"Refused"}},"id":2}}`
	want := map[string]string{
		"by name":                  `{"response":{"jsonrpc":"2.0","result":3,"id":"a string"}}`,
		"by position":              `{"response":{"jsonrpc":"2.0","result":7,"id":9007199254740991}}`,
		"an id of jayson's own":    `{"response":{"jsonrpc":"2.0","result":11,"id":"UUID"}}`,
		"an error":                 `{"response":{"jsonrpc":"2.0","error":{"code":-32011,"message":"division by zero","data":{"code":"out_of_range","message":"division by zero","outcome":"Ran"}},"id":1}}`,
		"no such method":           notFound,
		"params that do not fit":   `-32602`,
		"a notification":           `{}`,
		"a batch":                  `{"response":[{"jsonrpc":"2.0","result":2,"id":11},{"jsonrpc":"2.0","result":4,"id":12}]}`,
		"a batch of notifications": `{}`,
	}
	uuid := regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f-]{27}"`)
	for line := range bytes.Lines(out) {
		var said struct{ Name string }
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got := strings.TrimSpace(string(line))
		got = strings.Replace(got, `"name":`+string(mustJSON(t, said.Name))+`,`, "", 1)
		got = strings.Replace(got, `"name":`+string(mustJSON(t, said.Name)), "", 1)
		got = uuid.ReplaceAllString(got, `"UUID"`)
		if w, known := want[said.Name]; !known || got != w && !(strings.HasPrefix(w, "-") && strings.Contains(got, w)) {
			t.Errorf("%s:\n%s\nwant\n%s", said.Name, got, w)
		}
		delete(want, said.Name)
	}
	for name := range want {
		t.Errorf("%s: jayson said nothing", name)
	}
	close(arith.notes)
	notes := slices.Sorted(func(yield func(int) bool) {
		for n := range arith.notes {
			if !yield(n) {
				return
			}
		}
	})
	if !slices.Equal(notes, []int{7, 8, 9}) {
		t.Errorf("the notifications that arrived: %v", notes)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// startServer runs jayson's server and returns its URL.
func startServer(t *testing.T) string {
	t.Helper()
	cmd := node(t, "server.js")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // the server ends with it
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

func TestOurClientCallsJayson(t *testing.T) {
	c, err := jsonrpc.NewClient(startServer(t), &jsonrpc.ClientOption{RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	var sum int
	if err := c.Call(ctx, "add", []int{1, 2}, &sum); err != nil || sum != 3 {
		t.Errorf("by position: %d, %v", sum, err)
	}
	if err := c.Call(ctx, "add", map[string]int{"a": 3, "b": 4}, &sum); err != nil || sum != 7 {
		t.Errorf("by name: %d, %v", sum, err)
	}
	var said *jsonrpc.Error
	err = c.Call(ctx, "fail", []int{}, nil)
	if !errors.As(err, &said) || said.Code != 400 || said.Message != "refused" || string(said.Data) != `{"reason":"because"}` || protocol.CodeOf(err) != protocol.Unknown {
		t.Errorf("an error: %v, %+v", err, said)
	}
	err = c.Call(ctx, "none", nil, nil)
	if protocol.CodeOf(err) != protocol.Unimplemented || protocol.OutcomeOf(err) != protocol.Refused {
		t.Errorf("no such method: %v (%v)", err, protocol.OutcomeOf(err))
	}
	if err := c.Notify(ctx, "note", []string{"first"}); err != nil {
		t.Errorf("Notify: %v", err)
	}
	calls := []*jsonrpc.BatchCall{
		{Method: "add", Params: []int{5, 6}, Result: &sum},
		{Method: "note", Params: []string{"second"}, Notify: true},
		{Method: "none"},
	}
	if err := c.Batch(ctx, calls...); err != nil || sum != 11 || calls[0].Err != nil || protocol.CodeOf(calls[2].Err) != protocol.Unimplemented {
		t.Errorf("Batch: %v, %d, %v, %v", err, sum, calls[0].Err, calls[2].Err)
	}
	var notes [][]string
	if err := c.Call(ctx, "notes", nil, &notes); err != nil || fmt.Sprint(notes) != "[[first] [second]]" {
		t.Errorf("what was noted: %v, %v", notes, err)
	}
}
