// Package jwt lets requests pass that bring a JSON Web Token (RFC 7519) as
// "Authorization: Bearer <token>", by github.com/golang-jwt/jwt. The keys can be
// replaced while the gateway serves.
package jwt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// ErrNoKey is in the chain of what Keys says of an id that has no key: a token that
// names it is refused.
var ErrNoKey = errors.New("no key has this id")

// Keys knows with which key a token is verified. Its method may run concurrently.
type Keys interface {
	// Key returns the key of an id, which is empty for tokens without one: a
	// []byte for HS algorithms, as long as the algorithm's hash at least, else an
	// *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. It may wait, with the
	// request's context. ErrNoKey refuses the token; any other error says that it
	// cannot be checked now.
	Key(ctx context.Context, id string) (any, error)
}

// KeySet is keys by their id, which can be replaced while requests are served.
// The zero KeySet has none: every token is refused.
type KeySet struct {
	keys atomic.Pointer[map[string]any] // replaced, never changed
}

var _ Keys = (*KeySet)(nil)

// Replace makes keys the set, for all requests that arrive afterwards: leave the
// old key in it as long as tokens made with it shall pass. keys must not be
// changed afterwards.
func (s *KeySet) Replace(keys map[string]any) { s.keys.Store(&keys) }

// Key implements Keys.
func (s *KeySet) Key(_ context.Context, id string) (any, error) {
	if keys := s.keys.Load(); keys != nil {
		if key, ok := (*keys)[id]; ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: %.64q", ErrNoKey, id)
}

// Option says which tokens are good.
type Option struct {
	// Keys verifies. It is needed.
	Keys Keys
	// Algorithms that are taken, such as "EdDSA" or "HS256"; at least one, and
	// "none" never. A token cannot choose another.
	Algorithms []string
	// Issuer and Audience, where set, are what the claims iss and aud must say.
	Issuer, Audience string
	// Leeway is by how much clocks may differ. The default is none.
	Leeway time.Duration
	// NoExpiry takes tokens without the claim exp too.
	NoExpiry bool
}

func (o *Option) check() error {
	switch {
	case o.Keys == nil:
		return errors.New("jwt: Option.Keys is nil: give it a KeySet")
	case len(o.Algorithms) == 0:
		return errors.New("jwt: Option.Algorithms is empty: name those that are taken")
	case o.Leeway < 0:
		return errors.New("jwt: Option.Leeway is negative")
	}
	for i, name := range o.Algorithms {
		if method := jwt.GetSigningMethod(name); method == nil || name == jwt.SigningMethodNone.Alg() {
			return fmt.Errorf("jwt: Option.Algorithms[%d]: %q verifies nothing: use such as EdDSA, ES256, RS256 or HS256", i, name)
		}
	}
	return nil
}

// New returns the middleware. A request without a good token is answered 401, and
// neither answer nor log says more of the token than what is wrong with it. While Keys
// fails the answer is 503, which callers may repeat. What Keys says goes to the log
// alone: a failure as a warning when such begin, else at V(1). A secret that is too
// short for its algorithm, or a PEM block, verifies nothing, and the first is a
// warning. The Authorization header stays, so providers can verify it too. The error
// names the field that cannot be used.
func New(o Option) (gateway.Middleware, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(slices.Clone(o.Algorithms)), jwt.WithLeeway(o.Leeway), jwt.WithIssuedAt()}
	if !o.NoExpiry {
		options = append(options, jwt.WithExpirationRequired())
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	v := &verifier{keys: o.Keys, parser: jwt.NewParser(options...)}
	return v.wrap, nil
}

type verifier struct {
	keys    Keys
	parser  *jwt.Parser
	failing atomic.Bool // Keys failed when it was last asked
	weak    sync.Once   // logs a secret that is none
}

func (v *verifier) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := v.verify(r)
		if err != nil {
			gateway.WriteError(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

func (v *verifier) verify(r *http.Request) (jwt.MapClaims, error) {
	token, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	claims := make(jwt.MapClaims)
	_, err = v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515, 4.1.11: refuse what is not understood
			return nil, errCritical
		}
		id, _ := t.Header["kid"].(string)
		key, err := v.key(r.Context(), id)
		if err != nil {
			return nil, err
		}
		return key, v.checkSecret(t.Method, id, key)
	})
	if err != nil {
		log.V(1).Infof("sinew: gateway: request %s: the token is refused: %v", gateway.RequestID(r), err)
		return nil, refusal(err)
	}
	return claims, nil
}

