package kvkey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/libkv/store"
	"github.com/go-jose/go-jose/v4"
	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	"github.com/sinew-rpc/sinew/wrapper/jwt"
	"github.com/sinew-rpc/sinew/wrapper/jwt/kvkey"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// shelf is a store with one value, that can fail and hang.
type shelf struct {
	mu    sync.Mutex
	value string
	err   error
	hang  chan struct{} // Get waits until it is closed
	asked int
}

func (s *shelf) set(value string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.err = value, err
}

func (s *shelf) setHang(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = c
}

func (s *shelf) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *shelf) Get(key string) (*store.KVPair, error) {
	s.mu.Lock()
	s.asked++
	value, err, hang := s.value, s.err, s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if value == "panic" {
		panic("the shelf fell")
	}
	if err != nil {
		return nil, err
	}
	return &store.KVPair{Key: key, Value: []byte(value)}, nil
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// jwks is a set of ES256 keys by ID.
func jwks(t *testing.T, keys map[string]*ecdsa.PrivateKey) string {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for id, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: id, Algorithm: "ES256", Use: "sig", Key: &k.PublicKey})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func token(t *testing.T, id string, k *ecdsa.PrivateKey) string {
	t.Helper()
	made := gojwt.NewWithClaims(gojwt.SigningMethodES256, gojwt.MapClaims{"sub": "billing", "exp": time.Now().Add(time.Hour).Unix()})
	made.Header["kid"] = id
	text, err := made.SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func verifier(t *testing.T, keys *jwt.KeySet) *jwt.Verifier {
	t.Helper()
	v, err := jwt.NewVerifier(jwt.Option{Algorithms: []string{"ES256"}, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func follow(t *testing.T, kv kvkey.Getter, keys *jwt.KeySet) *kvkey.Source {
	t.Helper()
	s, err := kvkey.Follow(kv, "auth/keys", keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestKeysAreReplacedInTheStore replaces a key as an operator does, on a BoltDB
// file.
func TestKeysAreReplacedInTheStore(t *testing.T) {
	kv, err := boltdb.New([]string{filepath.Join(t.TempDir(), "keys.db")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kv.Close()
	write := func(keys map[string]*ecdsa.PrivateKey) {
		t.Helper()
		if err := kv.Put("auth/keys", []byte(jwks(t, keys)), nil); err != nil {
			t.Fatal(err)
		}
	}
	old, fresh := newKey(t), newKey(t)
	write(map[string]*ecdsa.PrivateKey{"old": old})
	keys := new(jwt.KeySet)
	s, err := kvkey.Follow(kv, "auth/keys", keys, &kvkey.Option{Interval: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.Tried()
	v := verifier(t, keys)
	oldToken, newToken := token(t, "old", old), token(t, "new", fresh)
	counts := func(token string) bool { _, err := v.Verify(token); return err == nil }
	if !counts(oldToken) || counts(newToken) || s.Err() != nil {
		t.Errorf("at first: old %v, new %v, %v", counts(oldToken), counts(newToken), s.Err())
	}
	await := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within ten seconds; keys %v, %v", what, keys.IDs(), s.Err())
			}
		}
	}
	write(map[string]*ecdsa.PrivateKey{"old": old, "new": fresh})
	await("both keys count", func() bool { return counts(oldToken) && counts(newToken) })
	write(map[string]*ecdsa.PrivateKey{"new": fresh})
	await("the old key counts no more", func() bool { return !counts(oldToken) && counts(newToken) })
	write(nil)
	await("no key counts", func() bool { return !counts(oldToken) && !counts(newToken) })
}

func TestTheSetIsReadEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf, keys := &shelf{}, new(jwt.KeySet)
		k := newKey(t)
		shelf.set(jwks(t, map[string]*ecdsa.PrivateKey{"a": k}), nil)
		follow(t, shelf, keys)
		synctest.Wait()
		version := keys.Version()
		time.Sleep(kvkey.DefaultInterval)
		synctest.Wait()
		if n := shelf.calls(); n != 2 {
			t.Errorf("read %d times after one interval", n)
		}
		if keys.Version() != version {
			t.Error("a set that did not change changed the keys")
		}
		shelf.set(jwks(t, map[string]*ecdsa.PrivateKey{"b": k}), nil)
		time.Sleep(kvkey.DefaultInterval)
		synctest.Wait()
		if ids := keys.IDs(); !slices.Equal(ids, []string{"b"}) {
			t.Errorf("keys %v", ids)
		}
	})
}

// Nothing that goes wrong takes away the keys that were good.
func TestTheLastGoodKeysStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf, keys := &shelf{}, new(jwt.KeySet)
		shelf.set(jwks(t, map[string]*ecdsa.PrivateKey{"a": newKey(t)}), nil)
		s := follow(t, shelf, keys)
		synctest.Wait()
		private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "p", Algorithm: "ES256", Key: newKey(t)}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name, value string
			err         error
			says        string
		}{
			{"the store fails", "", errors.New("no quorum"), "no quorum"},
			{"the value is missing", "", store.ErrKeyNotFound, "not found"},
			{"the value is empty", "", nil, "no JSON Web Key Set"},
			{"the value is no set", `{"key": []}`, nil, `no "keys"`},
			{"the value is cut", `{"keys": [`, nil, "no JSON Web Key Set"},
			{"a key without algorithm", `{"keys":[{"kid":"x","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`, nil, "algorithm"},
			{"a key to encrypt with", `{"keys":[{"kid":"x","use":"enc","alg":"HS256","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`, nil, `want "sig"`},
			{"a private key", string(private), nil, "is private"},
			{"keys of which none is of use", `{"keys":[{"kid":"x","alg":"ML-DSA-44","kty":"AKP","pub":"AA"},null,7]}`, nil, "no key of the set can be used"},
			{"two keys of one ID", `{"keys":[` + hs256("h") + `,` + hs256("h") + `]}`, nil, "another key has this ID"},
			{"the store panics", "panic", nil, "the shelf fell"},
		} {
			shelf.set(test.value, test.err)
			time.Sleep(kvkey.DefaultInterval)
			synctest.Wait()
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.name, err, test.says)
			} else if strings.Contains(err.Error(), "MDEyMzQ1") {
				t.Errorf("%s: a secret is in %v", test.name, err)
			}
			if ids := keys.IDs(); !slices.Equal(ids, []string{"a"}) {
				t.Errorf("%s: keys %v", test.name, ids)
			}
		}
		shelf.set(`{"keys":[{"kid":"h","alg":"HS256","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`, nil)
		time.Sleep(kvkey.DefaultInterval)
		synctest.Wait()
		if ids := keys.IDs(); !slices.Equal(ids, []string{"h"}) || s.Err() != nil {
			t.Errorf("afterwards: keys %v, %v", ids, s.Err())
		}
	})
}

