package load

import (
	"bufio"
	"encoding/json"
	"errors"
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

// serve runs one row's server, and what stands behind it, until its input ends or
// serving fails.
func serve(row Row, in io.Reader, out io.Writer) (err error) {
	if row.Forward == nil {
		return listen(row.Name, row.Serve, nil, in, out)
	}
	provider, err := start(row, commandProvider)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.stop()) }()
	forward := func(ln net.Listener) error { return row.Forward(ln, provider.addr) }
	return listen(row.Name, forward, provider, in, out)
}

// provide runs what stands behind one row's server, as serve does.
func provide(row Row, in io.Reader, out io.Writer) error {
	if row.Provide == nil {
		return fmt.Errorf("load: nothing stands behind the server of %s", row.Name)
	}
	return listen(row.Name, row.Provide, nil, in, out)
}

// listen serves on a port of its own and answers commands; behind may be nil.
func listen(name string, serve func(net.Listener) error, behind *child, in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("load: listen: %w", err)
	}
	failed := make(chan error, 1)
	// The process is this goroutine's owner: it ends with it.
	go func() { failed <- serve(ln) }()
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return fmt.Errorf("load: print the address: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- answerCommands(behind, in, out) }()
	select {
	case err := <-failed:
		return fmt.Errorf("load: %s stopped serving: %w", name, err)
	case err := <-ended:
		return err
	}
}

func answerCommands(behind *child, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		command := strings.TrimSpace(lines.Text())
		switch command {
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
		if behind != nil {
			of, err := behind.ask(command)
			if err != nil {
				return err
			}
			usage.Behind = &of
		}
		if err := json.NewEncoder(out).Encode(usage); err != nil {
			return fmt.Errorf("load: answer: %w", err)
		}
	}
	return lines.Err()
}
