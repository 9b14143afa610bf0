package testutil

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// leakOnPurpose, in the environment of a child process, makes a test leak.
const leakOnPurpose = "SINEW_TESTUTIL_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(leakOnPurpose) != "" {
		leakWait = 100 * time.Millisecond
	}
	Main(m)
}

// startLeaky returns when leakyFunction runs, which ends with stop.
func startLeaky(stop <-chan struct{}) {
	started := make(chan struct{})
	go leakyFunction(started, stop)
	<-started
}

func leakyFunction(started chan<- struct{}, stop <-chan struct{}) {
	close(started)
	<-stop
}

func TestLeakedFindsAGoroutineUntilItEnds(t *testing.T) {
	if left := Leaked(time.Second); len(left) != 0 {
		t.Fatalf("before anything was started: %q", left)
	}
	stop := make(chan struct{})
	startLeaky(stop)
	left := Leaked(0)
	if len(left) != 1 || !strings.Contains(left[0], "leakyFunction") {
		t.Errorf("while it runs: %q", left)
	}
	close(stop)
	if left := Leaked(10 * time.Second); len(left) != 0 {
		t.Errorf("after it ended: %q", left)
	}
}

func TestMainFailsAPackageThatLeaks(t *testing.T) {
	if os.Getenv(leakOnPurpose) != "" {
		startLeaky(nil)
		return
	}
	for _, c := range []struct{ name, env string }{{"leaks", "1"}, {"does not leak", ""}} {
		t.Run(c.name, func(t *testing.T) {
			run := "-test.run=^TestMainFailsAPackageThatLeaks$"
			if c.env == "" {
				run = "-test.run=^TestLeakedFindsAGoroutineUntilItEnds$"
			}
			cmd := exec.Command(os.Args[0], run)
			cmd.Env = append(os.Environ(), leakOnPurpose+"="+c.env)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			failed := errors.As(err, &exit)
			if err != nil && !failed {
				t.Fatal(err)
			}
			if failed != (c.env != "") || strings.Contains(string(out), "leakyFunction") != failed {
				t.Errorf("err = %v, output:\n%s", err, out)
			}
		})
	}
}

func TestCertificatesAreOfOneAuthority(t *testing.T) {
	server, client := Certificates(t)
	if server.ClientCAs == nil || !server.ClientCAs.Equal(client.RootCAs) {
		t.Error("the two sides trust different authorities")
	}
	if len(server.Certificates) != 1 || len(client.Certificates) != 1 {
		t.Errorf("certificates: %d and %d, want one each", len(server.Certificates), len(client.Certificates))
	}
}
