package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// programDir is where the command is built; empty when no test needed it.
var programDir string

// program builds the command once, and returns where it is.
var program = sync.OnceValues(func() (string, error) {
	var err error
	if programDir, err = os.MkdirTemp("", "sinew-cli"); err != nil {
		return "", err
	}
	path := filepath.Join(programDir, "sinew")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func removeProgram() { _ = os.RemoveAll(programDir) } // a folder that is left does no harm

// play runs the built program with the environment given and what it reads.
func play(t *testing.T, env []string, in string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(cleanEnv(), env...)
	cmd.Stdin = strings.NewReader(in)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// cleanEnv is the environment without what the command heeds.
func cleanEnv() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SINEW_") {
			env = append(env, v)
		}
	}
	return env
}

func wantText(t *testing.T, what, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%s: %q is not in\n%s", what, p, text)
		}
	}
}

func TestCall(t *testing.T) {
	p := startProvider(t, setup{})
	code, out, errs := play(t, nil, "", "call", "Arith.Add", `{"A":4611686018427387904,"B":1}`, "--addr", p.addr)
	if code != exitOK || errs != "" || out != "{\n  \"C\": 4611686018427387905\n}\n" {
		t.Errorf("Add: exit %d, %q, %s", code, out, errs)
	}
	code, out, _ = play(t, []string{"SINEW_ADDR=tcp@" + p.addr}, `{"Text":"to be or not"}`, "call", "Text.Count", "-")
	if code != exitOK || !strings.Contains(out, `"Words": 4`) {
		t.Errorf("a body from the standard input: exit %d, %q", code, out)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitFailed, "InvalidArgument: division by zero", []string{"Arith.Divide", `{"A":1}`}},
		{exitFailed, `(?s)Unimplemented: .*Subtract.*sinew ls`, []string{"Arith.Subtract"}},
		{exitFailed, `(?s)DeadlineExceeded.*may have run`, []string{"Text.Hang", "--timeout", "50ms"}},
		{exitUsage, "is no JSON", []string{"Arith.Add", "{'A':1}"}},
		{exitUsage, "write Type.Method", []string{"Add"}},
		{exitUsage, "which method", nil},
		{exitUsage, "one word too many", []string{"Arith.Add", "{}", "x"}},
		{exitUsage, "--help", []string{"Arith.Add", "--nonsense"}},
		{exitUsage, "--ca: open", []string{"Arith.Add", "--ca", "no-such-file"}},
	} {
		code, out, errs := play(t, nil, "", append([]string{"call", "--addr", p.addr}, c.args...)...)
		if code != c.code || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		wantText(t, strings.Join(c.args, " "), errs, c.says)
	}
}

func TestWhomIsAsked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	ln.Close()
	file := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := "bolt://" + file
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "whom.*--addr.*--registry", []string{"ls"}},
		{exitUsage, "is none of bolt", []string{"ls", "--registry", "redis://x"}},
		{exitUsage, "--addr", []string{"ls", "--addr", "@x"}},
		{exitUsage, "--timeout must be positive", []string{"ping", "--addr", dead, "--timeout", "-1s"}},
		{exitUsage, "--timeout must be positive", []string{"ls", "--registry", empty, "--timeout", "0"}},
		{exitUsage, `no command "cal": do you mean call`, []string{"cal"}},
		{exitUsage, `no command "nonsense"`, []string{"nonsense"}},
		{exitFailed, "Nothing listens there", []string{"call", "Arith.Add", "--addr", dead}},
		{exitFailed, "1 provider of 1 not answered", []string{"ping", "--addr", dead}},
		{exitFailed, `(?s)no application.*--path`, []string{"ls", "--registry", empty}},
		{exitFailed, `(?s)no application.*--path`, []string{"watch", "--registry", empty}},
		{exitFailed, `(?s)zk://` + dead + ` does not answer.*--timeout`, []string{"ls", "--registry", "zk://" + dead, "--timeout", "300ms"}},
	} {
		code, _, errs := play(t, nil, "", c.args...)
		if code != c.code {
			t.Errorf("%v: exit %d", c.args, code)
		}
		wantText(t, strings.Join(c.args, " "), errs, c.says)
	}
	code, out, _ := play(t, nil, "", "ls", "--addr", dead)
	wantText(t, "ls of a dead address", out, `tcp@`+dead+` +down .* connection refused`)
	if code != exitOK {
		t.Errorf("ls of a dead address: exit %d", code)
	}
	if code, out, errs := play(t, []string{"SINEW_AUTH=a secret"}, "", "call", "--help"); code != exitOK || strings.Contains(out+errs, "secret") {
		t.Errorf("help: exit %d, %s", code, out+errs)
	}
}

