package wrapper

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Principal is who a token proved a caller to be. It must not be changed once a
// Verifier has returned it.
type Principal struct {
	// Name says whose the token is: as StaticTokens was told, or a JWT's subject.
	Name string
	// Claims is what else the token says, nil for none; of wrapper/jwt a
	// jwt.MapClaims of golang-jwt.
	Claims any
	// Expires is when the token stops to count. Zero: it does not by itself.
	Expires time.Time
}

// principalKey is the context key of PrincipalFrom.
type principalKey struct{}

// PrincipalFrom returns who makes the request that ctx belongs to, as Auth found
// out; nil outside a handler behind Auth.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// Verifier decides about a token by computing alone: it is asked before the body
// of a request is read, where nothing may wait. It runs concurrently.
type Verifier interface {
	// Verify returns whose token it is. The error's text reaches the caller
	// only where it is a *protocol.Error of code Unauthenticated or
	// PermissionDenied; it must not hold the token.
	Verify(token string) (*Principal, error)
}

// Versioned is what a Verifier implements too when it changes its mind: verdicts
// that Auth remembers count only while Version is what it was.
type Versioned interface {
	Version() uint64
}

// staticTokens are tokens that do not change. Digests are compared rather than
// tokens, so that neither content nor length shows in the time it takes.
type staticTokens []staticToken

type staticToken struct {
	digest    [sha256.Size]byte
	principal *Principal
}

// StaticTokens returns a Verifier of a fixed list: names by token, as in
// {"hello01": "billing"}. It compares in constant time. An empty token is never
// accepted.
func StaticTokens(names map[string]string) Verifier {
	list := make(staticTokens, 0, len(names))
	for token, name := range names {
		if token != "" {
			list = append(list, staticToken{sha256.Sum256([]byte(token)), &Principal{Name: name}})
		}
	}
	return list
}

// Verify implements Verifier. It looks at every token, whichever matches.
func (list staticTokens) Verify(token string) (*Principal, error) {
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], list[i].digest[:]), i, found)
	}
	if found < 0 {
		return nil, errNotAccepted
	}
	return list[found].principal, nil
}

var errNotAccepted = protocol.NewError(protocol.Unauthenticated, "the token is not accepted")
