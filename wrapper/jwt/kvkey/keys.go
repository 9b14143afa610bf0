package kvkey

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/sinew-rpc/sinew/wrapper/jwt"
)

// Parse reads the keys of a JSON Web Key Set that verify signatures. Each needs an
// "alg"; one that says "use" must say "sig". What else is in the set is left out, as
// RFC 7517, 5 has it, also keys that are private: they do not belong where servers
// read. A set that has keys, but none of use, is an error.
func Parse(value []byte) ([]jwt.Key, error) {
	list, _, err := parse(value)
	return list, err
}

// parse is Parse, and tells why keys are left out.
func parse(value []byte) (list []jwt.Key, leftOut []error, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(value, &set); err != nil {
		return nil, nil, fmt.Errorf("kvkey: the value is no JSON Web Key Set: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, fmt.Errorf(`kvkey: the value has no "keys"`)
	}
	list = make([]jwt.Key, 0, len(*set.Keys))
	for i, text := range *set.Keys {
		k, err := parseKey(text)
		if err != nil {
			leftOut = append(leftOut, fmt.Errorf("kvkey: key %d of the set: %w", i+1, err))
			continue
		}
		list = append(list, k)
	}
	if len(list) == 0 && len(leftOut) > 0 {
		return nil, nil, fmt.Errorf("kvkey: no key of the set can be used: %w", errors.Join(leftOut...))
	}
	return list, leftOut, nil
}

// parseKey reads one key; the error says why it is of no use.
func parseKey(text []byte) (none jwt.Key, err error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(text, &k); err != nil {
		return none, err
	}
	switch secret, symmetric := k.Key.([]byte); {
	case k.Use != "" && k.Use != "sig":
		return none, fmt.Errorf("%.64q is for %.16q: want \"sig\"", k.KeyID, k.Use)
	case symmetric:
		k.Key = append([]byte(nil), secret...)
	case k.Key != nil && !k.IsPublic():
		return none, fmt.Errorf("%.64q is private: store its public half", k.KeyID)
	}
	key := jwt.Key{ID: k.KeyID, Algorithm: k.Algorithm, Material: k.Key}
	_, err = jwt.NewKeySet(key)
	return key, err
}
