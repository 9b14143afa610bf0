package endpoint_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sinew-rpc/sinew/internal/endpoint"
)

type (
	// AddRequest and AddReply are what Arith.Add takes and answers.
	AddRequest struct{ A, B int }
	AddReply   struct{ Sum int }

	// Arith is registered as it stands.
	Arith struct{}
)

func (Arith) Add(_ context.Context, req *AddRequest, reply *AddReply) error {
	reply.Sum = req.A + req.B
	return nil
}

// A struct's handlers are found by name; so is a func, which gets its types from
// its signature.
func ExampleTable() {
	var table endpoint.Table
	if err := table.Register("", Arith{}); err != nil {
		fmt.Println(err)
	}
	upper := endpoint.NewTyped(func(_ context.Context, s *string) (*string, error) {
		u := strings.ToUpper(*s)
		return &u, nil
	})
	if err := table.Handle("Text.Upper", upper); err != nil {
		fmt.Println(err)
	}

	for _, s := range table.Services() {
		for _, m := range s.Methods {
			fmt.Printf("%s.%s(%s) %s\n", s.Name, m.Name, m.Request, m.Response)
		}
	}
	add, _ := table.Lookup("Arith", "Add")
	req := add.NewRequest().(*AddRequest) // a serializer decodes into it
	req.A, req.B = 1, 2
	resp, err := add.Call(context.Background(), req, add.NewReply())
	fmt.Println(resp.(*AddReply).Sum, err)
	// Output:
	// Arith.Add(endpoint_test.AddRequest) endpoint_test.AddReply
	// Text.Upper(string) string
	// 3 <nil>
}
