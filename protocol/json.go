package protocol

import (
	"encoding/json"
	"sync"
)

// jsonSerializer is encoding/json, without a newline at the end and without
// escaping for HTML.
type jsonSerializer struct{}

var (
	_ Serializer = jsonSerializer{}
	_ Checker    = jsonSerializer{}
)

// jsonEncoder is an encoder together with what it writes to: the caller's slice.
type jsonEncoder struct {
	codec *json.Encoder
	out   []byte
}

var jsonEncoders = sync.Pool{New: func() any {
	e := new(jsonEncoder)
	e.codec = json.NewEncoder(e)
	e.codec.SetEscapeHTML(false)
	return e
}}

// Write appends b.
func (e *jsonEncoder) Write(b []byte) (int, error) {
	e.out = append(e.out, b...)
	return len(b), nil
}

// Append appends v in JSON.
func (jsonSerializer) Append(dst []byte, v any) ([]byte, error) {
	e := jsonEncoders.Get().(*jsonEncoder)
	e.out = dst
	err := e.codec.Encode(v)
	out := e.out
	e.out = nil
	jsonEncoders.Put(e)
	if err != nil {
		return dst, err
	}
	return out[:len(out)-1], nil // the newline
}

// Decode decodes body into v. encoding/json proves the whole body to be one JSON
// value before it decodes any of it.
func (jsonSerializer) Decode(body []byte, v any) error {
	return json.Unmarshal(body, v)
}
