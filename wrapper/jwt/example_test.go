package jwt_test

import (
	"context"
	"fmt"
	"log"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/jwt"
)

type Greeting struct{ Text string }

// A server that takes JSON Web Tokens, and a client that brings one with each
// call.
func Example() {
	shared := []byte("a secret of thirty-two bytes, or more")
	keys, err := jwt.NewKeySet(jwt.Key{ID: "2026-11", Algorithm: "HS256", Material: shared})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := jwt.NewVerifier(jwt.Option{Algorithms: []string{"HS256"}, Keys: keys, Issuer: "door"})
	if err != nil {
		log.Fatal(err)
	}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{&wrapper.Auth{Verifier: verifier}}})
	if err != nil {
		log.Fatal(err)
	}
	err = server.Handle(s, "Hall.Greet", func(ctx context.Context, _ *Greeting) (*Greeting, error) {
		return &Greeting{"good evening, " + wrapper.PrincipalFrom(ctx).Name}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "hall", nil)
	<-s.Listening()
	defer s.Close()

	token := func(context.Context) (string, error) {
		t := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims{"sub": "ada", "iss": "door", "exp": time.Now().Add(time.Minute).Unix()})
		t.Header["kid"] = "2026-11"
		return t.SignedString(shared)
	}
	c, err := client.NewRPCClient("mem", "hall", &client.Option{Mem: network, Wrappers: []client.Wrapper{&wrapper.TokenSource{Token: token}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	greeting, err := client.Invoke[Greeting](context.Background(), c, "Hall.Greet", &Greeting{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting.Text)

	keys.Remove("2026-11") // whoever has a token of that key is out from now on
	_, err = client.Invoke[Greeting](context.Background(), c, "Hall.Greet", &Greeting{})
	fmt.Println(err)
	// Output:
	// good evening, ada
	// Unauthenticated: the token is not accepted
}
