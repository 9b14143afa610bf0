package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

type Greeter struct{}

type Person struct {
	Name  string `json:"name" required:"true"`
	Times int    `json:"times"`
}

type Greeting struct {
	Text string `json:"text"`
}

func (Greeter) Greet(_ context.Context, in *Person, out *Greeting) error {
	if in.Name == "nobody" {
		return protocol.NewError(protocol.NotFound, "there is nobody")
	}
	out.Text = strings.Repeat("hello ", max(1, in.Times)) + in.Name
	return nil
}

// newExample returns a gateway beside a server of Greeter.
func newExample() *gateway.Gateway {
	s, err := server.NewSGServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Greeter{}); err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	return gw
}

// tell prints a response.
func tell(res *http.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.StatusCode, string(body))
}

// Any client that posts JSON can call.
func ExampleGateway() {
	web := httptest.NewServer(newExample())
	defer web.Close()
	tell(web.Client().Post(web.URL+"/Greeter/Greet", "application/json", strings.NewReader(`{"name":"Ada","times":2}`)))
	tell(web.Client().Post(web.URL+"/Greeter/Greet", "application/json", strings.NewReader(`{"name":"nobody"}`)))
	// Output:
	// 200 {"text":"hello hello Ada"}
	// 404 {"code":"not_found","message":"there is nobody"}
}

// A route stands for a method; what is text in it becomes what the method wants.
func ExampleGateway_Bind() {
	gw := newExample()
	if err := gw.Bind("GET /greetings/{name}", "Greeter.Greet"); err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(gw)
	defer web.Close()
	tell(web.Client().Get(web.URL + "/greetings/Ada?times=2"))
	tell(web.Client().Get(web.URL + "/greetings/Ada?times=twice"))
	// Output:
	// 200 {"text":"hello hello Ada"}
	// 400 {"code":"invalid_argument","message":"times must be an integer","fields":[{"field":"times","message":"must be an integer"}]}
}

// Routes of a group share the beginning of their paths, and middleware.
func ExampleGateway_Group() {
	gw := newExample()
	view := gw.Group(gateway.GET, "/view")
	view.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r)
		})
	})
	err := view.Route("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") })
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(gw)
	defer web.Close()
	tell(web.Client().Get(web.URL + "/view/health"))
	// Output: 200 well
}

// An authoriser decides with which credential a call is made, if at all.
func ExampleAuthorizeFunc() {
	s, err := server.NewSGServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Greeter{}); err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(s, &gateway.Option{
		Authorize: func(r *http.Request, serviceMethod string) (string, error) {
			if user, password, ok := r.BasicAuth(); ok && user == "ada" && password == "engine" {
				return "a token for " + serviceMethod, nil
			}
			return "", protocol.NewError(protocol.Unauthenticated, "who is there?")
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(gw)
	defer web.Close()
	tell(web.Client().Post(web.URL+"/Greeter/Greet", "application/json", strings.NewReader(`{"name":"Ada"}`)))
	// Output: 401 {"code":"unauthenticated","message":"who is there?"}
}
