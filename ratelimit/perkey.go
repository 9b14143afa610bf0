package ratelimit

import (
	"cmp"
	"container/list"
	"sync"
	"time"
)

// Defaults of PerKey.
const (
	DefaultMaxKeys = 10_000
	DefaultIdle    = time.Minute
)

// PerKey gives each key, a client's identity or HostKey for example, a limiter of
// its own, and keeps a bounded number of them however many keys are tried. The fields
// must not change once it is used; its method may run concurrently.
type PerKey struct {
	// New makes the limiter of a key; that of the empty key is shared by all
	// keys for which there is no place. It is called with a lock held, and must
	// not use the PerKey. Nil, or a nil limiter: the key is not limited.
	New func(key string) RateLimiter
	// MaxKeys is how many limiters are kept. The default is DefaultMaxKeys.
	MaxKeys int
	// Idle is how long a limiter must not have been asked for before it may be
	// forgotten to make place: longer than it needs to be full again, or a key
	// gains by being forgotten. The default is DefaultIdle.
	Idle time.Duration

	mu sync.Mutex
	// Guarded by mu:
	places map[string]*list.Element // into order
	order  list.List                // of *keyed, the one asked for last in front
	rest   RateLimiter              // of the keys that have no place; nil until needed
}

// keyed is the limiter of one key.
type keyed struct {
	key     string
	limiter RateLimiter
	asked   time.Time
}

// For returns the limiter of key, nil where it is not limited. When MaxKeys
// limiters are all in use, that of the empty key is returned: whoever tries
// many keys gains nothing by it.
func (p *PerKey) For(key string) RateLimiter {
	if p == nil || p.New == nil {
		return nil
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if place, ok := p.places[key]; ok {
		k := place.Value.(*keyed)
		k.asked = now
		p.order.MoveToFront(place)
		return k.limiter
	}
	if key == "" || !p.makePlaceLocked(now) {
		if p.rest == nil {
			p.rest = p.New("")
		}
		return p.rest
	}
	if p.places == nil {
		p.places = make(map[string]*list.Element)
	}
	k := &keyed{key: key, limiter: p.New(key), asked: now}
	p.places[key] = p.order.PushFront(k)
	return k.limiter
}

// makePlaceLocked forgets the limiter that was not asked for the longest, where
// there is no place else; false when that is too young.
func (p *PerKey) makePlaceLocked(now time.Time) bool {
	if p.order.Len() < cmp.Or(max(p.MaxKeys, 0), DefaultMaxKeys) {
		return true
	}
	oldest := p.order.Back()
	k := oldest.Value.(*keyed)
	if now.Sub(k.asked) < cmp.Or(max(p.Idle, 0), DefaultIdle) {
		return false
	}
	p.order.Remove(oldest)
	delete(p.places, k.key)
	return true
}
