package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run says what to measure of a row.
type Run struct {
	Callers int
	Size    int
	Warmup  time.Duration
	For     time.Duration
	Timeout Timeout
}

// Result is what one run of one row measured.
type Result struct {
	Row     string  `json:"row"`
	Callers int     `json:"callers"`
	Size    int     `json:"size"`
	Timeout Timeout `json:"timeout"`

	Calls       int64         `json:"calls"`
	Errors      int64         `json:"errors"`
	FirstError  string        `json:"first_error,omitempty"`
	Elapsed     time.Duration `json:"elapsed_ns"`
	PerSecond   float64       `json:"per_second"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	P999        time.Duration `json:"p999_ns"`
	Max         time.Duration `json:"max_ns"`
	Connections int           `json:"connections"`

	// Client and Server are what one answered call cost each process.
	Client Cost `json:"client"`
	Server Cost `json:"server"`
	// Behind is what one cost the process that the server passes calls on to, zero
	// where there is none.
	Behind Cost `json:"behind"`
	// ServerPeakRSS is the server's greatest resident size, in bytes, warm-up
	// included.
	ServerPeakRSS uint64 `json:"server_peak_rss_bytes"`
}

// Cost is what one call cost one process.
type Cost struct {
	CPU        time.Duration `json:"cpu_ns"`
	Allocs     float64       `json:"allocs"`
	AllocBytes float64       `json:"alloc_bytes"`
}

// perCall divides what was used between two readings by the calls made.
func perCall(before, after Usage, calls int64) Cost {
	if calls == 0 {
		return Cost{}
	}
	return Cost{
		CPU:        (after.CPU - before.CPU) / time.Duration(calls),
		Allocs:     float64(after.Mallocs-before.Mallocs) / float64(calls),
		AllocBytes: float64(after.AllocBytes-before.AllocBytes) / float64(calls),
	}
}

// measure starts a server, warms it up, and measures one run.
func measure(row Row, run Run) (res *Result, err error) {
	server, err := startChild(row)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	client, err := row.Dial(DialOptions{Addr: server.addr, RequestTimeout: run.Timeout.requestTimeout()})
	if err != nil {
		return nil, fmt.Errorf("load: %s: dial: %w", row.Name, err)
	}
	// A client that complains when it is closed after the run has not
	// changed what was measured.
	defer func() { _ = client.Close() }()
	calls, err := callers(client, run)
	if err != nil {
		return nil, fmt.Errorf("load: %s: %w", row.Name, err)
	}
	loop := NewLoop(calls, run.Size)
	// Frameworks that dial on the first call do so here, once, and not once
	// for each of a thousand callers that find no connection yet.
	if err := loop.First(context.Background()); err != nil {
		return nil, fmt.Errorf("load: %s: first call: %w", row.Name, err)
	}
	if t := loop.Run(context.Background(), run.Warmup); t.FirstError != nil {
		return nil, fmt.Errorf("load: %s: warm-up: %d of %d calls failed: %w", row.Name, t.Errors, t.Errors+t.Calls, t.FirstError)
	}
	return timed(row, run, loop, server)
}

func callers(client Client, run Run) ([]Call, error) {
	calls := make([]Call, 0, run.Callers)
	for range run.Callers {
		call, err := client.Caller()
		if err != nil {
			return nil, fmt.Errorf("caller %d of %d: %w", len(calls)+1, run.Callers, err)
		}
		calls = append(calls, run.Timeout.wrap(call))
	}
	return calls, nil
}

// timed runs the loop between two readings of both processes.
func timed(row Row, run Run, loop *Loop, server *child) (*Result, error) {
	serverBefore, err := server.ask(commandUsage)
	if err != nil {
		return nil, err
	}
	clientBefore, err := ReadUsage()
	if err != nil {
		return nil, err
	}
	tally := loop.Run(context.Background(), run.For)
	clientAfter, err := ReadUsage()
	if err != nil {
		return nil, err
	}
	serverAfter, err := server.ask(commandUsage)
	if err != nil {
		return nil, err
	}
	connections, err := server.connections()
	if err != nil {
		return nil, err
	}
	res := &Result{
		Row: row.Name, Callers: run.Callers, Size: run.Size, Timeout: run.Timeout,
		Calls: tally.Calls, Errors: tally.Errors, Elapsed: tally.Elapsed,
		PerSecond:     float64(tally.Calls) / tally.Elapsed.Seconds(),
		P50:           tally.Latency.Quantile(50),
		P99:           tally.Latency.Quantile(99),
		P999:          tally.Latency.Quantile(99.9),
		Max:           tally.Latency.Quantile(100),
		Connections:   connections,
		Client:        perCall(clientBefore, clientAfter, tally.Calls),
		Server:        perCall(serverBefore, serverAfter, tally.Calls),
		ServerPeakRSS: serverAfter.PeakRSS,
	}
	if before, after := serverBefore.Behind, serverAfter.Behind; before != nil && after != nil {
		res.Behind = perCall(*before, *after, tally.Calls)
	}
	if tally.FirstError != nil {
		res.FirstError = tally.FirstError.Error()
	}
	return res, nil
}
