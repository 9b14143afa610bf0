package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// childGrace is how long a server may take to start, to answer, or to end.
const childGrace = 20 * time.Second

// child is a server of this same program in a process of its own.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	addr  string
}

// startChild starts the server of a row and waits for its address.
func startChild(row Row) (*child, error) { return start(row, commandServer) }

// start starts this program with a command that serves a row.
func start(row Row, command string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("load: find this program: %w", err)
	}
	cmd := exec.Command(self, command, "-row", row.Name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("load: server's input: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("load: server's output: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("load: start the server: %w", err)
	}
	c := &child{cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	if c.addr, err = c.readLine(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// readLine reads one line, or kills a server that prints none in time.
func (c *child) readLine() (string, error) {
	timer := time.AfterFunc(childGrace, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	if c.lines.Scan() {
		return c.lines.Text(), nil
	}
	if err := c.lines.Err(); err != nil {
		return "", fmt.Errorf("load: server's output: %w", err)
	}
	return "", errors.New("load: the server ended or did not answer in time; its own message stands above")
}

// ask sends a command and reads the usage that answers it.
func (c *child) ask(command string) (Usage, error) {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return Usage{}, fmt.Errorf("load: ask the server: %w", err)
	}
	line, err := c.readLine()
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	if err := json.Unmarshal([]byte(line), &u); err != nil {
		return Usage{}, fmt.Errorf("load: the server answered %q: %w", line, err)
	}
	return u, nil
}

// connections counts the connections to the server.
func (c *child) connections() (int, error) {
	_, port, err := net.SplitHostPort(c.addr)
	if err != nil {
		return 0, fmt.Errorf("load: server's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, fmt.Errorf("load: server's port: %w", err)
	}
	return establishedTo(number)
}

// stop ends the server by closing its input, or kills it when it lingers.
func (c *child) stop() error {
	closed := c.in.Close()
	timer := time.AfterFunc(childGrace, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	return errors.Join(closed, c.cmd.Wait())
}
