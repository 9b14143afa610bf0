package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs on a host.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when it has
	err   error         // of Wait; read it after ended
}

// startLimit is how long a process may take until it is ready, on a machine that
// does much else.
const startLimit = 90 * time.Second

// start runs args on h with its log in dir. A program of ours says that it is
// ready by a line on standard output; others are asked by whoever started them.
func (h *host) start(dir, name string, ours bool, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args = h.args(args...)
	p := &process{name: name, cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = withParent()
	var ready io.Reader
	if ours {
		ready, err = p.cmd.StdoutPipe()
	} else {
		p.cmd.Stdout = log
	}
	if err != nil {
		return nil, err
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	if ours {
		go func() { // before Wait, which closes the pipe
			_, err := bufio.NewReader(ready).ReadString('\n')
			said <- err
			p.err = p.cmd.Wait()
			close(p.ended)
		}()
	} else {
		said <- nil
		go func() {
			p.err = p.cmd.Wait()
			close(p.ended)
		}()
	}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case err = <-said:
	case <-limit.C:
		err = fmt.Errorf("nothing in %v", startLimit)
	}
	if err != nil {
		p.kill()
		text, _ := os.ReadFile(log.Name()) // empty says enough
		return nil, fmt.Errorf("%s did not become ready: %w\n%s", name, err, text)
	}
	return p, nil
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s: %v: %w", p.name, s, err)
	}
	return nil
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// leave asks the process to go, and waits for that.
func (p *process) leave(limit time.Duration) error {
	_ = p.stdin.Close()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.ended:
	case <-t.C:
		_ = p.signal(syscall.SIGQUIT) // its log shows what it hung in
		<-p.ended
		return fmt.Errorf("%s did not end within %v", p.name, limit)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

// poll asks until there is no error, or limit is over.
func poll(limit time.Duration, ask func() error) error {
	end := time.Now().Add(limit)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// output runs a command on h and returns what it says.
func (h *host) output(args ...string) (string, error) {
	args = h.args(args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = withParent()
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
