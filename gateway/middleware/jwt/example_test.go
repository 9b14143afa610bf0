package jwt_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	golang "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/gateway/middleware/jwt"
)

// A key is replaced: what was signed with the old one passes until that is left
// out.
func ExampleKeySet_Replace() {
	keys := new(jwt.KeySet)
	wrap, err := jwt.New(jwt.Option{Keys: keys, Algorithms: []string{"HS256"}})
	if err != nil {
		log.Fatal(err)
	}
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, jwt.ClaimsFrom(r.Context())["sub"])
	}))
	token := golang.NewWithClaims(golang.SigningMethodHS256, golang.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Minute).Unix()})
	token.Header["kid"] = "spring"
	signed, err := token.SignedString([]byte("an old secret of 32 random bytes"))
	if err != nil {
		log.Fatal(err)
	}
	for _, set := range []map[string]any{
		{"spring": []byte("an old secret of 32 random bytes")},
		{"spring": []byte("an old secret of 32 random bytes"), "summer": []byte("a new secret of 32 random bytes.")},
		{"summer": []byte("a new secret of 32 random bytes.")},
	} {
		keys.Replace(set)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+signed)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 200
	// 401
}
