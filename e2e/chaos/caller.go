package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

// What a call may take, in chaos and soak, and in a rolling restart, which is not
// about time.
const (
	requestTimeout        = 1500 * time.Millisecond
	rollingRequestTimeout = 20 * time.Second
)

// rates are calls per second of each kind at a caller; they begin at their time
// whatever became of those before.
var rates = map[kind]float64{
	kindFast: 20, kindRetry: 20, kindOver: 20, kindOneway: 10, kindLarge: 4, kindCancel: 10, kindHTTP: 30,
}

// load is the role of a caller: what it does until its standard input ends.
type load struct {
	number  int64
	timeout time.Duration
	do      map[kind]func(ctx context.Context, id int64) error
	records chan record
	calls   sync.WaitGroup
	stop    chan struct{}
}

// callAll is the role of a caller.
func callAll(args []string) (err error) {
	flags := flag.NewFlagSet("caller", flag.ContinueOnError)
	name := flags.String("name", "", "names its files")
	number := flags.Int64("number", 0, "makes its IDs its own")
	dir := flags.String("dir", "", "where its files are")
	rate := flags.Float64("rate", 1, "factor on the calls per second")
	callers := flags.Int("callers", 0, "callers that each make one call after the other, instead of a rate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	gauge, err := startGauge(filepath.Join(*dir, *name+".gauge"))
	if err != nil {
		return err
	}
	l := &load{number: *number, timeout: requestTimeout, records: make(chan record, 1024), stop: make(chan struct{})}
	if *callers > 0 {
		l.timeout = rollingRequestTimeout
	}
	end, err := l.connect(flags.Arg(0))
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- l.write(filepath.Join(*dir, *name+".calls")) }()
	var drivers sync.WaitGroup
	l.drive(&drivers, *rate, *callers)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started this process has seen enough
	close(l.stop)
	drivers.Wait()
	l.calls.Wait()
	close(l.records)
	return errors.Join(<-written, end(), gauge.finish())
}

// connect makes the clients: one for each fail mode, on one registry, or one of
// the gateway's.
func (l *load) connect(target string) (end func() error, err error) {
	if addr, found := strings.CutPrefix(target, "http="); found {
		return l.connectHTTP(addr), nil
	}
	r, _, err := open(target)
	if err != nil {
		return nil, err
	}
	clients := make(map[client.FailMode]client.SGClient)
	for _, mode := range []client.FailMode{client.FailFast, client.FailRetry, client.FailOver} {
		if clients[mode], err = governed(r, mode, l.timeout); err != nil {
			return nil, err
		}
	}
	call := func(mode client.FailMode, method string, size int) func(context.Context, int64) error {
		return func(ctx context.Context, id int64) error {
			var res echo.Body
			err := clients[mode].Call(ctx, method, &echo.Body{ID: id, Data: make([]byte, size)}, &res)
			if err == nil && (res.ID != id || len(res.Data) != size) {
				return &wrongAnswer{id, fmt.Sprintf("%d with %d bytes", res.ID, len(res.Data))}
			}
			return err
		}
	}
	over := call(client.FailOver, "Journal.Enter", 0)
	l.do = map[kind]func(context.Context, int64) error{
		kindFast:  call(client.FailFast, "Journal.Enter", 0),
		kindRetry: call(client.FailRetry, "Journal.Enter", 0),
		kindLarge: call(client.FailOver, "Journal.Plain", 256<<10),
		kindOver: func(ctx context.Context, id int64) error {
			return over(client.With(ctx, client.Idempotent()), id)
		},
		kindOneway: func(ctx context.Context, id int64) error {
			return clients[client.FailFast].Notify(ctx, "Journal.Plain", &echo.Body{ID: id})
		},
		kindCancel: call(client.FailFast, "Journal.Wait", 0),
	}
	return func() error {
		var errs []error
		for _, c := range clients {
			errs = append(errs, c.Close())
		}
		return errors.Join(append(errs, r.Close())...)
	}, nil
}

// governed is a client as an operator would set it up.
func governed(r registry.Registry, mode client.FailMode, timeout time.Duration) (client.SGClient, error) {
	op := client.DefaultSGOption
	op.AppKey, op.Registry = application, r
	op.FailMode, op.RequestTimeout = mode, timeout
	op.HeartbeatInterval, op.DialTimeout = 500*time.Millisecond, time.Second
	return client.NewSGClient(op)
}