func TestLsSeesTheStateOfAll(t *testing.T) {
	r := "bolt://" + filepath.Join(t.TempDir(), "ls.db")
	one := startProvider(t, setup{Registry: r, App: "shop", Version: "v1", Tags: map[string]string{"idc": "lf"}})
	two := startProvider(t, setup{Registry: r, App: "shop", Only: true, Tags: map[string]string{"idc": "gz"}})
	kept := startProvider(t, setup{Registry: r, App: "bank", Auth: "open sesame"})
	env := []string{"SINEW_REGISTRY=" + r}

	awaitListed(t, env, "shop", 2)
	awaitListed(t, env, "bank", 1)
	code, out, errs := play(t, env, "", "ls")
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
	wantText(t, "ls", out,
		`bank: 1 provider in bolt://`, `shop: 2 providers in bolt://`,
		`tcp@`+one.addr+` +up +idc=lf +v1 `, `tcp@`+two.addr+` +up +idc=gz +- `,
		`tcp@`+kept.addr+` +denied .*Unauthenticated: who are you\?`,
		`(?m)^Arith$`, `\.Add +main\.Operands +-> main\.Result\n`, `\.Count +main.Passage +-> main.Count +\(1 of 2 providers\)`)
	if strings.Contains(out, "sinew.Introspect") {
		t.Error("the framework's own services are listed unasked")
	}
	_, out, _ = play(t, env, "", "ls", "shop", "--all", "--tag", "idc=gz")
	if strings.Contains(out, one.addr) || strings.Contains(out, "bank") {
		t.Errorf("other applications or tags:\n%s", out)
	}
	wantText(t, "ls --all", out, `sinew\.Introspect`, `\.Status +protocol\.StatusRequest`)
	_, out, _ = play(t, env, "", "ls", "bank", "--auth", "open sesame")
	wantText(t, "ls --auth", out, `tcp@`+kept.addr+` +up `)
	_, out, _ = play(t, append(env, "SINEW_AUTH=open sesame"), "", "ls", "bank")
	wantText(t, "ls with the environment's", out, `tcp@`+kept.addr+` +up `)
	_, out, _ = play(t, append(env, "SINEW_AUTH=open sesame"), "", "ls", "bank", "--auth", "")
	wantText(t, "ls without any", out, `tcp@`+kept.addr+` +denied `)

	code, _, errs = play(t, env, "", "ping")
	wantText(t, "two applications", errs, "choose one by --app, of bank, shop")
	if code != exitUsage {
		t.Errorf("two applications: exit %d", code)
	}
	code, out, _ = play(t, env, "", "ping", "--app", "bank", "-n", "2") // heartbeats need no auth
	if code != exitOK {
		t.Errorf("ping: exit %d", code)
	}
	wantText(t, "ping", out, "connected in", "heartbeat 2 answered in")
}

// awaitListed waits until the registry lists n providers.
func awaitListed(t *testing.T, env []string, app string, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		_, out, _ := play(t, env, "", "ls", app)
		if strings.Count(out, "tcp@") == n {
			return
		}
	}
	t.Fatalf("%d providers of %s are never listed", n, app)
}

func TestEveryNetworkByItsName(t *testing.T) {
	p := startProvider(t, setup{Network: "ws"})
	code, out, errs := play(t, nil, "", "ls", "--addr", "ws@"+p.addr)
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
	wantText(t, "ls", out, `ws@`+p.addr+` +up `)
}

