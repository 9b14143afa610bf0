package libkv

import (
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// Two instances can have one key: a successor that begins while its predecessor
// drains, replicas that share a name, a machine that wakes up when its address is
// another's. Who came last has it. Which one that is no clock of a host says where
// both have met in the store: whoever takes a key over has a greater claim than who
// had it. Where the other's entry is gone, the time stands for its claim.

const (
	// maxClaim bounds what a foreign hand may have written; as a time it is far
	// away.
	maxClaim = 1 << 53
	// probePause is the longest pause between two looks of an instance that was
	// superseded, more or less a quarter: a provider that lives is unlisted for so
	// long when its successor leaves.
	probePause = 5 * time.Second
)

// outranks reports whether e came after f, which another instance wrote.
func (e *entry) outranks(f *entry) bool {
	if e.claim != f.claim {
		return e.claim > f.claim
	}
	return e.instance > f.instance
}

// rivals is what a registration knows of another instance in its place. It belongs
// to the registration's goroutine; the zero value is ready.
type rivals struct {
	judge judge
	ttl   time.Duration // of the one that was seen last
}

// alive takes a look at rival, which stands under name, and reports whether it
// lives: one that was never seen before does, for its TTL.
func (v *rivals) alive(name string, rival *entry, faults uint64) bool {
	now := time.Now()
	v.ttl = rival.ttl
	v.judge.observe(now, faults, map[string]observation{name: {value: rival.stamp, ttl: rival.ttl}})
	return v.judge.alive(now, name)
}

// probe returns the pause before the next look, soon enough to see each stamp.
func (v *rivals) probe(interval time.Duration) time.Duration {
	return jittered(min(interval, probePause, v.ttl/2))
}

// yields reports whether the key is left to rival, nil where no other instance has
// it. A new instance takes it: it knows that it came last. So does one that
// outranks what it finds, and one whose rival is dead. Nobody says of another
// instance that it drains.
func (r *registration) yields(e, rival *entry) bool {
	if rival == nil {
		r.rivals = rivals{}
		return false
	}
	alive := r.rivals.alive(r.name, rival, r.w.g.faulty())
	if e.provider.Draining {
		return true
	}
	return e.claim != 0 && !e.outranks(rival) && alive
}

// claim gives e what outranks rival, if it has not yet, and keeps it for the next
// beats, whatever becomes of this one.
func (r *registration) claim(e, rival *entry) {
	if e.claim != 0 && (rival == nil || e.outranks(rival)) {
		return
	}
	e.claim = time.Now().UnixMilli()
	if rival != nil {
		e.claim = max(e.claim, rival.claim+1)
	}
	e.claim = min(e.claim, maxClaim)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.want.instance == e.instance {
		r.want.claim = e.claim
	}
}

// supersededBy says why nothing is written.
func supersededBy(rival *entry) error {
	return fmt.Errorf("%w: the entry is of instance %s", registry.ErrSuperseded, rival.instance)
}

// tellSuperseded logs that the key is another's now.
func (r *registration) tellSuperseded(cause error) {
	log.Warningf("libkv: %s under %s is left to another instance until that has gone: %v", r.name, r.w.parent, cause)
}
