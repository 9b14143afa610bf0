package jwt_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/wrapper/jwt"
)

var secret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecdsaKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a token; kid "" names none.
func sign(t *testing.T, algorithm, kid string, key any, claims gojwt.MapClaims) string {
	t.Helper()
	token := gojwt.NewWithClaims(gojwt.GetSigningMethod(algorithm), claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// good are claims that hold for a minute.
func good() gojwt.MapClaims {
	return gojwt.MapClaims{"sub": "billing", "exp": time.Now().Add(time.Minute).Unix()}
}

func newVerifier(t *testing.T, o jwt.Option, keys ...jwt.Key) *jwt.Verifier {
	t.Helper()
	var err error
	if o.Keys == nil {
		if o.Keys, err = jwt.NewKeySet(keys...); err != nil {
			t.Fatal(err)
		}
	}
	v, err := jwt.NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantRefused(t *testing.T, v *jwt.Verifier, token, text string) {
	t.Helper()
	p, err := v.Verify(token)
	if protocol.CodeOf(err) != protocol.Unauthenticated || p != nil {
		t.Errorf("accepted as %+v, %v", p, err)
		return
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("the caller is told %q, want %q", err, text)
	}
	if len(token) > 20 && strings.Contains(err.Error(), token) {
		t.Errorf("the token is in %q", err)
	}
}

func TestEveryAlgorithm(t *testing.T) {
	ed, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	for _, name := range []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(name, func(t *testing.T) {
			var private, public any
			switch name[:2] {
			case "HS":
				private, public = secret, secret
			case "RS", "PS":
				private, public = rsaKey(), &rsaKey().PublicKey
			case "ES":
				k := ecdsaKey(t, curves[name])
				private, public = k, &k.PublicKey
			default:
				private, public = edPrivate, ed
			}
			v := newVerifier(t, jwt.Option{Algorithms: []string{name}}, jwt.Key{ID: "k", Algorithm: name, Material: public})
			claims := good()
			p, err := v.Verify(sign(t, name, "k", private, claims))
			if err != nil || p.Name != "billing" {
				t.Fatalf("%+v, %v", p, err)
			}
			if said, ok := p.Claims.(gojwt.MapClaims); !ok || said["sub"] != "billing" {
				t.Errorf("claims %v", p.Claims)
			}
			if want := claims["exp"].(int64); p.Expires.Unix() != want+10 {
				t.Errorf("expires %v, want the token's %v and the leeway", p.Expires, time.Unix(want, 0))
			}
		})
	}
}

// TestAttacks tries what has worked on JWT libraries.
func TestAttacks(t *testing.T) {
	public := &rsaKey().PublicKey
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	v := newVerifier(t, jwt.Option{Algorithms: []string{"RS256", "HS256"}},
		jwt.Key{ID: "rsa", Algorithm: "RS256", Material: public},
		jwt.Key{ID: "hmac", Algorithm: "HS256", Material: secret})
	signed := sign(t, "RS256", "rsa", rsaKey(), good())
	if _, err := v.Verify(signed); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	part := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	withHeader := func(json string) string { return part(json) + "." + parts[1] + "." + parts[2] }
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	critical := gojwt.NewWithClaims(gojwt.SigningMethodRS256, good())
	critical.Header["kid"], critical.Header["crit"] = "rsa", []string{"b64"}
	criticalText, err := critical.SignedString(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := gojwt.NewWithClaims(gojwt.SigningMethodNone, good()).SignedString(gojwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"none":                                 unsigned,
		"none, with a key":                     part(`{"alg":"none","kid":"rsa"}`) + "." + parts[1] + ".",
		"NONE in capitals":                     part(`{"alg":"NONE","kid":"rsa"}`) + "." + parts[1] + ".",
		"HS256 with the public key in PEM":     sign(t, "HS256", "rsa", publicPEM, good()),
		"HS256 with the public key in DER":     sign(t, "HS256", "rsa", der, good()),
		"HS256 with the modulus":               sign(t, "HS256", "rsa", public.N.Bytes(), good()),
		"RS384, which is not on the list":      sign(t, "RS384", "rsa", rsaKey(), good()),
		"another key":                          sign(t, "RS256", "rsa", other, good()),
		"the ID of another key":                sign(t, "RS256", "hmac", rsaKey(), good()),
		"an ID that no key has":                sign(t, "RS256", "nobody", rsaKey(), good()),
		"no ID":                                sign(t, "RS256", "", rsaKey(), good()),
		"an ID that is no text":                withHeader(`{"alg":"RS256","kid":["rsa"]}`),
		"a key of its own":                     withHeader(`{"alg":"RS256","kid":"mine","jwk":{"kty":"oct","k":"AAAA"}}`),
		"a critical field":                     criticalText,
		"no signature":                         parts[0] + "." + parts[1] + ".",
		"the signature of other claims":        parts[0] + "." + part(`{"sub":"admin","exp":9999999999}`) + "." + parts[2],
		"two parts":                            parts[0] + "." + parts[1],
		"four parts":                           signed + ".x",
		"garbage":                              "garbage",
		"nothing":                              "",
		"dots":                                 strings.Repeat(".", 10_000),
		"no base64":                            "!.!.!",
		"claims that are no object":            parts[0] + "." + part(`[1]`) + "." + parts[2],
		"a signature with stray trailing bits": signed[:len(signed)-1] + stray(signed[len(signed)-1]),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, v, token, "the token is not accepted") })
	}
}

