package jsonecho

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func TestTheClientPostsAndReadsTheMessage(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, sent []byte)
		fails  string
	}{
		{"an echo", func(w http.ResponseWriter, sent []byte) { _, _ = w.Write(sent) }, ""},
		{"with protojson's spaces", func(w http.ResponseWriter, _ []byte) {
			_, _ = io.WriteString(w, `{"id":"7", "body":"AP8="}`)
		}, ""},
		{"another status", func(w http.ResponseWriter, _ []byte) { http.Error(w, "busy", http.StatusServiceUnavailable) }, "status 503: busy"},
		{"no JSON", func(w http.ResponseWriter, _ []byte) { _, _ = io.WriteString(w, "hello") }, "reply: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sent, err := io.ReadAll(r.Body)
				var m Message
				if err != nil || json.Unmarshal(sent, &m) != nil || m.ID != 7 || r.Method != http.MethodPost ||
					r.URL.Path != "/Echo/Echo" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept-Encoding") != "" {
					t.Errorf("%s %s %v: %s, %v", r.Method, r.URL, r.Header, sent, err)
				}
				test.answer(w, sent)
			}))
			defer web.Close()
			client, err := Dial("/Echo/Echo")(load.DialOptions{Addr: web.Listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			call, err := client.Caller()
			if err != nil {
				t.Fatal(err)
			}
			id, body, err := call(t.Context(), 7, []byte{0, 255})
			switch {
			case test.fails != "":
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v, want %q", err, test.fails)
				}
			case err != nil || id != 7 || !bytes.Equal(body, []byte{0, 255}):
				t.Errorf("%d, %v, %v", id, body, err)
			}
		})
	}
}