func TestBench(t *testing.T) {
	p := startProvider(t, setup{})
	code, out, errs := play(t, nil, "", "bench", "Arith.Add", `{"A":1,"B":2}`, "--addr", p.addr, "--calls", "500", "--callers", "4", "--duration", "0")
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
	wantText(t, "bench", out, `Arith.Add: 500 calls in .*/s, 0 failed`, `p50 .* p99\.9 .* longest`, `up to .* +\d+\.\d% +#+`)

	_, out, _ = play(t, nil, "", "bench", "Arith.Add", "--addr", p.addr, "--rate", "100", "--duration", "1500ms")
	wantText(t, "an even rate", out, `1s of 1\.5s  \d+ calls/s  p50 `, `: 1[345]\d calls in 1\.[5-9]s`) // the last answers may come late

	code, out, errs = play(t, nil, "", "bench", "Arith.Divide", `{"A":1}`, "--addr", p.addr, "--calls", "10")
	if code != exitFailed {
		t.Errorf("failing calls: exit %d, %s", code, out)
	}
	wantText(t, "failing calls", errs, "first call failed: .*division by zero")
	if code, _, _ := play(t, nil, "", "bench", "Arith.Add", "--addr", p.addr, "--callers", "0"); code != exitUsage {
		t.Errorf("no callers: exit %d", code)
	}
}

func TestBenchTellsWhatFails(t *testing.T) {
	p := startProvider(t, setup{Flaky: true})
	code, out, errs := play(t, nil, "", "bench", "Flaky.Do", "--addr", p.addr, "--calls", "100", "--callers", "1")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantText(t, "bench", out, `Flaky.Do: 50 calls in .*, 50 failed`, `50 failed, such as: Aborted: not this time`)
	wantText(t, "bench", errs, `50 of 100 calls failed`)
}

func TestDrain(t *testing.T) {
	r := "bolt://" + filepath.Join(t.TempDir(), "drain.db")
	env := []string{"SINEW_REGISTRY=" + r}
	one := startProvider(t, setup{Registry: r, App: "shop", Orders: true})
	two := startProvider(t, setup{Registry: r, App: "shop"})
	awaitListed(t, env, "shop", 2)

	code, _, errs := play(t, env, "", "drain")
	wantText(t, "without a name", errs, "which one", "tcp@"+one.addr)
	if code != exitUsage {
		t.Errorf("without a name: exit %d", code)
	}
	code, _, errs = play(t, env, "", "drain", "tcp@10.0.0.1:1")
	wantText(t, "a wrong name", errs, `no provider "tcp@10.0.0.1:1"`)
	if code != exitUsage {
		t.Errorf("a wrong name: exit %d", code)
	}
	code, _, errs = play(t, env, "", "drain", "tcp@"+two.addr)
	wantText(t, "who takes no orders", errs, "AdminAuthorize", "SIGTERM")
	if code != exitFailed {
		t.Errorf("who takes no orders: exit %d", code)
	}
	code, out, errs := play(t, env, "", "drain", one.addr)
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
	wantText(t, "drain", out, `tcp@`+one.addr+` drains: 0 other connections, 0 other requests in flight`)
	if err := one.awaitEnd(); err != nil {
		t.Errorf("the provider ended with %v", err)
	}
	awaitListed(t, env, "shop", 1)
}

