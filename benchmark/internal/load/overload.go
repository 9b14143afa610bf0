package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// calmLoad is the calls a second before and after an overload: three quarters of
// what the server answers.
const calmLoad = Capacity * 3 / 4

// Overload says what to measure of a row under more calls than its server can
// answer: Calm at three quarters of its capacity, For at Times its capacity, and
// Calm again.
type Overload struct {
	Size     int
	Times    int
	Calm     time.Duration
	For      time.Duration
	Deadline time.Duration
}

func (o Overload) phases() []Phase {
	return []Phase{{calmLoad, o.Calm}, {Capacity * o.Times, o.For}, {calmLoad, o.Calm}}
}

// OverloadResult is what one row did under an [Overload].
type OverloadResult struct {
	Row          string   `json:"row"`
	Seconds      []Second `json:"seconds"`
	FirstRefusal string   `json:"first_refusal,omitempty"`
	// How late the generator made its calls.
	LateP50 time.Duration `json:"late_p50_ns"`
	LateP99 time.Duration `json:"late_p99_ns"`
	LateMax time.Duration `json:"late_max_ns"`
	// ClientCPU is what the generator used of all CPUs, with the framework's
	// client in it; ServerCPU what the server did.
	ClientCPU     float64 `json:"client_cpu"`
	ServerCPU     float64 `json:"server_cpu"`
	ServerPeakRSS uint64  `json:"server_peak_rss_bytes"`
}

// measureOverload starts a server and puts it under an overload.
func measureOverload(row Row, o Overload) (res *OverloadResult, err error) {
	server, err := startChild(row)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	client, err := row.Dial(DialOptions{Addr: server.addr, RequestTimeout: o.Deadline})
	if err != nil {
		return nil, fmt.Errorf("load: %s: dial: %w", row.Name, err)
	}
	defer func() { _ = client.Close() }() // what it says of calls that came too late is no result
	call, err := client.Caller()
	if err != nil {
		return nil, fmt.Errorf("load: %s: %w", row.Name, err)
	}
	if err := NewLoop([]Call{call}, o.Size).First(context.Background()); err != nil {
		return nil, fmt.Errorf("load: %s: first call: %w", row.Name, err)
	}
	return overloaded(row, o, call, server)
}

// overloaded runs the loop between two readings of both processes.
func overloaded(row Row, o Overload, call Call, server *child) (*OverloadResult, error) {
	serverBefore, err := server.ask(commandUsage)
	if err != nil {
		return nil, err
	}
	clientBefore, err := ReadUsage()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	loop := OpenLoop{Call: call, Size: o.Size, Deadline: o.Deadline, Phases: o.phases()}
	t := loop.Run(context.Background())
	elapsed := time.Since(begun)
	clientAfter, err := ReadUsage()
	if err != nil {
		return nil, err
	}
	serverAfter, err := server.ask(commandUsage)
	if err != nil {
		return nil, err
	}
	all := float64(elapsed) * float64(runtime.NumCPU())
	res := &OverloadResult{
		Row: row.Name, Seconds: t.Seconds,
		LateP50: t.Lateness.Quantile(50), LateP99: t.Lateness.Quantile(99), LateMax: t.Lateness.Quantile(100),
		ClientCPU:     float64(clientAfter.CPU-clientBefore.CPU) / all,
		ServerCPU:     float64(serverAfter.CPU-serverBefore.CPU) / all,
		ServerPeakRSS: serverAfter.PeakRSS,
	}
	if t.FirstRefusal != nil {
		res.FirstRefusal = t.FirstRefusal.Error()
	}
	return res, nil
}
