package protocol

// SerializeType names the encoding of a body; it travels in the header.
type SerializeType uint8

// The serializers that every sinew process has. Users register theirs from 16
// upwards.
const (
	SerializeTypeMsgpack  SerializeType = 0 // the default
	SerializeTypeJSON     SerializeType = 1
	SerializeTypeProtobuf SerializeType = 2
	SerializeTypeRaw      SerializeType = 3
)

// Serializer turns values into bodies and bodies into values. Its methods may
// run concurrently.
type Serializer interface {
	// Append appends the encoding of v to dst and returns the extended slice.
	// It keeps neither.
	Append(dst []byte, v any) ([]byte, error)
	// Decode reads one value from body into v, which is a non-nil pointer.
	// Bytes left over are an error. body is lent: v must not alias it after
	// Decode has returned.
	Decode(body []byte, v any) error
}

// Checker is implemented by serializers whose decoder believes what a body
// declares. Check proves in one iterative pass, before anything is allocated,
// that body is well formed: every count within the bytes that remain, depth at
// most 256, at most maxElements elements, one value, nothing after it. v is the
// pointer that Decode would be given; a Check may use its type.
type Checker interface {
	Check(body []byte, v any, maxElements int) error
}
