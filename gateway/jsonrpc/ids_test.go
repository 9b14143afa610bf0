package jsonrpc

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestIdsWrapAndSkipWhatIsPending(t *testing.T) {
	var s ids
	first, second := s.take(), s.take()
	if first != 1 || second != 2 {
		t.Fatalf("%d, %d", first, second)
	}
	s.last = maxID - 1
	if id := s.take(); id != maxID {
		t.Errorf("%d, want %d", id, maxID)
	}
	if id := s.take(); id != 3 {
		t.Errorf("after the last id, with 1 and 2 pending: %d", id)
	}
	s.give(2)
	s.last = maxID
	if id := s.take(); id != 2 {
		t.Errorf("with 1 pending: %d", id)
	}
}

// echo answers each request object with a text in which ID stands for its id.
func echo(text string) http.HandlerFunc {
	one := func(q clientRequest) string { return strings.ReplaceAll(text, "ID", strconv.Itoa(int(q.ID))) }
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q clientRequest
		if json.Unmarshal(body, &q) == nil {
			_, _ = io.WriteString(w, one(q))
			return
		}
		var batch []clientRequest
		_ = json.Unmarshal(body, &batch)
		answers := make([]string, len(batch))
		for i, q := range batch {
			answers[i] = one(q)
		}
		_, _ = io.WriteString(w, "["+strings.Join(answers, ",")+"]")
	}
}

// An id is pending until its call has ended, however it does.
func TestClientGivesItsIDsBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		serve  http.HandlerFunc
		failed bool
	}{
		{"a result", echo(`{"jsonrpc":"2.0","result":7,"id":ID}`), false},
		{"an error", echo(`{"jsonrpc":"2.0","error":{"code":-32601,"message":"no"},"id":ID}`), true},
		{"an id of nobody", echo(`{"jsonrpc":"2.0","result":7,"id":77}`), true},
		{"no JSON", echo("nonsense"), true},
		{"no response", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(test.serve)
			defer s.Close()
			c, err := NewClient(s.URL, &ClientOption{RequestTimeout: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 10 {
				if err := c.Call(t.Context(), "m", nil, nil); (err != nil) != test.failed {
					t.Fatalf("a call ended with %v", err)
				}
			}
			batch := []*BatchCall{{Method: "m"}, {Method: "m"}, {Method: "m"}}
			_ = c.Batch(t.Context(), batch...) // the error may be that of each
			for _, call := range batch {
				if (call.Err != nil) != test.failed {
					t.Errorf("a call of a batch ended with %v", call.Err)
				}
			}
			if n := len(c.ids.pending); n != 0 || c.ids.last != 13 {
				t.Errorf("of %d ids, %d are pending", c.ids.last, n)
			}
		})
	}
}
