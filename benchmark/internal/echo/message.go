// Package echo holds the message of the benchmark for the frameworks that
// take a plain Go struct: an identifier that says which call a reply belongs
// to, and a payload of the size under test.
package echo

//go:generate go run github.com/tinylib/msgp@v1.3.0 -file message.go -o message_msgp.go -tests=false

// Message is the request and the reply. It carries msgp's generated methods,
// so a framework that knows them encodes it without reflection.
type Message struct {
	ID   int64  `msg:"id" msgpack:"id"`
	Body []byte `msg:"body" msgpack:"body"`
}

//msgp:ignore Plain

// Plain is [Message] without generated methods: whoever encodes it reflects.
type Plain struct {
	ID   int64  `msgpack:"id"`
	Body []byte `msgpack:"body"`
}
