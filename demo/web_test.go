package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew/registry"
)

// pasted runs a command as a shell does, and returns what it prints.
func pasted(t *testing.T, command string) string {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "curl ", "curl --silent --show-error --max-time 10 ", 1))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// expectCurls pastes every line that starts with curl in what the demo printed.
func expectCurls(t *testing.T, printed string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("the lines to paste are not tried: %v", err)
	}
	lines := regexp.MustCompile(`(?m)^  (curl .*?) +# (.*)$`).FindAllStringSubmatch(printed, -1)
	if len(lines) != len(curls) {
		t.Fatalf("%d lines to paste, want %d, in\n%s", len(lines), len(curls), printed)
	}
	for i, line := range lines {
		if got := strings.TrimSpace(pasted(t, line[1])); got != curls[i].want || line[2] != curls[i].form {
			t.Errorf("%s\nprints %s, want %s", line[0], got, curls[i].want)
		}
	}
}

// TestCurlLines pastes what the show and the server print, while they run.
func TestCurlLines(t *testing.T) {
	for _, args := range [][]string{
		{"server", "-addr", "127.0.0.1:0"},
		{"-duration", "1h", "-callers", "1"},
	} {
		t.Run(args[0], func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			printed := make(chan struct{})
			out := &watchedOutput{on: "/docs", do: sync.OnceFunc(func() { close(printed) })}
			ended := make(chan int, 1)
			go func() { ended <- run(ctx, args, out, out) }()
			select {
			case <-printed:
				expectCurls(t, out.text())
				expectViews(t, regexp.MustCompile(`http://[\d.]+:\d+`).FindString(out.text()))
			case code := <-ended:
				ended <- code
			}
			cancel()
			if code := <-ended; code != exitOK {
				t.Errorf("ended with %d: %s", code, out.text())
			}
		})
	}
}

// expectViews looks at what the machine is said to be doing.
func expectViews(t *testing.T, address string) {
	t.Helper()
	for _, path := range []string{"/view/ram", "/view/disk"} {
		var view usage64
		getJSON(t, address+path, &view)
		if view.Total == 0 || view.Used == 0 || view.Used > view.Total || view.Percent <= 0 || view.Percent > 100 {
			t.Errorf("%s says %+v", path, view)
		}
	}
	var busy struct{ Percent []float64 }
	getJSON(t, address+"/view/cpu", &busy)
	if len(busy.Percent) == 0 {
		t.Error("/view/cpu knows no processor")
	}
}

func getJSON(t *testing.T, address string, v any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", address, res.StatusCode, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Errorf("%s: %v in %s", address, err, body)
	}
}

// A request whose body does not come holds up the end for no longer than the
// containers allow for.
func TestASlowBodyHoldsTheEndUpNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	s, err := newServer(registry.NewPeer2PeerRegistry(), registry.RegisterOption{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	front, err := openWeb("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := net.Dial("tcp", front.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	fmt.Fprint(caller, "POST /ArithService/Add HTTP/1.1\r\nHost: demo\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(caller).ReadString('\n'); !strings.Contains(line, "100 Continue") {
		t.Fatalf("nobody waits for the body: %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*webDrainTime)
	defer cancel()
	err = front.server.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("the gateway says %v, and %v had passed: %v", err, 2*webDrainTime, ctx.Err())
	}
	_ = front.close()
}

func TestGatewayThatCannotListen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, args := range [][]string{{"server", "-addr", "127.0.0.1:0"}, {"-duration", "1s"}} {
		code, _, errs := play(t, t.Context(), append(args, "-web", ln.Addr().String())...)
		if code != exitFailed {
			t.Errorf("%v: exit %d", args, code)
		}
		wantText(t, errs, "address already in use", "choose another address with -web")
	}
	if code, _, errs := play(t, t.Context(), "-web", "8080"); code != exitUsage || !strings.Contains(errs, `-web: "8080" is no host:port`) {
		t.Errorf("exit %d, %s", code, errs)
	}
}
