package jsonrpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzParseRequest rebuilds the text from the parts that the walk over it finds,
// and compares the two as encoding/json reads them.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","method":"a.b","params":[1,{"x":"}\\\""}],"id":9007199254740993}`,
		` [ {"jsonrpc" : "2.0"} , [ ] , {} , "\u005d" , -1.5e+7 , null ] `,
		`{"\u0069d":1,"id":2}`, `[]`, `{}`, `""`, `0`, `[[[[1]],2],"\\"]`, "{\"a\":\"\\\"\"\t}", `{"a"`, `[1,]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if check(text, 64) != nil {
			return
		}
		value := trim(text)
		if got := rebuilt(t, value); !reflect.DeepEqual(decoded(t, got), decoded(t, value)) {
			t.Fatalf("%q was rebuilt as %q", value, got)
		}
		q, fault := parseRequest(value)
		if fault != nil && q.id == nil {
			t.Errorf("%q: a fault without an id to answer", value)
		}
		if q.id != nil && !json.Valid(failure(q.id, newError(InvalidRequest, ""))) {
			t.Errorf("%q: the answer is no JSON", value)
		}
		if fault == nil && q.params != nil {
			body, fault := q.body([]string{"a", "b"})
			if fault == nil && !json.Valid(body) {
				t.Errorf("%q: the body %q is no JSON", value, body)
			}
		}
	})
}

// FuzzParseResponses gives a client what no server should send.
func FuzzParseResponses(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"a":[1,"]"]}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no","data":{"code":"not_found"}}}`,
		`[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":2,"error":null}]`, `[]`, `[1]`, `null`, `{"id":1,"error":[]}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, batch bool) {
		responses, err := parseResponses(text, batch)
		if err != nil {
			return
		}
		for _, r := range responses {
			if (r.fault == nil) == (r.result == nil) {
				t.Errorf("%q: a response with both or neither: %+v", text, r)
			}
			if r.fault == nil && !json.Valid(r.result) {
				t.Errorf("%q: the result %q is no JSON", text, r.result)
			}
		}
		wanted := map[int32]*BatchCall{1: {}, 2: {}}
		if err := settle(wanted, responses); err == nil && !batch && wanted[1] != nil && wanted[2] != nil {
			t.Errorf("%q settled nothing", text)
		}
	})
}

// rebuilt makes a value of the parts that members and elements yield.
func rebuilt(t *testing.T, value json.RawMessage) []byte {
	t.Helper()
	var b bytes.Buffer
	separator := byte(0)
	separate := func() {
		if separator != 0 {
			b.WriteByte(separator)
		}
		separator = ','
	}
	switch kind(value) {
	case '[':
		b.WriteByte('[')
		for v := range elements(value) {
			separate()
			b.Write(rebuilt(t, v))
		}
		b.WriteByte(']')
	case '{':
		b.WriteByte('{')
		for name, v := range members(value) {
			separate()
			b.Write(marshal(name))
			b.WriteByte(':')
			b.Write(rebuilt(t, v))
		}
		b.WriteByte('}')
	default:
		return value
	}
	return b.Bytes()
}

// decoded is a value as encoding/json reads it, numbers as they are written.
func decoded(t *testing.T, value []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	return v
}
