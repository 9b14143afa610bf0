package endpoint

import (
	"math/rand/v2"
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// timedTasks is how many tasks come on one that is timed for the Pace of its method:
// reading the clock costs as much as a quick method.
const timedTasks = 4

// began is what the watches of tasks count from: a duration costs one look at the
// clock, a time.Time costs two.
var began = time.Now()

// Pace is that of the admitted method, whatever a wrapper makes of the request.
func (t *task) Pace() *transport.Pace { return t.method.pace }

// startWatch returns when a task that is to be timed begins, 0 for others.
func (t *task) startWatch() time.Duration {
	if rand.Uint32N(timedTasks) != 0 { // a peer that chooses what is timed would choose what is quick
		return 0
	}
	return time.Since(began)
}

// stopWatch tells the method's Pace what came of it. It is called before the answer
// goes out: what that waits for is the socket's time.
func (t *task) stopWatch(start time.Duration) {
	if start != 0 {
		t.method.pace.Took(time.Since(began)-start, len(t.req.Body))
	}
}
