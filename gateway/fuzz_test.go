package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// checking is a backend to which nothing may come that does not travel, or that
// is not a caller's to say.
type checking struct {
	gateway.Backend
	t *testing.T
}

// Do says what is wrong with m, and answers with its metadata.
func (c checking) Do(_ context.Context, m *protocol.Message) (*protocol.Message, error) {
	c.check(m)
	return &protocol.Message{Header: protocol.Header{MetaData: m.MetaData}}, nil
}

func (c checking) check(m *protocol.Message) {
	if err := protocol.CheckMeta(m.MetaData); err != nil {
		c.t.Errorf("metadata that does not travel: %v", err)
	}
	for k := range m.MetaData {
		switch {
		case !strings.HasPrefix(k, "sinew-"), strings.HasPrefix(k, "sinew-tag-"), k == "sinew-request-id":
		case k == "sinew-auth" && m.MetaData[k] == "the authoriser's":
		default:
			c.t.Errorf("%s came through", k)
		}
	}
	if m.MessageType != protocol.TypeRequest && m.MessageType != protocol.TypeOneway || m.StatusCode != protocol.OK || m.Error != "" || m.Flags&protocol.FlagsCritical != 0 {
		c.t.Errorf("header %+v", m.Header)
	}
	if m.ServiceName == "sinew" || strings.HasPrefix(m.ServiceName, "sinew.") {
		c.t.Errorf("service %q", m.ServiceName)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("Traceparent", "00-1-2-01", "Sinew-Tag-Idc", "lf", "{}", "Arith")
	f.Add("Sinew-Auth", "root", "Connection", "x-a", `{"sinew-auth":"root","x":"\r\n"}`, "sinew.Stats")
	f.Add("X-A", "a\r\nb", "Rpc-Header-Flags", "65536", `{"a":"b"}`, "%73inew")
	f.Add("Timeout", "1s", "Rpc-Header-Message_type", "3", ``, "A")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, meta, service string) {
		g, err := gateway.New(checking{t: t}, &gateway.Option{
			Headers:   []string{"X-*", "S*", "R*", "Traceparent"},
			Authorize: func(*http.Request, string) (string, error) { return "the authoriser's", nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/invoke", strings.NewReader("body"))
		r.Header.Set("rpc-header-service_name", service)
		r.Header.Set("rpc-header-method_name", "M")
		r.Header.Set("rpc-header-meta_data", meta)
		r.Header.Set(name1, value1)
		r.Header.Set(name2, value2)
		res := serve(g, r)
		if res.StatusCode == http.StatusOK && res.Header.Get("rpc-header-status_code") != "0" {
			t.Errorf("%d with status %s", res.StatusCode, res.Header.Get("rpc-header-status_code"))
		}
		for name, values := range res.Header {
			for _, value := range values {
				if strings.ContainsAny(value, "\r\n\x00") {
					t.Errorf("%s answers %q", name, value)
				}
			}
		}
	})
}
