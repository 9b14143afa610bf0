package jsonrpc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
)

func TestIdsAreEchoedByteForByte(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, nil)
	for _, id := range []string{
		`0`, `-1`, `2147483648`, `4294967296`, `9007199254740993`, `18446744073709551616`,
		`123456789012345678901234567890`, `-0`, `1.0`, `1.50`, `1e3`, `1E+400`,
		`""`, `"1"`, `"a b"`, `"ü"`, `"\u00fc\n\"\\"`, `"` + strings.Repeat("x", 1000) + `"`, `null`,
	} {
		got := answer(t, h, `{"jsonrpc":"2.0","method":"Raw.Echo","params":[1],"id":`+id+`}`)
		if want := `{"jsonrpc":"2.0","result":1,"id":` + id + `}`; got != want {
			t.Errorf("id %s: %s", id, got)
		}
		got = answer(t, h, `{"id": `+id+` ,"jsonrpc":"2.0","method":"none"}`)
		if want := `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":` + id + `}`; got != want {
			t.Errorf("id %s of an error: %s", id, got)
		}
	}
}

func TestInvalidRequests(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, nil)
	invalid := func(id string) string {
		return `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":` + id + `}`
	}
	refused := func(id, why string) string {
		return `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"` + why + `"},"id":` + id + `}`
	}
	parse := `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}`
	for _, c := range []struct{ name, body, want string }{
		{"nothing", ``, parse},
		{"a cut text", `{"jsonrpc":"2.0"`, parse},
		{"two values", `{} {}`, parse},
		{"a number", `1`, invalid("null")},
		{"an empty object", `{}`, invalid("null")},
		{"no version", `{"method":"Raw.Echo","id":7}`, invalid("7")},
		{"another version", `{"jsonrpc":"1.0","method":"Raw.Echo","id":7}`, invalid("7")},
		{"a number as version", `{"jsonrpc":2.0,"method":"Raw.Echo","id":7}`, invalid("7")},
		{"no method", `{"jsonrpc":"2.0","id":7}`, invalid("7")},
		{"method null", `{"jsonrpc":"2.0","method":null,"id":"x"}`, invalid(`"x"`)},
		{"params null", `{"jsonrpc":"2.0","method":"Raw.Echo","params":null,"id":7}`, invalid("7")},
		{"params a string", `{"jsonrpc":"2.0","method":"Raw.Echo","params":"x","id":7}`, invalid("7")},
		{"id an object", `{"jsonrpc":"2.0","method":"Raw.Echo","id":{}}`, invalid("null")},
		{"id an array", `{"jsonrpc":"2.0","method":"Raw.Echo","id":[1]}`, invalid("null")},
		{"id a bool", `{"jsonrpc":"2.0","method":"Raw.Echo","id":true}`, invalid("null")},
		{"a name in another case", `{"JSONRPC":"2.0","method":"Raw.Echo","id":7}`, invalid("7")},
		{"an unknown member", `{"jsonrpc":"2.0","method":"Raw.Echo","id":7,"auth":1}`, refused("7", `a request has no member \"auth\"`)},
		{"method twice", `{"jsonrpc":"2.0","method":"Raw.Echo","method":"Raw.Other","id":7}`, refused("7", "the member method stands there twice")},
		{"id twice", `{"jsonrpc":"2.0","method":"Raw.Echo","id":7,"id":8}`, refused("null", "the member id stands there twice")},
		{"id twice, once in disguise", `{"jsonrpc":"2.0","method":"Raw.Echo","id":7,"\u0069d":8}`, refused("null", "the member id stands there twice")},
		{"a fault before the id", `{"x":1,"jsonrpc":"2.0","method":"Raw.Echo","id":7}`, refused("7", `a request has no member \"x\"`)},
	} {
		if got := answer(t, h, c.body); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if got := answer(t, h, "{\"jsonrpc\":\"2.0\",\"method\":\"Raw.\xff\",\"id\":7}"); !strings.Contains(got, "-32700") || !strings.Contains(got, "UTF-8") {
		t.Errorf("text that is not UTF-8: %s", got)
	}
}

