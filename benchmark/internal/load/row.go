// Package load is what every program of the benchmark shares: it starts the
// program's own server in a second process, calls it from N closed loops,
// checks each reply, and prints what it measured as one line of JSON.
//
// A program describes its framework with one or more [Row] values and hands
// them to [Main]; everything else is here, so that no framework is measured
// by a loop of its own.
package load

import (
	"context"
	"net"
	"runtime/debug"
	"time"
)

// Call sends one message and returns the one that came back. It is used by
// one goroutine at a time. The body belongs to the caller again as soon as
// Call returns.
type Call func(ctx context.Context, id int64, body []byte) (replyID int64, reply []byte, err error)

// Client is the calling side of one framework, connected to one server.
type Client interface {
	// Caller returns the function through which one more goroutine calls. A
	// framework that multiplexes returns the same one each time; one that
	// does not dials another connection.
	Caller() (Call, error)
	// Close closes every connection.
	Close() error
}

// DialOptions says whom a [Row] dials and how.
type DialOptions struct {
	// Addr is the server's address, "127.0.0.1:port".
	Addr string
	// RequestTimeout bounds each call by the framework's own option. Zero:
	// no bound, and a framework that has a default one must switch it off.
	RequestTimeout time.Duration
}

// Row is one line of the result: a framework with one set of settings.
type Row struct {
	// Name identifies the row, "framework" or "framework/variant".
	Name string
	// Module is the Go module that is measured; its version is read from the
	// program. Empty for code of this repository or the standard library.
	Module string
	// Settings says how the framework is set up and which codec it uses.
	Settings string
	// Timeouts lists the modes, beyond none, that the row supports.
	Timeouts []Timeout
	// Serve serves the echo method on ln until the process ends. It is nil in a
	// row that forwards.
	Serve func(ln net.Listener) error
	// Forward, in a row whose server only passes calls on, serves on ln until the
	// process ends, by the server of Provide, which listens at addr in a process
	// of its own.
	Forward func(ln net.Listener, addr string) error
	// Provide is the server behind Forward.
	Provide func(ln net.Listener) error
	// Dial connects to a server of the same row.
	Dial func(o DialOptions) (Client, error)
}

// Description is what a program says about one of its rows.
type Description struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Settings string    `json:"settings"`
	Timeouts []Timeout `json:"timeouts"`
	// Forwards tells that the server passes calls on to another.
	Forwards bool `json:"forwards,omitempty"`
}

func (r Row) describe() Description {
	return Description{Name: r.Name, Version: moduleVersion(r.Module), Settings: r.Settings, Timeouts: r.Timeouts, Forwards: r.Forward != nil}
}

// moduleVersion returns the version of a module linked into this program, or
// "" where it is not one.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok || path == "" {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

// Shared returns a [Client] whose callers all use one Call: the shape of a
// framework that multiplexes.
func Shared(call Call, closeFunc func() error) Client {
	return shared{call: call, close: closeFunc}
}

type shared struct {
	call  Call
	close func() error
}

func (s shared) Caller() (Call, error) { return s.call, nil }
func (s shared) Close() error          { return s.close() }
