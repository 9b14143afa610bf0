package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// spaces is a body of JSON that never begins, and counts what was read of it.
type spaces struct {
	left int64
	read atomic.Int64 // also while a transport reads on
}

var blank = strings.Repeat(" ", 64<<10)

// Read implements io.Reader.
func (s *spaces) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), s.left)], blank)
	s.left -= int64(n)
	s.read.Add(int64(n))
	return n, nil
}

const gib = 1 << 30

// allocated returns how many bytes f allocates. The headroom of what other tests had
// sent is none of it.
func allocated(f func()) uint64 {
	transport.SetHeadroom(0)
	defer transport.SetHeadroom(transport.DefaultHeadroom)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBodyOfOneGiB(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	const refused = `{"code":"resource_exhausted","message":"the body is larger than the 16777216 bytes that are taken"}`
	for _, test := range []struct {
		name  string
		says  int64 // Content-Length
		limit int64 // of what may be read
		bytes uint64
	}{
		{"that says so", gib, 0, 1 << 20},
		{"that does not", -1, 16<<20 + 64<<10, 56 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := &spaces{left: gib}
			used := allocated(func() {
				r := post("/Arith/Add", "")
				r.Body, r.ContentLength = io.NopCloser(body), test.says
				expect(t, serve(g, r), http.StatusRequestEntityTooLarge, refused)
			})
			if body.read.Load() > test.limit || used > test.bytes {
				t.Errorf("%d bytes were read, %d allocated; at most %d and %d may be", body.read.Load(), used, test.limit, test.bytes)
			}
		})
	}
	t.Run("over a real connection", func(t *testing.T) {
		s := httptest.NewServer(g)
		defer s.Close()
		used := allocated(func() {
			body := &spaces{left: gib}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/Arith/Add", body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			res, err := s.Client().Do(request)
			if err != nil { // the connection may be closed before the answer is read
				t.Logf("the client was told: %v", err)
				return
			}
			defer res.Body.Close()
			expect(t, res, http.StatusRequestEntityTooLarge, refused)
			if read := body.read.Load(); read > 64<<20 {
				t.Errorf("%d bytes were sent before the answer", read)
			}
		})
		if used > 56<<20 {
			t.Errorf("%d bytes were allocated for 1 GiB", used)
		}
	})
}

func TestBodyThatInflates(t *testing.T) {
	g := newGateway(t, "beside", newArith(), &gateway.Option{MaxMessageSize: 256 << 10})
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.Copy(z, &spaces{left: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	used := allocated(func() {
		res := serve(g, post("/Arith/Add", bomb.String(), "Content-Encoding", "gzip"))
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("answered %d", res.StatusCode)
		}
	})
	if used > 2<<20 {
		t.Errorf("%d bytes of gzip had %d allocated", bomb.Len(), used)
	}
}

func TestBodiesInFlightAreBounded(t *testing.T) {
	arith := newArith()
	g := newGateway(t, "beside", arith, &gateway.Option{MaxBytesInFlight: 64 << 10})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	large := `{"A":1}` + strings.Repeat(" ", 20<<10)
	larger := `{"A":1}` + strings.Repeat(" ", 40<<10)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		serve(g, post("/Arith/Wait", large).WithContext(ctx))
	}()
	<-arith.entered
	res := serve(g, post("/Arith/Add", larger))
	expect(t, res, http.StatusTooManyRequests, `{"code":"resource_exhausted","message":"too many bytes of requests in flight"}`)
	leave()
	<-answered
	if res := serve(g, post("/Arith/Add", larger)); res.StatusCode != http.StatusOK {
		t.Errorf("with room given back, answered %d %s", res.StatusCode, bodyOf(t, res))
	}
}

// shapeless is a stubborn backend that says nothing of its services.
type shapeless struct{ stubborn }

func (shapeless) Services(context.Context) ([]protocol.ServiceInfo, error) { return nil, nil }

// A body is held for as long as a call is under way that has it, though its caller
// was answered at the deadline.
func TestBodiesOfCallsBeyondTheirTimeAreHeld(t *testing.T) {
	padding := strings.Repeat(" ", 40<<10)
	for name, post := range map[string]func() *http.Request{
		"JSON": func() *http.Request { return post("/Arith/Add", `{"A":1}`+padding) },
		"bridge": func() *http.Request {
			return post("/invoke", `{"A":1}`+padding, "Rpc-Header-Service_name", "Arith", "Rpc-Header-Method_name", "Add", "Rpc-Header-Serialize_type", "1")
		},
		"bound": func() *http.Request { return post("/bound", `{"A":1}`+padding) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend := shapeless{stubborn{release: make(chan struct{})}}
				g, err := gateway.New(backend, &gateway.Option{MaxBytesInFlight: 100 << 10, RequestTimeout: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				if err := g.Bind("POST /bound", "Arith.Add"); err != nil {
					t.Fatal(err)
				}
				answered := func(want int) {
					t.Helper()
					if res := serve(g, post()); res.StatusCode != want {
						t.Errorf("answered %d %s, want %d", res.StatusCode, bodyOf(t, res), want)
					}
				}
				answered(http.StatusGatewayTimeout)
				answered(http.StatusTooManyRequests)
				close(backend.release)
				synctest.Wait()
				answered(http.StatusOK)
				answered(http.StatusOK)
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestBodyThatBreaksOff(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	r := post("/Arith/Add", "")
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{io.ErrUnexpectedEOF})), -1
	expect(t, serve(g, r), http.StatusBadRequest, `{"code":"invalid_argument","message":"the body cannot be read: unexpected EOF"}`)
	r = post("/Arith/Add", "")
	r.Body, r.ContentLength = io.NopCloser(broken{errors.New("wire cut")}), -1
	expect(t, serve(g, r), http.StatusBadRequest, `{"code":"invalid_argument","message":"the body cannot be read: wire cut"}`)
}

// A bound may be as large as its type lets it.
func TestBodyOfTheLargestBound(t *testing.T) {
	for name, length := range map[string]int64{"a length that is said": 10_000, "one that is not": -1} {
		r := post("/", strings.Repeat("x", 10_000))
		r.ContentLength = length
		if body, err := gateway.ReadBody(r, math.MaxInt64); err != nil || len(body) != 10_000 {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
	}
	zipped, err := protocol.Compress(protocol.CompressTypeGzip, nil, []byte(`{"A":1,"B":2}`))
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, &gateway.Option{MaxMessageSize: math.MaxInt, MaxBytesInFlight: math.MaxInt64}, func(t *testing.T, g *gateway.Gateway) {
		expect(t, serve(g, post("/Arith/Add", `{"A":1,"B":2}`)), http.StatusOK, `{"C":3}`)
		expect(t, serve(g, post("/Arith/Add", string(zipped), "Content-Encoding", "gzip")), http.StatusOK, `{"C":3}`)
	})
}

func TestReadBodyForHandlers(t *testing.T) {
	body, err := gateway.ReadBody(post("/", strings.Repeat("x", 100)), 100)
	if err != nil || len(body) != 100 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	_, err = gateway.ReadBody(post("/", strings.Repeat("x", 101)), 100)
	if gateway.StatusOf(err) != http.StatusRequestEntityTooLarge || protocol.OutcomeOf(err) != protocol.NotSent {
		t.Errorf("%v", err)
	}
}
