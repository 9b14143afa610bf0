// Package jsonecho is the call of the gateway's benchmark: the message as JSON, and
// the client that posts it, the same one for every row.
package jsonecho

// Message is the request and the reply. Its JSON is, but for white space, what
// protojson makes of the message of peers/echo.proto: an int64 is text there.
type Message struct {
	ID   int64  `json:"id,string"`
	Body []byte `json:"body"`
}
