package redis

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sinew-rpc/sinew/ratelimit"
)

// slowRedis answers each script after a while, and grants every token.
type slowRedis struct {
	after  atomic.Int64 // a time.Duration; negative: never
	asked  atomic.Int64 // how many scripts there were
	served sync.WaitGroup
}

// dial is a goredis.UniversalOptions.Dialer.
func (r *slowRedis) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	r.served.Go(func() {
		defer ours.Close()
		in := bufio.NewReader(ours)
		for {
			command, err := readCommand(in)
			if err != nil {
				return
			}
			if _, err := io.WriteString(ours, r.answer(command)); err != nil {
				return
			}
		}
	})
	return theirs, nil
}

func (r *slowRedis) answer(command []string) string {
	if !strings.HasPrefix(strings.ToUpper(command[0]), "EVAL") {
		return "-ERR unknown command\r\n"
	}
	r.asked.Add(1)
	after := time.Duration(r.after.Load())
	if after < 0 {
		after = time.Minute // longer than any connection here lives
	}
	time.Sleep(after)
	return "*2\r\n:1\r\n:0\r\n"
}

// readCommand reads an array of bulk strings.
func readCommand(in *bufio.Reader) (command []string, err error) {
	number := func(kind string) (n int) {
		var line string
		if line, err = in.ReadString('\n'); err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, kind)))
		}
		return n
	}
	for n := number("*"); n > 0 && err == nil; n-- {
		text := make([]byte, number("$")+len("\r\n"))
		if err == nil {
			_, err = io.ReadFull(in, text)
		}
		command = append(command, strings.TrimSuffix(string(text), "\r\n"))
	}
	return command, err
}

// slowly is a limiter at such a server, to be used in a bubble.
func slowly(t *testing.T, after time.Duration, o Option) (*Limiter, *slowRedis) {
	t.Helper()
	r := &slowRedis{}
	r.after.Store(int64(after))
	o.Key, o.Rate = "k", 1000
	o.Redis = &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}, Dialer: r.dial, DisableIdentity: true, PoolSize: 200}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		r.served.Wait()
	})
	return l, r
}

// acquireWithin acquires as a caller that has so much time.
func acquireWithin(t *testing.T, l ratelimit.RateLimiter, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_ = l.TryAcquire(ctx)
}

// Callers who have less time than Redis needs say nothing about it, however many
// they are.
func TestCallersInAHurryProveNoOutage(t *testing.T) {
	collect(t)
	synctest.Test(t, func(t *testing.T) {
		l, _ := slowly(t, time.Millisecond, Option{})
		acquireWithin(t, l, time.Second) // connects
		for range 50 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { acquireWithin(t, l, 1500*time.Microsecond) })
			}
			all.Wait()
			time.Sleep(10 * time.Millisecond)
			if state := l.State(); state.Local {
				t.Fatalf("after callers in a hurry alone: %+v", state)
			}
		}
	})
}

// With callers in a hurry alone, an outage is found out about, and its end.
func TestAnOutageUnderCallersInAHurry(t *testing.T) {
	collect(t)
	synctest.Test(t, func(t *testing.T) {
		l, r := slowly(t, time.Millisecond, Option{})
		call := func(n int) {
			for range n {
				acquireWithin(t, l, 10*time.Millisecond)
				time.Sleep(time.Millisecond)
			}
		}
		if call(10); l.State().Local {
			t.Fatal("at first: Local")
		}
		r.after.Store(-1)
		begun := time.Now()
		for !l.State().Local {
			if call(1); time.Since(begun) > time.Second {
				t.Fatal("Redis is away for a second, and nobody knows")
			}
		}
		if found := time.Since(begun); found < 2*DefaultTimeout || found > 3*DefaultTimeout {
			t.Errorf("found out after %v", found)
		}
		before, begun := r.asked.Load(), time.Now()
		call(5000)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("while Redis is away 5000 calls waited for %v", took-5*time.Second)
		}
		if asked := r.asked.Load() - before; asked < 4 || asked > 5 {
			t.Errorf("asked %d times within five seconds", asked)
		}
		r.after.Store(int64(time.Millisecond))
		if call(1100); l.State().Local {
			t.Errorf("Redis is back for a second, and the state is %+v", l.State())
		}
	})
}

// While Redis is away callers in a hurry do not keep it so.
func TestRedisComesBackThoughCallersAreInAHurry(t *testing.T) {
	collect(t)
	synctest.Test(t, func(t *testing.T) {
		l, r := slowly(t, -1, Option{})
		acquireWithin(t, l, time.Second)
		if !l.State().Local {
			t.Fatal("a question of Timeout was not answered, and Redis is not away")
		}
		r.after.Store(int64(time.Millisecond))
		for range 1100 {
			acquireWithin(t, l, 100*time.Microsecond)
			time.Sleep(time.Millisecond)
		}
		if state := l.State(); state.Local {
			t.Errorf("%+v", state)
		}
	})
}

// Close ends a look that is under way.
func TestCloseWhileTheLimiterLooks(t *testing.T) {
	out := collect(t)
	synctest.Test(t, func(t *testing.T) {
		l, _ := slowly(t, -1, Option{})
		acquireWithin(t, l, 10*time.Millisecond)
		time.Sleep(DefaultTimeout)
		acquireWithin(t, l, 10*time.Millisecond) // begins a look
		begun := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > DefaultTimeout {
			t.Errorf("Close took %v", took)
		}
		for range 10 {
			acquireWithin(t, l, time.Second)
			time.Sleep(time.Second)
		}
	})
	if n := out.count("is away"); n != 1 {
		t.Errorf("logged %d times: %s", n, fmt.Sprint(&out.text))
	}
}
