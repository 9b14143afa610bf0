package load

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// The commands that start a server; measuring one starts it so.
const (
	commandServer   = "server"
	commandProvider = "provider"
)

const usageText = `usage:
  %[1]s list                 describe the rows as JSON
  %[1]s client [flags]       start a server, measure it, print one line of JSON
  %[1]s idle [flags]         measure what idle connections cost the server
  %[1]s overload [flags]     measure a server under more calls than it can answer
  %[1]s server -row NAME     serve; commands on standard input
  %[1]s provider -row NAME   serve what the server of a row passes calls on to
`

// runGrace is what a run may take beyond its warm-up and its time: a call
// that never returns must not stop the whole benchmark.
const runGrace = 60 * time.Second

// idleLimit bounds the whole measurement of idle connections.
const idleLimit = 5 * time.Minute

// Main is the main function of a program that offers rows; its result is the
// process's exit status. It takes standard output for itself and lends the
// frameworks standard error in its place, so that what they print does not
// end up in the results.
func Main(rows ...Row) int {
	out := os.Stdout
	os.Stdout = os.Stderr
	if err := dispatch(rows, os.Args[1:], out); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 2
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func dispatch(rows []Row, args []string, out *os.File) error {
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, usageText, os.Args[0])
		return flag.ErrHelp
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	name := flags.String("row", rows[0].Name, "the row")
	switch args[0] {
	case "list":
		return list(rows, out)
	case commandServer:
		return runServer(rows, flags, name, args[1:], out, serve)
	case commandProvider:
		return runServer(rows, flags, name, args[1:], out, provide)
	case "client":
		return runClient(rows, flags, name, args[1:], out)
	case "idle":
		return runIdle(rows, flags, name, args[1:], out)
	case "overload":
		return runOverload(rows, flags, name, args[1:], out)
	}
	fmt.Fprintf(os.Stderr, usageText, os.Args[0])
	return fmt.Errorf("load: unknown command %q", args[0])
}

func list(rows []Row, out *os.File) error {
	all := make([]Description, 0, len(rows))
	for _, r := range rows {
		all = append(all, r.describe())
	}
	return json.NewEncoder(out).Encode(all)
}

func runServer(rows []Row, flags *flag.FlagSet, name *string, args []string, out *os.File,
	serve func(row Row, in io.Reader, out io.Writer) error) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	row, err := find(rows, *name)
	if err != nil {
		return err
	}
	if err := raiseFileLimit(0); err != nil {
		return err
	}
	return serve(row, os.Stdin, out)
}

func runClient(rows []Row, flags *flag.FlagSet, name *string, args []string, out *os.File) error {
	var run Run
	flags.IntVar(&run.Callers, "callers", 100, "goroutines that call")
	flags.IntVar(&run.Size, "size", 16, "bytes of payload")
	flags.DurationVar(&run.Warmup, "warmup", time.Second, "time of calls that are not measured")
	flags.DurationVar(&run.For, "duration", 3*time.Second, "time that is measured")
	timeout := flags.String("timeout", string(TimeoutNone), "none, request, context or ignored")
	if err := flags.Parse(args); err != nil {
		return err
	}
	row, err := find(rows, *name)
	if err != nil {
		return err
	}
	if run.Timeout, err = ParseTimeout(*timeout); err != nil {
		return err
	}
	if run.Callers < 1 || run.Size < 0 {
		return fmt.Errorf("load: %d callers of %d bytes cannot be run", run.Callers, run.Size)
	}
	if err := raiseFileLimit(run.Callers); err != nil {
		return err
	}
	return printWithin(run.Warmup+run.For+runGrace, out, func() (any, error) { return measure(row, run) })
}

func runIdle(rows []Row, flags *flag.FlagSet, name *string, args []string, out *os.File) error {
	connections := flags.Int("connections", 10_000, "connections to open")
	size := flags.Int("size", 64<<10, "bytes of the one call on each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	row, err := find(rows, *name)
	if err != nil {
		return err
	}
	if *connections < 1 || *size < 0 {
		return fmt.Errorf("load: %d connections of %d bytes cannot be measured", *connections, *size)
	}
	if err := raiseFileLimit(*connections); err != nil {
		return err
	}
	return printWithin(idleLimit, out, func() (any, error) { return measureIdle(row, *connections, *size) })
}

func runOverload(rows []Row, flags *flag.FlagSet, name *string, args []string, out *os.File) error {
	var o Overload
	flags.IntVar(&o.Size, "size", 16, "bytes of payload")
	flags.IntVar(&o.Times, "times", 5, "the load, in capacities of the server")
	flags.DurationVar(&o.Calm, "calm", 5*time.Second, "time at three quarters of the server's capacity, before and after")
	flags.DurationVar(&o.For, "duration", 30*time.Second, "time of overload")
	flags.DurationVar(&o.Deadline, "deadline", 200*time.Millisecond, "of each call")
	if err := flags.Parse(args); err != nil {
		return err
	}
	row, err := find(rows, *name)
	if err != nil {
		return err
	}
	if o.Size < 0 || o.Times < 1 || o.Calm <= 0 || o.For <= 0 || o.Deadline <= 0 {
		return fmt.Errorf("load: an overload of %+v cannot be run", o)
	}
	return printWithin(2*o.Calm+o.For+runGrace, out, func() (any, error) { return measureOverload(row, o) })
}

func find(rows []Row, name string) (Row, error) {
	for _, r := range rows {
		if r.Name == name {
			return r, nil
		}
	}
	return Row{}, fmt.Errorf("load: no row %q in this program", name)
}

// printWithin prints what f returns, or fails when f takes too long; the
// process is about to end then, and f's goroutines with it.
func printWithin(limit time.Duration, out *os.File, f func() (any, error)) error {
	type outcome struct {
		value any
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return o.err
		}
		return json.NewEncoder(out).Encode(o.value)
	case <-time.After(limit):
		return fmt.Errorf("load: no result within %v: a call does not return", limit)
	}
}
