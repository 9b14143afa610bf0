package server_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/server"
)

func TestConnectionsAreToldToGoAtTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxConnectionAge: 100 * time.Second})
		running(t, s)
		begun := time.Now()
		ages := make(map[time.Duration]bool)
		clients := make([]*client, 20)
		for i := range clients {
			clients[i] = dial(t, mem, nil)
			clients[i].add(t)
		}
		told := make(chan time.Duration)
		for _, c := range clients {
			go func() {
				if reason := <-c.away; !strings.Contains(reason, "MaxConnectionAge") {
					t.Errorf("told %q", reason)
				}
				if !c.PeerRenews() {
					t.Error("not told to come again")
				}
				told <- time.Since(begun)
			}()
		}
		for range clients {
			age := <-told
			if age < 90*time.Second || age > 110*time.Second {
				t.Errorf("told after %v, want 100 s and a tenth more or less", age)
			}
			ages[age] = true
		}
		if len(ages) < 2 {
			t.Error("all were told in one moment")
		}
		for _, c := range clients {
			<-c.ended // it had nothing more to say, so it has closed
		}
		synctest.Wait()
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestOldConnectionFinishesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxConnectionAge: time.Second})
		slow(t, s, time.Minute)
		running(t, s)
		c := dial(t, mem, nil)
		var reply AddReply
		begun := time.Now()
		if err := c.caller.Call(t.Context(), c.Session, "Slow", "Do", &AddRequest{}, &reply, nil); err != nil || reply.Sum != 7 {
			t.Errorf("a call that outlives the connection's age: %v", err)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		<-c.away
		<-c.ended
	})
}

func TestConnectionsHaveNoAgeByDefault(t *testing.T) {
	for _, age := range []time.Duration{0, -1, math.MaxInt64} {
		synctest.Test(t, func(t *testing.T) {
			s, mem := on(t, server.Option{MaxConnectionAge: age})
			running(t, s)
			var clients []*client
			for range 20 {
				clients = append(clients, dial(t, mem, nil))
			}
			time.Sleep(1000 * time.Hour)
			for _, c := range clients {
				c.add(t)
			}
		})
	}
}
