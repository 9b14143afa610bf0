package wrapper

import (
	"context"
	"sync"
	"time"
)

// renewalPause is between two tries to renew a token that still counts.
const renewalPause = time.Second

// KeepToken returns a TokenSource.Token that keeps what fetch returned for as
// long as it counts. When three quarters of a token's life are over, one call
// fetches the next while the others go on with it; should that fail, it is tried
// again by a call a second later. Calls that find no token that counts wait for
// one fetch together, each within its own time.
//
// fetch returns a token and when it expires; zero is never. It runs with the
// context of the call that needs it, and once at a time.
func KeepToken(fetch func(ctx context.Context) (token string, expires time.Time, err error)) func(ctx context.Context) (string, error) {
	return (&keptToken{fetch: fetch}).get
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
}

func (k *keptToken) get(ctx context.Context) (string, error) {
	token, counts, renew := k.look(time.Now())
	switch {
	case renew:
		defer k.renewed()
	case counts:
		return token, nil
	}
	fresh, err := k.fetches.ask(ctx, struct{}{}, func() (string, error) { return k.next(ctx, token) })
	if err != nil && counts {
		return token, nil
	}
	return fresh, err
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
		k.renewAt = now.Add(renewalPause)
		return
	}
	k.token, k.expires, k.renewAt = token, expires, time.Time{}
	if !expires.IsZero() {
		life := expires.Sub(now)
		k.renewAt = now.Add(life - life/4)
	}
}
