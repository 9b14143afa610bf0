package kvkey

import (
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/sinew-rpc/sinew/wrapper/jwt"
)

// Parse reads a JSON Web Key Set. Each key needs an "alg"; one that says "use"
// must say "sig". Private keys are refused: they do not belong where servers
// read.
func Parse(value []byte) ([]jwt.Key, error) {
	var set struct {
		Keys *[]jose.JSONWebKey `json:"keys"`
	}
	if err := json.Unmarshal(value, &set); err != nil {
		return nil, fmt.Errorf("kvkey: the value is no JSON Web Key Set: %w", err)
	}
	if set.Keys == nil {
		return nil, fmt.Errorf(`kvkey: the value has no "keys"`)
	}
	list := make([]jwt.Key, 0, len(*set.Keys))
	for i := range *set.Keys {
		k := &(*set.Keys)[i]
		switch secret, symmetric := k.Key.([]byte); {
		case k.Use != "" && k.Use != "sig":
			return nil, fmt.Errorf("kvkey: key %.64q is for %.16q: want \"sig\"", k.KeyID, k.Use)
		case symmetric:
			k.Key = append([]byte(nil), secret...)
		case !k.IsPublic():
			return nil, fmt.Errorf("kvkey: key %.64q is private: store its public half", k.KeyID)
		}
		list = append(list, jwt.Key{ID: k.KeyID, Algorithm: k.Algorithm, Material: k.Key})
	}
	return list, nil
}
