package jsonrpc

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// The codes that the specification reserves. Numbers from -32099 to -32000 are
// server errors: see the package's description.
const (
	ParseError     = -32700 // the text is no JSON
	InvalidRequest = -32600 // the JSON is no request
	MethodNotFound = -32601
	InvalidParams  = -32602
	InternalError  = -32603
)

// reserved are the messages that the specification gives its codes.
var reserved = map[int]string{
	ParseError:     "Parse error",
	InvalidRequest: "Invalid Request",
	MethodNotFound: "Method not found",
	InvalidParams:  "Invalid params",
	InternalError:  "Internal error",
}

// Error is the error object of a response, as it was sent. errors.As finds it in
// what a [Client] returns when the server said it.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"` // nil where there is none
}

// Error returns "<message> (<code>)".
func (e *Error) Error() string { return e.Message + " (" + strconv.Itoa(e.Code) + ")" }

// newError returns the error of a reserved code; detail, where there is one, is
// its data.
func newError(code int, detail string) *Error {
	e := &Error{Code: code, Message: reserved[code]}
	if detail != "" {
		e.Data = marshal(detail)
	}
	return e
}

// marshal is json.Marshal without escaping for HTML, for values that cannot fail.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	codec := json.NewEncoder(&b)
	codec.SetEscapeHTML(false)
	if err := codec.Encode(v); err != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