// connectHTTP calls through the gateway at addr.
func (l *load) connectHTTP(addr string) (end func() error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	c := &http.Client{Transport: transport}
	l.do = map[kind]func(context.Context, int64) error{kindHTTP: func(ctx context.Context, id int64) error {
		ctx, cancel := context.WithTimeout(ctx, l.timeout)
		defer cancel()
		return post(ctx, c, "http://"+addr+"/Journal/Enter", id)
	}}
	return func() error { transport.CloseIdleConnections(); return nil }
}

// post makes one call through the gateway. Its error has the code and outcome
// that the gateway told of, or what is known without one.
func post(ctx context.Context, c *http.Client, url string, id int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(fmt.Sprintf(`{"ID":%d}`, id)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		outcome := protocol.MaybeRun
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			outcome = protocol.NotSent
		}
		return protocol.NewError(protocol.Unavailable, err.Error()).WithOutcome(outcome)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return protocol.NewError(protocol.Unavailable, err.Error()).WithOutcome(protocol.MaybeRun)
	case res.StatusCode == http.StatusOK:
		var answer echo.Body
		if json.Unmarshal(body, &answer) != nil || answer.ID != id {
			return &wrongAnswer{id, string(body)}
		}
		return nil
	}
	for _, o := range []protocol.Outcome{protocol.NotSent, protocol.Refused, protocol.Ran, protocol.MaybeRun} {
		if res.Header.Get("Sinew-Outcome") == o.String() {
			return protocol.NewError(protocol.Unavailable, string(body)).WithOutcome(o)
		}
	}
	return fmt.Errorf("status %s without an outcome: %s", res.Status, body)
}

// drive begins the calls: at the rate of each kind, or by callers that make one
// after the other.
func (l *load) drive(drivers *sync.WaitGroup, rate float64, callers int) {
	ids := make(chan int64)
	drivers.Go(func() {
		defer close(ids)
		for id := l.number << 32; ; id++ {
			select {
			case ids <- id:
			case <-l.stop:
				return
			}
		}
	})
	if callers > 0 {
		k := kindFast
		if l.do[kindHTTP] != nil {
			k = kindHTTP
		}
		for range callers {
			drivers.Go(func() { l.caller(k, ids) })
		}
		return
	}
	for k := range l.do {
		each := time.Duration(float64(time.Second) / (rates[k] * rate))
		drivers.Go(func() { l.pace(k, each, ids) })
	}
}

// pace begins a call of kind k each time.
func (l *load) pace(k kind, each time.Duration, ids <-chan int64) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		id, ok := <-ids
		if !ok {
			return
		}
		l.calls.Go(func() { l.one(k, id) })
	}
}

// callerPause is how long one of many callers rests, on average.
const callerPause = 500 * time.Millisecond

// caller makes one call after the other, none of which is meant to fail.
func (l *load) caller(k kind, ids <-chan int64) {
	pause := time.NewTimer(rand.N(2 * callerPause))
	defer pause.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-pause.C:
		}
		for id := range ids {
			if failure(id) == "" {
				l.one(k, id)
				break
			}
		}
		pause.Reset(rand.N(2 * callerPause))
	}
}

// one makes a call and records it.
func (l *load) one(k kind, id int64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := record{ID: id, Kind: k, Began: time.Now()}
	if k == kindCancel {
		gone := time.AfterFunc(50*time.Millisecond+rand.N(200*time.Millisecond), func() {
			r.Gone = time.Now()
			cancel()
		})
		err := l.do[k](ctx, id)
		if gone.Stop() { // it failed before its time
			r.fill(err)
			l.records <- r
			return
		}
		<-ctx.Done() // so r.Gone is written
		r.fill(err)
		l.records <- r
		return
	}
	r.fill(l.do[k](ctx, id))
	l.records <- r
}

// write writes the records until there are no more.
func (l *load) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	to := bufio.NewWriter(file)
	encoder := json.NewEncoder(to)
	var errs []error
	for r := range l.records {
		errs = append(errs, encoder.Encode(r))
	}
	return errors.Join(append(errs, to.Flush(), file.Close())...)
}
