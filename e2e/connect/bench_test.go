package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/server"
)

// BenchmarkJSON compares one call in JSON, over a loopback connection that is kept:
// by the gateway beside a server, by connect-go's own handler, and by a bare handler
// that does the same work with net/http and encoding/json alone.
func BenchmarkJSON(b *testing.B) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.RegisterName("Plain", plain{}); err != nil {
		b.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	ours := connect.NewUnaryHandlerSimple("/Plain/Add", func(_ context.Context, in *Operands) (*Sum, error) {
		return &Sum{C: in.A + in.B}, nil
	}, connect.WithCodec(plainJSON{}))
	for _, test := range []struct {
		name    string
		handler http.Handler
	}{{"sinew", g}, {"connect-go", ours}, {"net-http", http.HandlerFunc(bare)}} {
		b.Run(test.name, func(b *testing.B) { callOver(b, test.handler) })
	}
}

// plain adds, without metadata.
type plain struct{}

func (plain) Add(_ context.Context, in *Operands, out *Sum) error {
	out.C = in.A + in.B
	return nil
}

// bare is the least that does the work.
func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in Operands
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	out, err := json.Marshal(Sum{C: in.A + in.B})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}

func callOver(b *testing.B, h http.Handler) {
	web := httptest.NewServer(h)
	defer web.Close()
	caller := web.Client()
	request := []byte(`{"A":1,"B":2}`)
	b.ReportAllocs()
	for b.Loop() {
		res, err := caller.Post(web.URL+"/Plain/Add", "application/json", bytes.NewReader(request))
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != `{"C":3}` {
			b.Fatalf("%s, %v", body, err)
		}
		res.Body.Close()
	}
}
