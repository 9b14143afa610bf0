package protocol

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// protobufSerializer is google.golang.org/protobuf, for its messages alone.
type protobufSerializer struct{}

var (
	_ Serializer = protobufSerializer{}
	_ Checker    = protobufSerializer{}
)

// Append appends v, a proto.Message.
func (protobufSerializer) Append(dst []byte, v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return dst, errNotMessage(v)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// Decode resets v, a proto.Message, and decodes body into it.
func (protobufSerializer) Decode(body []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok || isNilPointer(v) {
		return errNotMessage(v)
	}
	return proto.Unmarshal(body, m)
}

func errNotMessage(v any) error {
	return fmt.Errorf("the protobuf serializer takes non-nil messages of google.golang.org/protobuf, not %s: use another serializer or generate the type", typeName(v))
}
