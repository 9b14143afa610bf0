package jwt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/wrapper"
)

// DefaultLeeway is how far the clocks of issuer and server may differ.
const DefaultLeeway = 10 * time.Second

// Option says which tokens are accepted.
type Option struct {
	// Algorithms are those that a token may be signed with: at least one, and
	// none else, whatever keys there are.
	Algorithms []string
	// Keys verify the signatures. They may change while the Verifier is in use.
	Keys *KeySet
	// Issuer must be the token's "iss". The default accepts any.
	Issuer string
	// Audience must hold one of the token's "aud". The default, none, accepts
	// any: set it where an issuer makes tokens for more than this server.
	Audience []string
	// Leeway is how long a token still counts after its "exp", and already
	// before its "nbf". The default is 10 s; negative is none.
	Leeway time.Duration
	// AllowNoExpiry accepts tokens that never expire. The default wants an
	// "exp".
	AllowNoExpiry bool
}

// Verifier accepts tokens that one of its keys signed and whose claims hold. It
// is a wrapper.Verifier. All methods may run concurrently.
type Verifier struct {
	keys   *KeySet
	parser *gojwt.Parser
	leeway time.Duration
}

var (
	_ wrapper.Verifier  = (*Verifier)(nil)
	_ wrapper.Versioned = (*Verifier)(nil)
)

// NewVerifier returns a Verifier. The error names the field of Option that cannot
// be used.
func NewVerifier(o Option) (*Verifier, error) {
	if len(o.Algorithms) == 0 {
		return nil, errors.New("jwt: Option.Algorithms is empty: name those that tokens may be signed with")
	}
	for i, name := range o.Algorithms {
		if !usable(name) {
			return nil, fmt.Errorf("jwt: Option.Algorithms[%d] is %.32q: %w", i, name, errAlgorithm)
		}
	}
	if o.Keys == nil {
		return nil, errors.New("jwt: Option.Keys is nil: make them with NewKeySet")
	}
	if slices.Contains(o.Audience, "") {
		return nil, errors.New("jwt: Option.Audience has an empty name: leave it out")
	}
	leeway := max(0, cmp.Or(o.Leeway, DefaultLeeway))
	checks := []gojwt.ParserOption{gojwt.WithValidMethods(slices.Clone(o.Algorithms)), gojwt.WithLeeway(leeway), gojwt.WithStrictDecoding()}
	if o.Issuer != "" {
		checks = append(checks, gojwt.WithIssuer(o.Issuer))
	}
	if len(o.Audience) > 0 {
		checks = append(checks, gojwt.WithAudience(slices.Clone(o.Audience)...))
	}
	if !o.AllowNoExpiry {
		checks = append(checks, gojwt.WithExpirationRequired())
	}
	return &Verifier{keys: o.Keys, parser: gojwt.NewParser(checks...), leeway: leeway}, nil
}

// usable reports whether tokens may be signed with an algorithm at all.
func usable(name string) bool {
	switch gojwt.GetSigningMethod(name).(type) {
	case *gojwt.SigningMethodHMAC, *gojwt.SigningMethodRSA, *gojwt.SigningMethodRSAPSS, *gojwt.SigningMethodECDSA, *gojwt.SigningMethodEd25519:
		return true
	}
	return false
}

// Verify implements wrapper.Verifier. The principal's name is the token's "sub",
// its Claims are a MapClaims of golang-jwt, and it expires with the token. Why a
// token is refused is told only once its signature is known to be good.
func (v *Verifier) Verify(token string) (*wrapper.Principal, error) {
	claims := gojwt.MapClaims{}
	now := v.keys.load()
	if _, err := v.parser.ParseWithClaims(token, claims, now.find); err != nil {
		return nil, refusal(err)
	}
	p := &wrapper.Principal{Claims: claims}
	p.Name, _ = claims.GetSubject() // a subject that is no text is none
	if expires, err := claims.GetExpirationTime(); err == nil && expires != nil {
		p.Expires = expires.Add(v.leeway)
	}
	return p, nil
}

// Version implements wrapper.Versioned: it is that of the keys.
func (v *Verifier) Version() uint64 { return v.keys.Version() }

var (
	errUnknownKey = errors.New("jwt: no key has the token's ID and algorithm")
	errCritical   = errors.New("jwt: the token's header has critical fields")
)

// find returns the key that a token names, if that is for the token's algorithm.
func (k *keys) find(token *gojwt.Token) (any, error) {
	if _, ok := token.Header["crit"]; ok { // RFC 7515, 4.1.11: refuse what is not understood
		return nil, errCritical
	}
	id := ""
	if named, ok := token.Header["kid"]; ok {
		if id, ok = named.(string); !ok {
			return nil, errUnknownKey
		}
	}
	key, ok := k.byID[id]
	if !ok || key.Algorithm != token.Method.Alg() {
		return nil, errUnknownKey
	}
	return key.Material, nil
}

// refusals are what callers are told, in the order in which they are looked for.
var refusals = []struct {
	err  error
	text string
}{
	{gojwt.ErrTokenMalformed, "the token is not accepted"},
	{gojwt.ErrTokenUnverifiable, "the token is not accepted"},
	{gojwt.ErrTokenSignatureInvalid, "the token is not accepted"},
	{gojwt.ErrTokenExpired, "the token has expired"},
	{gojwt.ErrTokenNotValidYet, "the token is not valid yet"},
	{gojwt.ErrTokenInvalidIssuer, "the token is of another issuer"},
	{gojwt.ErrTokenInvalidAudience, "the token is for another audience"},
	{gojwt.ErrTokenRequiredClaimMissing, "the token lacks a claim that is needed here"},
}

func refusal(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return protocol.NewError(protocol.Unauthenticated, r.text).WithCause(err)
		}
	}
	return protocol.NewError(protocol.Unauthenticated, "the token is not accepted").WithCause(err)
}
