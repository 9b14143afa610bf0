package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/registryurl"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
)

// providerEnv holds the setup of a provider process, as JSON.
const providerEnv = "SINEW_TEST_PROVIDER"

// setup is how a provider process serves.
type setup struct {
	Network  string // tcp where it is empty
	Registry string
	App      string
	Version  string
	Tags     map[string]string
	Auth     string // requests must bring it
	Orders   bool   // it may be told to drain
	Only     bool   // Arith alone is served
	Flaky    bool   // Flaky is served too
}

type Operands struct{ A, B int }
type Result struct{ C int }

type Arith struct{}

func (Arith) Add(_ context.Context, in *Operands, out *Result) error {
	out.C = in.A + in.B
	return nil
}

func (Arith) Divide(_ context.Context, in *Operands, out *Result) error {
	if in.B == 0 {
		return protocol.NewError(protocol.InvalidArgument, "division by zero")
	}
	out.C = in.A / in.B
	return nil
}

type Passage struct{ Text string }
type Count struct{ Words int }

type Text struct{}

func (Text) Count(_ context.Context, in *Passage, out *Count) error {
	out.Words = len(strings.Fields(in.Text))
	return nil
}

// Hang answers nothing while its caller is there.
func (Text) Hang(ctx context.Context, _ *Passage, _ *Count) error {
	<-server.PeerFrom(ctx).Context().Done()
	return nil
}

// Flaky fails every second call.
type Flaky struct{ calls atomic.Uint64 }

func (f *Flaky) Do(_ context.Context, _ *Operands, _ *Result) error {
	if f.calls.Add(1)%2 == 0 {
		return protocol.NewError(protocol.Aborted, "not this time")
	}
	return nil
}

// keeper refuses who does not bring the word.
type keeper struct {
	server.BaseWrapper
	word string
}

func (k keeper) Admit(_ context.Context, h *protocol.Header, _ int) error {
	if h.MetaData[protocol.MetaAuth] != k.word {
		return protocol.NewError(protocol.Unauthenticated, "who are you?")
	}
	return nil
}

// provide is the process: it prints its address and serves until it is drained or
// its standard input ends.
func provide() int {
	var s setup
	if err := json.Unmarshal([]byte(os.Getenv(providerEnv)), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	if err := s.serve(); err != nil && !errors.Is(err, server.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return exitOK
}

func (s *setup) serve() error {
	o := server.Option{Tags: s.Tags, TagsOptional: true, RegisterOption: registry.RegisterOption{TTL: 5 * time.Second}}
	if s.Auth != "" {
		o.Wrappers = []server.Wrapper{keeper{word: s.Auth}}
	}
	if s.Orders {
		o.AdminAuthorize = func(context.Context, string) error { return nil }
	}
	if s.Registry != "" {
		location, err := registryurl.Parse(s.Registry)
		if err != nil {
			return err
		}
		r, err := location.Open(s.App, "/sinew/service", time.Second)
		if err != nil {
			return err
		}
		defer r.Close()
		o.Registry = r
	}
	srv, err := server.NewSGServer(&o)
	if err != nil {
		return err
	}
	err = srv.Register(Arith{})
	if err == nil && !s.Only {
		err = srv.Register(Text{})
	}
	if err == nil && s.Flaky {
		err = srv.Register(new(Flaky))
	}
	if err != nil {
		return err
	}
	go func() {
		<-srv.Listening()
		fmt.Println(srv.Addr())
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close() // returns nil
	}()
	network := s.Network
	if network == "" {
		network = "tcp"
	}
	return srv.Serve(network, "127.0.0.1:0", map[string]string{"version": s.Version})
}

// provider is a provider process.
type provider struct {
	cmd   *exec.Cmd
	addr  string
	ended chan error
	stdin io.Closer
}

// startProvider starts one, which ends with the test.
func startProvider(t *testing.T, s setup) *provider {
	t.Helper()
	config, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), providerEnv+"="+string(config))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &provider{cmd: cmd, ended: make(chan error, 1), stdin: stdin}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { p.stop(t) })
	if err != nil {
		t.Fatalf("a provider did not begin to serve: %v", err)
	}
	p.addr = strings.TrimSpace(addr)
	return p
}

// stop ends the process and waits for it.
func (p *provider) stop(t *testing.T) {
	_ = p.stdin.Close() // it may have ended by itself
	if err := p.awaitEnd(); err != nil {
		t.Errorf("a provider ended with %v", err)
	}
}

// awaitEnd waits for the process, which is killed when it does not end.
func (p *provider) awaitEnd() error {
	limit := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() }) // it may have ended
	defer limit.Stop()
	err := <-p.ended
	p.ended <- nil // for who waits again
	return err
}