// stray returns another last letter that lax decoders read as the same bits.
func stray(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, c)^1])
}

func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		at := func(d time.Duration) int64 { return now.Add(d).Unix() }
		full := func(change gojwt.MapClaims) gojwt.MapClaims {
			c := gojwt.MapClaims{"sub": "billing", "exp": at(time.Minute), "iss": "us", "aud": "till"}
			for k, v := range change {
				if c[k] = v; v == nil {
					delete(c, k)
				}
			}
			return c
		}
		v := newVerifier(t, jwt.Option{Algorithms: []string{"HS256"}, Issuer: "us", Audience: []string{"till", "shop"}},
			jwt.Key{Algorithm: "HS256", Material: secret})
		for name, test := range map[string]struct {
			claims gojwt.MapClaims
			text   string // empty: accepted
		}{
			"all well":                   {full(nil), ""},
			"expired within the leeway":  {full(gojwt.MapClaims{"exp": at(-9 * time.Second)}), ""},
			"expired":                    {full(gojwt.MapClaims{"exp": at(-10 * time.Second)}), "has expired"},
			"never expires":              {full(gojwt.MapClaims{"exp": nil}), "lacks a claim"},
			"expires some day":           {full(gojwt.MapClaims{"exp": "tomorrow"}), "not accepted"},
			"not yet, within the leeway": {full(gojwt.MapClaims{"nbf": at(10 * time.Second)}), ""},
			"not yet":                    {full(gojwt.MapClaims{"nbf": at(11 * time.Second)}), "not valid yet"},
			"of another issuer":          {full(gojwt.MapClaims{"iss": "them"}), "another issuer"},
			"of no issuer":               {full(gojwt.MapClaims{"iss": nil}), "lacks a claim"},
			"for another":                {full(gojwt.MapClaims{"aud": "bank"}), "another audience"},
			"for nobody":                 {full(gojwt.MapClaims{"aud": nil}), "lacks a claim"},
			"for several":                {full(gojwt.MapClaims{"aud": []string{"bank", "shop"}}), ""},
			"a subject that is no text":  {full(gojwt.MapClaims{"sub": 7}), ""},
		} {
			token := sign(t, "HS256", "", secret, test.claims)
			if test.text != "" {
				wantRefused(t, v, token, test.text)
			} else if _, err := v.Verify(token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		lax := newVerifier(t, jwt.Option{Algorithms: []string{"HS256"}, AllowNoExpiry: true, Leeway: -1}, jwt.Key{Algorithm: "HS256", Material: secret})
		if p, err := lax.Verify(sign(t, "HS256", "", secret, full(gojwt.MapClaims{"exp": nil}))); err != nil || !p.Expires.IsZero() {
			t.Errorf("a token that never expires, where that is allowed: %+v, %v", p, err)
		}
		wantRefused(t, lax, sign(t, "HS256", "", secret, full(gojwt.MapClaims{"exp": at(0)})), "has expired")
	})
}

// An old key counts until it is removed, and a change is a new version.
func TestKeysAreReplaced(t *testing.T) {
	keys, err := jwt.NewKeySet(jwt.Key{ID: "old", Algorithm: "HS256", Material: secret})
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, jwt.Option{Algorithms: []string{"HS256"}, Keys: keys})
	newSecret := []byte(strings.Repeat("new!", 16))
	old, fresh := sign(t, "HS256", "old", secret, good()), sign(t, "HS256", "new", newSecret, good())
	check := func(when string, oldCounts, newCounts bool) {
		t.Helper()
		for token, counts := range map[string]bool{old: oldCounts, fresh: newCounts} {
			if _, err := v.Verify(token); (err == nil) != counts {
				t.Errorf("%s: %v, want accepted %v", when, err, counts)
			}
		}
	}
	version := v.Version()
	changed := func(when string) {
		t.Helper()
		if now := v.Version(); now == version {
			t.Errorf("%s: the version is what it was", when)
		} else {
			version = now
		}
	}
	check("at first", true, false)
	if err := keys.Put(jwt.Key{ID: "new", Algorithm: "HS256", Material: newSecret}); err != nil {
		t.Fatal(err)
	}
	changed("with a new key")
	check("with both", true, true)
	if err := keys.Replace(jwt.Key{ID: "old", Algorithm: "none"}); err == nil {
		t.Error("a key for no algorithm was taken")
	}
	check("after a replacement that failed", true, true)
	keys.Remove("old")
	changed("without the old key")
	check("with the new one", false, true)
	if ids := keys.IDs(); !slices.Equal(ids, []string{"new"}) {
		t.Errorf("keys %v", ids)
	}
	if err := keys.Replace(); err != nil {
		t.Fatal(err)
	}
	changed("without any")
	check("with none", false, false)
}