// Of several the next is asked when the last has left.
func TestDrainOneAfterTheOther(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := "bolt://" + filepath.Join(t.TempDir(), "drain.db")
	env := []string{"SINEW_REGISTRY=" + r}
	busy := make(map[string]*busyProvider) // by address
	for range 2 {
		b := newBusyProvider(t, setup{Registry: r, App: "shop", Orders: true})
		busy[b.addr] = b
	}
	awaitListed(t, env, "shop", 2)

	cmd := exec.Command(path, "drain", "--all")
	cmd.Env = append(cleanEnv(), env...)
	out := new(growing)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const drains = `tcp@(\S+) drains: \d+ other connections?, 1 other request in flight`
	out.await(t, drains)
	first := busy[regexp.MustCompile(drains).FindStringSubmatch(out.String())[1]]
	delete(busy, first.addr)
	for addr, second := range busy {
		_, listed, _ := play(t, nil, "", "ls", "--addr", addr)
		wantText(t, "the second while the first drains", listed, `tcp@`+addr+` +up `)
		first.release()
		out.await(t, `tcp@`+addr+` drains: \d+ other connections?, 1 other request in flight`)
		if err := first.awaitEnd(); err != nil {
			t.Errorf("the first ended with %v", err)
		}
		second.release()
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// busyProvider has a call that runs until release.
type busyProvider struct {
	*provider
	release func()
}

func newBusyProvider(t *testing.T, s setup) *busyProvider {
	t.Helper()
	b := &busyProvider{provider: startProvider(t, s)}
	c, err := client.NewRPCClient("tcp", b.addr, &client.Option{RequestTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	b.release = func() { _ = c.Close() } // returns nil
	t.Cleanup(b.release)
	c.Go(t.Context(), "Text.Hang", new(Passage), new(Count), nil)
	for {
		status, err := client.Invoke[protocol.ServerStatus](t.Context(), c, protocol.MethodStatus, new(protocol.StatusRequest))
		if err != nil {
			t.Fatal(err)
		}
		if status.RequestsInFlight == 2 {
			return b
		}
	}
}

func TestWatchOfWhoComesAndGoes(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := "bolt://" + filepath.Join(t.TempDir(), "watch.db")
	one := startProvider(t, setup{Registry: r, App: "shop", Orders: true})
	awaitListed(t, []string{"SINEW_REGISTRY=" + r}, "shop", 1)
	cmd := exec.Command(path, "watch", "--interval", "50ms", "--registry", r)
	cmd.Env = cleanEnv()
	out := new(growing)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, `tcp@`+one.addr+` +up +\S+s +\d+ +\d+ +\d+ +\d+ +0`)
	two := startProvider(t, setup{Registry: r, App: "shop"})
	out.await(t, `2 providers\n.*\n.*\n?tcp@`)
	out.await(t, `tcp@`+two.addr+` +up `)
	if code, _, errs := play(t, nil, "", "drain", "--addr", one.addr); code != exitOK {
		t.Fatal(errs)
	}
	out.await(t, `tcp@`+one.addr+` +gone`)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, out)
	}
}

// growing is an output that can be waited on.
type growing struct {
	mu sync.Mutex
	// Guarded by mu:
	text bytes.Buffer
}

// Write implements io.Writer.
func (g *growing) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func (g *growing) await(t *testing.T, pattern string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if regexp.MustCompile(pattern).MatchString(g.String()) {
			return
		}
	}
	t.Fatalf("%q never comes in\n%s", pattern, g)
}

// On a terminal the table is refreshed in place.
func TestWatchOnATerminal(t *testing.T) {
	p := startProvider(t, setup{})
	out := onATerminal(t, "stty cols 100 rows 24", "watch -n 3 --interval 50ms --addr "+p.addr)
	if n := strings.Count(out, "\x1b[3A\r\x1b[J"); n != 2 {
		t.Errorf("three looks at one provider went back over its three lines %d times:\n%q", n, out)
	}
}

