package load

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// settle is how long the server is left alone before its idle memory is
// read, so that goroutines which end after a call have ended.
const settle = time.Second

// Idle is what connections that do nothing cost a server, each after one
// call and after two collections.
type Idle struct {
	Row         string `json:"row"`
	Connections int    `json:"connections"`
	Size        int    `json:"size"`
	// The rest is per connection.
	HeapBytes  float64 `json:"heap_bytes"`
	StackBytes float64 `json:"stack_bytes"`
	RSSBytes   float64 `json:"rss_bytes"`
	Goroutines float64 `json:"goroutines"`
}

// measureIdle opens n connections, makes one call of size bytes on each, and
// compares the server's memory with what it was before the first.
func measureIdle(row Row, n, size int) (idle *Idle, err error) {
	server, err := startChild(row)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	before, err := server.ask(commandCollect)
	if err != nil {
		return nil, err
	}
	clients, err := openIdle(row, server.addr, n, size)
	defer func() {
		for _, c := range clients {
			_ = c.Close() // the figures are taken by then
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("load: %s: connection %d of %d: %w", row.Name, len(clients)+1, n, err)
	}
	time.Sleep(settle)
	after, err := server.ask(commandCollect)
	if err != nil {
		return nil, err
	}
	open, err := server.connections()
	if err != nil {
		return nil, err
	}
	if open < n {
		return nil, fmt.Errorf("load: %s: %d connections are open, not %d", row.Name, open, n)
	}
	per := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(open) }
	return &Idle{
		Row: row.Name, Connections: open, Size: size,
		HeapBytes:  per(before.HeapBytes, after.HeapBytes),
		StackBytes: per(before.StackBytes, after.StackBytes),
		RSSBytes:   per(before.RSS, after.RSS),
		Goroutines: per(uint64(before.Goroutines), uint64(after.Goroutines)),
	}, nil
}

// openIdle opens connections one after the other: made at once, they would
// measure how the server bears a burst.
func openIdle(row Row, addr string, n, size int) ([]Client, error) {
	clients := make([]Client, 0, n)
	c := caller{body: noise(0, size)}
	for range n {
		client, err := row.Dial(DialOptions{Addr: addr})
		if err != nil {
			return clients, err
		}
		clients = append(clients, client)
		if c.call, err = client.Caller(); err != nil {
			return clients, err
		}
		if err := c.once(context.Background()); err != nil {
			return clients, err
		}
	}
	return clients, nil
}

// raiseFileLimit lets this process open as many files as it may, and fails
// when that is too few for n connections.
func raiseFileLimit(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("load: limit of open files: %w", err)
	}
	const spare = 100
	if limit.Max < uint64(n+spare) {
		return fmt.Errorf("load: %d connections need %d open files and the hard limit is %d: raise it or use fewer connections", n, n+spare, limit.Max)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("load: raise the limit of open files: %w", err)
	}
	return nil
}
