package gateway_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// fixed is a backend that answers at once.
type fixed struct{ gateway.Backend }

var reply = &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}, Body: []byte(`{"C":3}`)}

func (fixed) Do(context.Context, *protocol.Message) (*protocol.Message, error) { return reply, nil }

// nowhere is a response that nobody reads.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// serveAgain serves one request as often as it is called.
func serveAgain(g http.Handler) func() {
	const body = `{"A":1,"B":2}`
	r := post("/Arith/Add", body, "X-Request-Id", "r-1", "User-Agent", "bench", "Accept", "*/*", "Accept-Encoding", "gzip")
	w := &nowhere{header: make(http.Header)}
	return func() {
		r.Body = io.NopCloser(&text{body})
		g.ServeHTTP(w, r)
	}
}

type text struct{ left string }

func (t *text) Read(p []byte) (int, error) {
	if t.left == "" {
		return 0, io.EOF
	}
	n := copy(p, t.left)
	t.left = t.left[n:]
	return n, nil
}

func BenchmarkJSONCall(b *testing.B) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(newArith()); err != nil {
		b.Fatal(err)
	}
	for name, backend := range map[string]gateway.Backend{"the gateway alone": fixed{}, "beside a server": s} {
		b.Run(name, func(b *testing.B) {
			g, err := gateway.New(backend, nil)
			if err != nil {
				b.Fatal(err)
			}
			call := serveAgain(g)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
