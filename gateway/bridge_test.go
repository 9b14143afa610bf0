package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// invoke makes a request of the bridge, with header fields by their short names.
func invoke(body []byte, fields map[string]string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/invoke", strings.NewReader(string(body)))
	for name, value := range fields {
		r.Header.Set("rpc-header-"+name, value)
	}
	return r
}

// expectFields compares the header fields of an answer by their short names.
func expectFields(t *testing.T, res *http.Response, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := res.Header.Get("rpc-header-" + name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	for name := range res.Header {
		if short, ours := strings.CutPrefix(strings.ToLower(name), "rpc-header-"); ours {
			if _, wanted := want[short]; !wanted {
				t.Errorf("unexpected field %s: %q", short, res.Header.Get(name))
			}
		}
	}
}

func TestBridgePassesBodiesUntouched(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		for _, serializer := range []protocol.SerializeType{protocol.SerializeTypeMsgpack, protocol.SerializeTypeJSON} {
			body, err := protocol.Marshal(serializer, nil, &Operands{1, 2})
			if err != nil {
				t.Fatal(err)
			}
			want, err := protocol.Marshal(serializer, nil, &Sum{3})
			if err != nil {
				t.Fatal(err)
			}
			number := fmt.Sprint(uint8(serializer))
			res := serve(g, invoke(body, map[string]string{
				"seq": "18446744073709551615", "message_type": "0", "compress_type": "0", "serialize_type": number,
				"service_name": "Arith", "method_name": "Add", "status_code": "nonsense", "error": "nonsense",
			}))
			expect(t, res, http.StatusOK, string(want))
			expectFields(t, res, map[string]string{
				"seq": "18446744073709551615", "message_type": "1", "compress_type": "0", "serialize_type": number, "status_code": "0", "flags": "0",
			})
		}
	})
}

func TestBridgePassesCompressedBodies(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		plain, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, &Operands{A: 1000})
		if err != nil {
			t.Fatal(err)
		}
		body, err := protocol.Compress(protocol.CompressTypeGzip, nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		res := serve(g, invoke(body, map[string]string{"compress_type": "1", "service_name": "Arith", "method_name": "Repeat"}))
		reply := []byte(bodyOf(t, res))
		switch got := res.Header.Get("rpc-header-compress_type"); got {
		case "0":
		case "1":
			if reply, err = protocol.Inflate(protocol.CompressTypeGzip, nil, reply, 1<<20); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("compress type %q", got)
		}
		var text Text
		if err := protocol.Unmarshal(protocol.SerializeTypeMsgpack, reply, &text, 0); err != nil || len(text.Text) != 6000 {
			t.Errorf("%d bytes of text, %v", len(text.Text), err)
		}
	})
}

func TestBridgeHeartbeatAndOneway(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		res := serve(g, invoke(nil, map[string]string{"seq": "7", "message_type": "2"}))
		expect(t, res, http.StatusOK, "")
		expectFields(t, res, map[string]string{"seq": "7", "message_type": "1", "compress_type": "0", "serialize_type": "0", "status_code": "0", "flags": "0"})
		res = serve(g, invoke([]byte(`{"A":1}`), map[string]string{"seq": "8", "message_type": "3", "serialize_type": "1", "service_name": "Arith", "method_name": "Add"}))
		expect(t, res, http.StatusOK, "")
		expectFields(t, res, map[string]string{"seq": "8", "message_type": "1", "compress_type": "0", "serialize_type": res.Header.Get("rpc-header-serialize_type"), "status_code": "0", "flags": "0"})
	})
}

func TestBridgeMetadata(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		ask := func(key, meta string) *http.Response {
			return serve(g, invoke([]byte(`{"Key":"`+key+`"}`), map[string]string{
				"serialize_type": "1", "service_name": "Arith", "method_name": "Meta", "meta_data": meta,
			}))
		}
		res := ask("x-a", `{"x-a":"ü\u0001😀"}`)
		expect(t, res, http.StatusOK, `{"Value":"ü\u0001😀","Present":true}`)
		if got, want := res.Header.Get("rpc-header-meta_data"), `{"x-echo":"\u00fc\u0001\ud83d\ude00"}`; got != want {
			t.Errorf("meta_data is %s, want %s", got, want)
		}
		expect(t, ask("sinew-auth", `{"sinew-auth":"root"}`), http.StatusOK, absent)
		for _, bad := range []string{`{"x-a":"a\r\nb"}`, `{"x-a":"\u0000"}`, `{"X-Upper":"1"}`, `{"x-a":1}`, `[]`, `{`} {
			res := ask("x-a", bad)
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("rpc-header-status_code") != "3" || res.Header.Get("rpc-header-flags") != "1" {
				t.Errorf("meta_data %s: answered %d, %v", bad, res.StatusCode, res.Header)
			}
		}
	})
}