// hs256 is a secret of an ID.
func hs256(id string) string {
	return `{"kid":"` + id + `","alg":"HS256","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`
}

// A key that is of no use is left out, and keeps no key that was removed.
func TestAKeyOfNoUseIsLeftOut(t *testing.T) {
	private, err := json.Marshal(jose.JSONWebKey{KeyID: "p", Algorithm: "ES256", Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	for name, useless := range map[string]string{
		"a type that nobody knows":  `{"kid":"x","alg":"ML-DSA-44","kty":"AKP","pub":"AA"}`,
		"a curve that nobody knows": `{"kid":"x","alg":"EdDSA","kty":"OKP","crv":"Ed448","x":"AA"}`,
		"no type":                   `{"kid":"x","alg":"HS256"}`,
		"no algorithm":              `{"kid":"x","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`,
		"another algorithm":         `{"kid":"x","alg":"A128KW","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZg"}`,
		"to encrypt with":           `{"kid":"x","use":"enc","alg":"HS256","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`,
		"not on its curve":          `{"kid":"x","alg":"ES256","kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
		"private":                   string(private),
		"no object":                 `7`,
		"null":                      `null`,
	} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder // written by one goroutine, in turn with the test
			log.SetHandler(slog.NewTextHandler(&lines, nil))
			defer log.SetHandler(nil)
			synctest.Test(t, func(t *testing.T) {
				shelf, keys := &shelf{}, new(jwt.KeySet)
				shelf.set(`{"keys":[`+hs256("stolen")+`,`+hs256("good")+`]}`, nil)
				s := follow(t, shelf, keys)
				synctest.Wait()
				shelf.set(`{"keys":[`+useless+`,`+hs256("good")+`]}`, nil)
				time.Sleep(3 * kvkey.DefaultInterval)
				synctest.Wait()
				if ids := keys.IDs(); !slices.Equal(ids, []string{"good"}) || s.Err() != nil {
					t.Errorf("keys %v, %v", ids, s.Err())
				}
			})
			if text := lines.String(); strings.Count(text, "is left out") != 1 || strings.Contains(text, "MDEyMzQ1") {
				t.Errorf("logged %s", text)
			}
		})
	}
}

// A store that hangs is asked once, and its answer counts when it comes.
func TestAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf, keys := &shelf{}, new(jwt.KeySet)
		shelf.set(jwks(t, map[string]*ecdsa.PrivateKey{"a": newKey(t)}), nil)
		free := make(chan struct{})
		shelf.setHang(free)
		s := follow(t, shelf, keys)
		begun := time.Now()
		<-s.Tried()
		if took := time.Since(begun); took != kvkey.DefaultCallLimit || s.Err() == nil {
			t.Errorf("after %v: %v", took, s.Err())
		}
		time.Sleep(time.Minute)
		if n := shelf.calls(); n != 1 {
			t.Errorf("asked %d times while it hangs", n)
		}
		shelf.setHang(nil)
		close(free)
		time.Sleep(kvkey.DefaultInterval + kvkey.DefaultCallLimit)
		if ids := keys.IDs(); !slices.Equal(ids, []string{"a"}) || s.Err() != nil {
			t.Errorf("once it answers: keys %v, %v", ids, s.Err())
		}
	})
}

func TestCloseWaitsForTheStoreAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &shelf{}
		free := make(chan struct{})
		shelf.setHang(free)
		s := follow(t, shelf, new(jwt.KeySet))
		synctest.Wait()
		begun := time.Now()
		_ = s.Close()
		_ = s.Close()
		if took := time.Since(begun); took != kvkey.DefaultCallLimit {
			t.Errorf("Close took %v", took)
		}
		close(free)
	})
}

func TestWhatCannotBeFollowed(t *testing.T) {
	for name, test := range map[string]struct {
		kv   kvkey.Getter
		key  string
		keys *jwt.KeySet
	}{
		"store":  {nil, "k", new(jwt.KeySet)},
		"key":    {&shelf{}, "", new(jwt.KeySet)},
		"KeySet": {&shelf{}, "k", nil},
	} {
		if _, err := kvkey.Follow(test.kv, test.key, test.keys, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Parse takes for keys, a KeySet takes or refuses; neither panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kid":"h","alg":"HS256","kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`))
	f.Add([]byte(`{"keys":[{"kid":"e","alg":"ES256","kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[null,{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := kvkey.Parse(value)
		if err != nil {
			return
		}
		keys, err := jwt.NewKeySet(list...)
		if err == nil && len(keys.IDs()) != len(list) {
			t.Errorf("%d keys became %v", len(list), keys.IDs())
		}
	})
}
