package wrapper

import (
	"context"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/backoff"
)

const (
	// renewalShare is which part of its time a call gives to renew a token that
	// still counts: a quarter. An endpoint that hangs must not fail it.
	renewalShare = 4
	// renewalLimit is how long it gives at most, whatever time it has.
	renewalLimit = 10 * time.Second
	// renewalPause and renewalPauseMost bound the pause between two tries, which
	// doubles: an endpoint that answers later than the calls' share allows must
	// not be asked in vain by each.
	renewalPause     = time.Second
	renewalPauseMost = time.Minute
)

// KeepToken returns a TokenSource.Token that keeps what fetch returned for as
// long as it counts. When three quarters of a token's life are over, one call
// fetches the next while the others go on with it. It gives that a quarter of the
// time that it has left, at most 10 s, and goes on with the old token should it
// fail; a call tries again within a second, and after more failures in a row later
// and later, up to a minute. Calls that find no token that counts wait for one
// fetch together, each within its own time.
//
// fetch returns a token and when it expires; zero is never. It runs with a context
// of the call that needs it, which it must heed, and once at a time.
func KeepToken(fetch func(ctx context.Context) (token string, expires time.Time, err error)) func(ctx context.Context) (string, error) {
	pause := backoff.Backoff{Policy: backoff.Policy{Initial: renewalPause, Max: renewalPauseMost}}
	return (&keptToken{fetch: fetch, pause: pause}).get
}

type keptToken struct {
	fetch   func(ctx context.Context) (string, time.Time, error)
	fetches inquiries[struct{}, string]

	mu sync.Mutex
	// Guarded by mu:
	token    string
	expires  time.Time // zero: never
	renewAt  time.Time // zero: never
	renewing bool      // a call fetches the next one, and this one counts still
	pause    backoff.Backoff
}

func (k *keptToken) get(ctx context.Context) (string, error) {
	token, counts, renew := k.look(time.Now())
	if renew {
		defer k.renewed()
		if fresh, err := k.renew(ctx, token); err == nil {
			return fresh, nil
		}
		token, counts, _ = k.look(time.Now()) // it may have expired meanwhile
	}
	if counts {
		return token, nil
	}
	return k.await(ctx, token)
}

// renew returns the token after seen, in a part of the time of ctx.
func (k *keptToken) renew(ctx context.Context, seen string) (string, error) {
	limit := renewalLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/renewalShare)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return k.await(ctx, seen)
}

// await returns the token after seen, of one fetch for all who wait.
func (k *keptToken) await(ctx context.Context, seen string) (string, error) {
	return k.fetches.ask(ctx, struct{}{}, func() (string, error) { return k.next(ctx, seen) })
}

// look returns the token, whether it counts, and whether this call is to renew
// it all the same.
func (k *keptToken) look(now time.Time) (token string, counts, renew bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	counts = k.token != "" && (k.expires.IsZero() || now.Before(k.expires))
	renew = counts && !k.renewing && !k.renewAt.IsZero() && !now.Before(k.renewAt)
	k.renewing = k.renewing || renew
	return k.token, counts, renew
}

// renewed lets another call renew, when that is due.
func (k *keptToken) renewed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewing = false
}

// next returns the token after seen, which it fetches unless somebody has.
func (k *keptToken) next(ctx context.Context, seen string) (string, error) {
	k.mu.Lock()
	now := k.token
	k.mu.Unlock()
	if now != seen {
		return now, nil
	}
	token, expires, err := k.fetch(ctx)
	k.keep(token, expires, err)
	return token, err
}

func (k *keptToken) keep(token string, expires time.Time, err error) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.renewAt = now.Add(k.pause.Next())
		return
	}
	k.pause.Reset()
	k.token, k.expires, k.renewAt = token, expires, time.Time{}
	if !expires.IsZero() {
		life := expires.Sub(now)
		k.renewAt = now.Add(life - life/4)
	}
}