// key asks Keys, and logs where its failures begin and end. Those that the end of the
// request brings about are nobody's.
func (v *verifier) key(ctx context.Context, id string) (any, error) {
	key, err := v.keys.Key(ctx, id)
	switch {
	case err == nil || errors.Is(err, ErrNoKey):
		if v.failing.CompareAndSwap(true, false) {
			log.Infof("sinew: gateway: the keys of tokens can be read again")
		}
		return key, err
	case ctx.Err() == nil && v.failing.CompareAndSwap(false, true):
		log.Warningf("sinew: gateway: the keys of tokens cannot be read, requests are answered 503: %v", err)
	}
	return nil, fmt.Errorf("%w: %w", errUnchecked, err)
}

// checkSecret refuses secrets that others may guess (RFC 7518, 3.2) or know: a PEM
// block is often a public key. The first is logged, since no token of its key passes.
func (v *verifier) checkSecret(method jwt.SigningMethod, id string, key any) error {
	hmac, symmetric := method.(*jwt.SigningMethodHMAC)
	secret, ok := key.([]byte)
	if !symmetric || !ok {
		return nil // the algorithm refuses keys of another kind
	}
	var err error
	switch {
	case len(secret) < hmac.Hash.Size():
		err = fmt.Errorf("the secret of key %.64q has %d bytes: %s needs at least %d", id, len(secret), hmac.Name, hmac.Hash.Size())
	case bytes.HasPrefix(bytes.TrimSpace(secret), []byte("-----BEGIN ")):
		err = fmt.Errorf("the secret of key %.64q is a PEM block, which others may know: want random bytes", id)
	default:
		return nil
	}
	v.weak.Do(func() { log.Warningf("sinew: gateway: tokens are refused: %v", err) })
	return err
}

var (
	errCritical  = errors.New("the token's header has critical fields")
	errUnchecked = errors.New("the token's key cannot be read")
)

// refusal is what the sender of a token is told: what is wrong with its claims, which
// are looked at once its signature is known to be good, and of everything else, what
// Keys says included, no more than that. Of a token that was not checked nothing is
// known.
func refusal(err error) error {
	if errors.Is(err, errUnchecked) {
		e := protocol.NewError(protocol.Unavailable, "the token cannot be checked now").WithOutcome(protocol.NotSent)
		e.Elsewhere = true
		return e
	}
	for _, claim := range []error{
		jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, claim) {
			return unauthenticated("the token is refused: %w", claim)
		}
	}
	return unauthenticated("the token is refused")
}

func bearer(h http.Header) (string, error) {
	const scheme = "Bearer "
	values := h["Authorization"]
	if len(values) != 1 || len(values[0]) <= len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return "", unauthenticated("the request needs one header Authorization: Bearer <token>")
	}
	return strings.TrimSpace(values[0][len(scheme):]), nil
}

func unauthenticated(format string, args ...any) error {
	return protocol.Errorf(protocol.Unauthenticated, format, args...).WithOutcome(protocol.NotSent)
}

type claimsKey struct{}

// ClaimsFrom returns the claims of the token that let the request pass; nil where
// none was asked for. They must not be changed.
func ClaimsFrom(ctx context.Context) jwt.MapClaims {
	claims, _ := ctx.Value(claimsKey{}).(jwt.MapClaims)
	return claims
}