func TestKeysAreReplacedWhileInUse(t *testing.T) {
	keys := new(jwt.KeySet)
	v := newVerifier(t, jwt.Option{Algorithms: []string{"HS256"}, Keys: keys})
	token := sign(t, "HS256", "k", secret, good())
	wantRefused(t, v, token, "not accepted")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = v.Verify(token)
				}
			}
		})
	}
	for range 100 {
		if err := keys.Put(jwt.Key{ID: "k", Algorithm: "HS256", Material: secret}); err != nil {
			t.Error(err)
		}
		keys.Remove("k")
	}
	close(stop)
	wg.Wait()
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("this build makes no small keys: %v", err)
	}
	p384 := &ecdsaKey(t, elliptic.P384()).PublicKey
	for name, key := range map[string]jwt.Key{
		"none":                    {Algorithm: "none", Material: gojwt.UnsafeAllowNoneSignatureType},
		"no algorithm":            {Material: secret},
		"an unknown algorithm":    {Algorithm: "RS1", Material: &rsaKey().PublicKey},
		"a short secret":          {Algorithm: "HS512", Material: secret[:63]},
		"a PEM block as a secret": {Algorithm: "HS256", Material: []byte("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQ\n")},
		"a public key as secret":  {Algorithm: "HS256", Material: &rsaKey().PublicKey},
		"a private key":           {Algorithm: "RS256", Material: rsaKey()},
		"a small RSA key":         {Algorithm: "PS256", Material: &small.PublicKey},
		"a nil RSA key":           {Algorithm: "RS256", Material: (*rsa.PublicKey)(nil)},
		"another curve":           {Algorithm: "ES256", Material: p384},
		"half an Ed25519 key":     {Algorithm: "EdDSA", Material: ed25519.PublicKey("short")},
	} {
		key.ID = "k"
		if _, err := jwt.NewKeySet(key); err == nil {
			t.Errorf("%s was taken", name)
		} else if text := err.Error(); strings.Contains(text, string(secret[:20])) || !strings.Contains(text, `"k"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := jwt.Key{ID: "k", Algorithm: "HS256", Material: secret}
	if _, err := jwt.NewKeySet(twice, twice); err == nil {
		t.Error("two keys of one ID were taken")
	}
}

func TestKeysPrintWithoutMaterial(t *testing.T) {
	k := jwt.Key{ID: "k", Algorithm: "HS256", Material: secret}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, k); strings.Contains(text, "0123") || !strings.Contains(text, "HS256") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestOptions(t *testing.T) {
	keys := new(jwt.KeySet)
	for field, o := range map[string]jwt.Option{
		"Algorithms":    {Keys: keys},
		"Algorithms[1]": {Keys: keys, Algorithms: []string{"RS256", "none"}},
		"Keys":          {Algorithms: []string{"RS256"}},
		"Audience":      {Keys: keys, Algorithms: []string{"RS256"}, Audience: []string{""}},
	} {
		if _, err := jwt.NewVerifier(o); err == nil || !strings.Contains(err.Error(), "Option."+field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever comes, Verify returns: a principal or Unauthenticated.
func FuzzVerify(f *testing.F) {
	keys, err := jwt.NewKeySet(jwt.Key{Algorithm: "HS256", Material: secret})
	if err != nil {
		f.Fatal(err)
	}
	v, err := jwt.NewVerifier(jwt.Option{Algorithms: []string{"HS256"}, Keys: keys})
	if err != nil {
		f.Fatal(err)
	}
	token := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims{"sub": "x", "exp": 1 << 40})
	text, err := token.SignedString(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("e30.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := v.Verify(s)
		if (p == nil) != (err != nil) || err != nil && protocol.CodeOf(err) != protocol.Unauthenticated {
			t.Errorf("%q: %+v, %v", s, p, err)
		}
	})
}