// Whom a proxy or middleware names in a header, no caller can name otherwise.
func TestBridgeMetadataIsNoForwardedHeader(t *testing.T) {
	option := &gateway.Option{Headers: append(gateway.DefaultHeaders(), "X-User", "X-Shop-*")}
	everywhere(t, option, func(t *testing.T, g *gateway.Gateway) {
		for _, test := range []struct{ name, key, header, want string }{
			{"a header that is there", "x-user", "X-User", present("eve")},
			{"a header that is not", "x-user", "", absent},
			{"one by its beginning that is there", "x-shop-id", "X-Shop-Id", present("eve")},
			{"one by its beginning that is not", "x-shop-id", "", absent},
			{"trace context", "traceparent", "", present("admin")},
			{"one that is not forwarded", "x-other", "X-Other", present("admin")},
		} {
			t.Run(test.name, func(t *testing.T) {
				r := invoke([]byte(`{"Key":"`+test.key+`"}`), map[string]string{
					"serialize_type": "1", "service_name": "Arith", "method_name": "Meta", "meta_data": `{"` + test.key + `":"admin"}`,
				})
				if test.header != "" {
					r.Header.Set(test.header, "eve")
				}
				expect(t, serve(g, r), http.StatusOK, test.want)
			})
		}
	})
}

func TestBridgeFails(t *testing.T) {
	call := func(more ...string) map[string]string {
		fields := map[string]string{"seq": "9", "serialize_type": "1", "service_name": "Arith", "method_name": "Fail"}
		for i := 0; i < len(more); i += 2 {
			fields[more[i]] = more[i+1]
		}
		return fields
	}
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		for _, test := range []struct {
			name, body      string
			fields          map[string]string
			status          int
			code, flags     string
			message, outome string
		}{
			{"a method's error", `{"Text":"plain"}`, call(), 500, "2", "0", "line one%0Aline two: %C3%BC", "Ran"},
			{"an unknown method", `{}`, call("method_name", "Subtract"), 501, "12", "1", `unknown method "Arith.Subtract"`, "Refused"},
			{"a method of nobody", `{}`, call("method_name", "100%25"), 501, "12", "1", `unknown method "Arith.100%25"`, "NotSent"},
			{"a response", `{}`, call("message_type", "1"), 400, "3", "1", "Rpc-Header-Message_type is 1: 0 (request), 2 (heartbeat) and 3 (oneway) are taken", "NotSent"},
			{"a goaway", `{}`, call("message_type", "5"), 400, "3", "1", "Rpc-Header-Message_type is 5: 0 (request), 2 (heartbeat) and 3 (oneway) are taken", "NotSent"},
			{"no name", `{}`, call("method_name", ""), 400, "3", "1", "Rpc-Header-Service_name and Rpc-Header-Method_name say what is called: one is missing", "NotSent"},
			{"a type that is none", `{}`, call("message_type", "256"), 400, "3", "1", `Rpc-Header-Message_type is "256": it takes a decimal number of 8 bits`, "NotSent"},
			{"a name that is badly encoded", `{}`, call("service_name", "%zz"), 400, "3", "1", `Rpc-Header-Service_name is "%25zz": it takes text, percent-encoded where it is not printable ASCII`, "NotSent"},
			{"an unknown serializer", `{}`, call("serialize_type", "9"), 501, "12", "1", "serializer 9 is not known here", "Refused"},
		} {
			t.Run(test.name, func(t *testing.T) {
				res := serve(g, invoke([]byte(test.body), test.fields))
				expect(t, res, test.status, "")
				expectFields(t, res, map[string]string{
					"seq": "9", "message_type": "1", "compress_type": "0", "serialize_type": test.fields["serialize_type"],
					"status_code": test.code, "flags": test.flags, "error": test.message,
				})
				if got := res.Header.Get("Sinew-Outcome"); got != test.outome {
					t.Errorf("outcome %s, want %s", got, test.outome)
				}
			})
		}
		r := invoke(nil, call())
		r.Header.Add("rpc-header-seq", "10")
		if res := serve(g, r); res.StatusCode != http.StatusBadRequest {
			t.Errorf("two seqs: answered %d", res.StatusCode)
		}
	})
}

// What a browser sends for a page of another origin without asking has no such
// headers, and is no call.
func TestBridgeNeedsItsHeaders(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	if res := serve(g, invoke([]byte("A=1"), nil)); res.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %d", res.StatusCode)
	}
}

func TestBridgeRefusesCriticalFlags(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		fields := map[string]string{"serialize_type": "1", "service_name": "Arith", "method_name": "Add", "flags": "65536"}
		res := serve(g, invoke([]byte(`{"A":1}`), fields))
		if res.StatusCode != http.StatusNotImplemented || res.Header.Get("rpc-header-flags") != "1" {
			t.Errorf("answered %d, %v", res.StatusCode, res.Header)
		}
		fields["flags"] = "7" // those of a response
		if res := serve(g, invoke([]byte(`{"A":1}`), fields)); res.StatusCode != http.StatusOK {
			t.Errorf("answered %d, %v", res.StatusCode, res.Header)
		}
	})
}
