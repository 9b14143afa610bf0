package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
)

// A server process speaks lines over its standard streams: it prints its
// address once, then answers each command with one line of JSON, and ends
// when its input does, so that it never outlives the client that started it.
const (
	// commandUsage asks for the process's [Usage].
	commandUsage = "usage"
	// commandCollect collects garbage twice first: what is still held then
	// is held for good, and pools are empty.
	commandCollect = "collect"
)

// serve runs one row's server until its input ends or serving fails.
func serve(row Row, in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("load: listen: %w", err)
	}
	failed := make(chan error, 1)
	// The process is this goroutine's owner: it ends with it.
	go func() { failed <- row.Serve(ln) }()
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return fmt.Errorf("load: print the address: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- answerCommands(in, out) }()
	select {
	case err := <-failed:
		return fmt.Errorf("load: %s stopped serving: %w", row.Name, err)
	case err := <-ended:
		return err
	}
}

func answerCommands(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch command := strings.TrimSpace(lines.Text()); command {
		case commandUsage:
		case commandCollect:
			runtime.GC()
			runtime.GC()
		default:
			return fmt.Errorf("load: unknown command %q", command)
		}
		usage, err := ReadUsage()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(usage); err != nil {
			return fmt.Errorf("load: answer: %w", err)
		}
	}
	return lines.Err()
}