func TestNamesMayBeWrittenWithEscapes(t *testing.T) {
	s, _ := served(t)
	got := answer(t, handler(t, s, nil), " \r\n\t{ \"\\u006asonrpc\" : \"2\\u002e0\" ,\n\"method\":\"Raw\\u002eEcho\" , \"params\" : [ [ 1 , \"}]\\\"\" ] ] , \"id\" : 7 }\n")
	if want := `{"jsonrpc":"2.0","result":[1,"}]\""],"id":7}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestParamsByPosition(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, option())
	for _, c := range []struct{ name, method, params, want string }{
		{"none", "Raw.Echo", ``, `"result":null`},
		{"an empty array", "Raw.Echo", `,"params":[]`, `"result":null`},
		{"an object", "Raw.Echo", `,"params":{"A":1}`, `"result":{"A":1}`},
		{"an array of one", "Raw.Echo", `,"params":[{"A":1}]`, `"result":{"A":1}`},
		{"an array of one string", "Text.Length", `,"params":["four"]`, `"result":4`},
		{"an array of many", "Raw.Echo", `,"params":[1,"b",null]`, `"result":[1,"b",null]`},
		{"no float64 between", "Raw.Echo", `,"params":[9007199254740993,1.10,1e400]`, `"result":[9007199254740993,1.10,1e400]`},
		{"with names", "subtract", `,"params":[42,23]`, `"result":19`},
		{"with names, fewer", "subtract", `,"params":[42]`, `"result":42`},
		{"with names, none", "subtract", `,"params":[]`, `"result":0`},
		{"with names, too many", "subtract", `,"params":[1,2,3]`, `"error":{"code":-32602,"message":"Invalid params","data":{"code":"invalid_argument","message":"more params by position than the 2 that the method takes","outcome":"NotSent"}}`},
	} {
		got := answer(t, h, `{"jsonrpc":"2.0","method":"`+c.method+`"`+c.params+`,"id":1}`)
		if want := `{"jsonrpc":"2.0",` + c.want + `,"id":1}`; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	s, _ := served(t)
	request := func(params string) string {
		return `{"jsonrpc":"2.0","method":"Raw.Echo","params":` + params + `,"id":1}`
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	h := handler(t, s, &jsonrpc.Option{MaxDepth: 10, MaxBatch: 3, MaxReply: 100})
	if got := answer(t, h, request(deep(9))); !strings.Contains(got, `"result"`) {
		t.Errorf("as deep as allowed: %s", got)
	}
	if got := answer(t, h, request(deep(10))); !strings.Contains(got, `"code":-32600`) || !strings.Contains(got, "10 levels") {
		t.Errorf("too deep: %s", got)
	}
	if got := answer(t, h, strings.Repeat("[", 1<<20)); !strings.Contains(got, `"code":-32700`) {
		t.Errorf("a million brackets: %s", got)
	}
	batch := func(n int, params string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(request(params)+",", n), ",") + "]"
	}
	if got := answer(t, h, batch(3, "[1]")); strings.Count(got, `"result":1`) != 3 {
		t.Errorf("a batch as large as allowed: %s", got)
	}
	if got := answer(t, h, batch(4, "[1]")); strings.Contains(got, `"result"`) || !strings.Contains(got, "more than 3 requests") {
		t.Errorf("a batch too large: %s", got)
	}
	text := fmt.Sprintf(`["%s"]`, strings.Repeat("x", 38))
	if got := answer(t, h, batch(3, text)); strings.Count(got, `"result"`) != 2 || strings.Count(got, `"code":-32008`) != 1 {
		t.Errorf("replies of 120 bytes where 100 may be answered: %s", got)
	}
	off := handler(t, s, &jsonrpc.Option{MaxBatch: -1})
	if got := answer(t, off, batch(1, "[1]")); !strings.Contains(got, "batches are not served") {
		t.Errorf("a batch where they are off: %s", got)
	}
}

func TestWhatIsNoJSONRPCHasAStatus(t *testing.T) {
	s, _ := served(t)
	url := on(t, handler(t, s, nil))
	const body = `{"jsonrpc":"2.0","method":"Raw.Echo","params":[1],"id":1}`
	for _, c := range []struct {
		name, method, media, body string
		status                    int
	}{
		{"as it should be", "POST", "application/json", body, 200},
		{"with a charset", "POST", "application/json; charset=UTF-8", body, 200},
		{"json-rpc's own type", "POST", "application/json-rpc", body, 200},
		{"a form", "POST", "application/x-www-form-urlencoded", body, 415},
		{"text", "POST", "text/plain", body, 415},
		{"no type", "POST", "", body, 415},
		{"another charset", "POST", "application/json; charset=utf-16", body, 415},
		{"GET", "GET", "application/json", "", 405},
		{"17 MiB", "POST", "application/json", strings.Repeat(" ", 17<<20), 413},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.media)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		res.Body.Close()
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %s", c.name, res.Status, res.Header.Get("Content-Type"))
		}
		if c.status == 405 && res.Header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", res.Header.Get("Allow"))
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