// So it is where the terminal is too small for what there is to say: a line that wraps
// is two, and a line that has scrolled away is out of reach.
func TestWatchOnASmallTerminal(t *testing.T) {
	var addrs []string
	for range 9 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	out := onATerminal(t, "stty cols 60 rows 8", "watch -n 2 --interval 50ms --addr "+strings.Join(addrs, ","))
	_, second, found := strings.Cut(out, "\x1b[7A\r\x1b[J")
	if !found {
		t.Fatalf("it did not go back over the seven lines that there is room for:\n%q", out)
	}
	second, found = strings.CutSuffix(strings.TrimPrefix(second, "\x1b[?7l"), "\r\n\x1b[?7h")
	if !found {
		t.Fatalf("lines wrap on after it, or within:\n%q", second)
	}
	lines := strings.Split(second, "\r\n")
	if len(lines) != 7 || lines[6] != "… and 5 more lines" {
		t.Errorf("it shows %q", lines)
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// onATerminal runs the program on one, which script gives it, and sets that up by
// a command before.
func onATerminal(t *testing.T, before, args string) string {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		if os.Getenv("SINEW_REQUIRE_SERVERS") != "" {
			t.Fatal("script, of Debian's bsdutils, is not there to make a terminal")
		}
		t.Skip("script, of Debian's bsdutils, is not there to make a terminal")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "-qec", before+" && "+path+" "+args, "/dev/null")
	cmd.Env = append(cleanEnv(), "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestCompletion(t *testing.T) {
	p := startProvider(t, setup{})
	for shell, says := range map[string]string{"bash": "complete -o", "zsh": "#compdef sinew", "fish": "complete -c sinew"} {
		code, out, _ := play(t, nil, "", "completion", shell)
		if code != exitOK || !strings.Contains(out, says) {
			t.Errorf("%s: exit %d, %.200s", shell, code, out)
		}
	}
	// What the scripts call.
	_, out, _ := play(t, nil, "", "__complete", "--addr", p.addr, "call", "Arith.")
	wantText(t, "methods", out, `Arith\.Add\tmain\.Operands`, `Arith\.Divide`)
	if strings.Contains(out, "Text.") {
		t.Errorf("methods that do not begin so:\n%s", out)
	}
	_, out, _ = play(t, nil, "", "__complete", "--addr", p.addr, "drain", "")
	wantText(t, "providers", out, `tcp@`+p.addr)
	_, out, _ = play(t, nil, "", "__complete", "pi")
	wantText(t, "commands", out, "ping\t")
}

// An address that was left in the environment is another fleet's: a flag that says
// whom counts for more.
func TestFlagsCountForMoreThanTheEnvironment(t *testing.T) {
	r := "bolt://" + filepath.Join(t.TempDir(), "flags.db")
	meant := startProvider(t, setup{Registry: r, App: "shop", Orders: true})
	other := startProvider(t, setup{Orders: true})
	awaitListed(t, []string{"SINEW_REGISTRY=" + r}, "shop", 1)
	env := []string{"SINEW_ADDR=" + other.addr}

	code, out, errs := play(t, env, "", "ls", "--registry", r)
	if code != exitOK || errs != "" || strings.Contains(out, other.addr) {
		t.Errorf("ls --registry: exit %d, %s%s", code, out, errs)
	}
	wantText(t, "ls --registry", out, `shop: 1 provider in `, `tcp@`+meant.addr+` +up `)
	_, out, _ = play(t, append(env, "SINEW_REGISTRY="+r), "", "ls")
	wantText(t, "both in the environment", out, `tcp@`+other.addr+` +up `)
	_, out, _ = play(t, []string{"SINEW_REGISTRY=" + r}, "", "ls", "--addr", other.addr)
	wantText(t, "ls --addr", out, `tcp@`+other.addr+` +up `)
	_, out, _ = play(t, env, "", "__complete", "--registry", r, "drain", "")
	if strings.Contains(out, other.addr) {
		t.Errorf("completed from the environment:\n%s", out)
	}
	for says, args := range map[string][]string{
		"give one of them": {"drain", "--registry", r, "--addr", other.addr},
		"--addr is empty":  {"drain", "--addr", ""},
	} {
		code, _, errs := play(t, []string{"SINEW_REGISTRY=" + r}, "", args...)
		if code != exitUsage {
			t.Errorf("%v: exit %d", args, code)
		}
		wantText(t, strings.Join(args, " "), errs, says)
	}

	code, out, errs = play(t, env, "", "drain", "--registry", r, "--app", "shop")
	if code != exitOK || errs != "" {
		t.Errorf("drain --registry: exit %d, %s", code, errs)
	}
	wantText(t, "drain --registry", out, `tcp@`+meant.addr+` drains`)
	if err := meant.awaitEnd(); err != nil {
		t.Errorf("the provider ended with %v", err)
	}
	code, _, errs = play(t, nil, "", "ping", "--addr", other.addr)
	if code != exitOK {
		t.Errorf("the provider in the environment no longer answers: %s", errs)
	}
}
