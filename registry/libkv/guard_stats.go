package libkv

import (
	"errors"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

// linePause is the least time between two log lines that say that the store
// fails: one that refuses some calls and answers others begins an outage with
// each of them.
const linePause = time.Minute

// outage is the time in which nothing answers. guard.mu guards it.
type outage struct {
	since  time.Time // zero while the store answers
	logged bool      // its beginning was
	lineAt time.Time // of the last such line
}

func (o *outage) lasts() time.Duration {
	if o.since.IsZero() {
		return 0
	}
	return time.Since(o.since)
}

// faulty counts the calls that failed or were late since the guard was made.
func (g *guard) faulty() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats.Faults
}

// snapshot returns the figures.
func (g *guard) snapshot() StoreStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats
}

// faultLocked books that a failed with err, and returns what its caller is told.
func (g *guard) faultLocked(a *attempt, err error) error {
	now := time.Now()
	var failed *StoreError
	if !errors.As(err, &failed) {
		failed = &StoreError{Op: a.op, Key: a.key, After: now.Sub(a.began), Err: err}
	}
	g.stats.Faults++
	g.stats.LastError, g.stats.LastErrorAt = failed, now
	if o := &g.outage; o.since.IsZero() {
		o.since = now
		if o.logged = o.lineAt.IsZero() || now.Sub(o.lineAt) >= linePause; o.logged {
			o.lineAt = now
			g.notes = append(g.notes, func() { log.Warningf("%v; trying again until it answers", failed) })
		}
	}
	return failed
}

// answeredLocked books that the store has answered in time.
func (g *guard) answeredLocked() {
	g.replacer.inVain = 0
	took := g.outage.lasts()
	if g.outage.logged {
		g.notes = append(g.notes, func() {
			log.Infof("libkv: the store answers again after %v", took.Round(time.Millisecond))
		})
	}
	g.outage.since, g.outage.logged = time.Time{}, false
}
