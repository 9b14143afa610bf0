package dubbo_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/dubbo"
	"github.com/sinew-rpc/sinew/server"
)

// A service in Dubbo's form, and a client of it. With a real ZooKeeper, the
// endpoints are those of registry/dubbo.
func Example() {
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Users{}); err != nil {
		log.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	h, err := dubbo.NewHandler(g, &dubbo.Option{
		Services: map[string]string{"com.example.UserProvider": "Users"},
	})
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(h)
	defer web.Close()

	endpoints := func(context.Context) ([]string, error) {
		return []string{web.URL + "/com.example.UserProvider"}, nil
	}
	c, err := dubbo.NewClient("com.example.UserProvider", endpoints, nil)
	if err != nil {
		log.Fatal(err)
	}
	id := "A001"
	user, err := client.Invoke[User](context.Background(), c, "UserProvider.GetUser", &id)
	fmt.Println(user.Name, err)
	// Output: Alex <nil>
}
