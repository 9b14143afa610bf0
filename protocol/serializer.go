package protocol

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
)

// SerializeType names the encoding of a body; it travels in the header.
type SerializeType uint8

// The serializers that every sinew process has. Users register theirs from
// FirstUserSerializer upwards.
const (
	SerializeTypeMsgpack  SerializeType = 0 // the default
	SerializeTypeJSON     SerializeType = 1
	SerializeTypeProtobuf SerializeType = 2
	SerializeTypeRaw      SerializeType = 3

	// FirstUserSerializer is the lowest number that RegisterSerializer takes.
	FirstUserSerializer SerializeType = 16
)

// String returns the serializer's name, as SerializerName does.
func (t SerializeType) String() string { return SerializerName(t) }

const (
	// DefaultMaxElements is how many elements (array elements, map keys and
	// values, fields) a body may hold when Unmarshal is told 0.
	DefaultMaxElements = 1_000_000

	// MaxDepth is how deep the containers of a body may nest.
	MaxDepth = 256
)

// ErrUnknownSerializer is wrapped, with the number, by Marshal and Unmarshal
// when no serializer is registered under it.
var ErrUnknownSerializer = errors.New("protocol: unknown serializer")

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
// most MaxDepth, at most maxElements elements (negative: any number), one value,
// nothing after it. v is the pointer that Decode would be given; a Check may use
// its type. It may run concurrently.
type Checker interface {
	Check(body []byte, v any, maxElements int) error
}

// limitedDecoder is a serializer whose check and decode share what the check
// found out.
type limitedDecoder interface {
	decodeLimited(body []byte, v any, maxElements int) error
}

// EncodeError says that a value could not be turned into a body. The value's
// type is at fault, or its own marshalling method.
type EncodeError struct {
	Type          string // the Go type
	SerializeType SerializeType
	Err           error // what the codec said, or a *PanicError
}

// Error names the type, the serializer and the cause.
func (e *EncodeError) Error() string {
	return fmt.Sprintf("protocol: cannot encode %s as %s: %v", e.Type, e.SerializeType, e.Err)
}

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// DecodeError says that a body could not be turned into a value: it is
// malformed, larger than allowed, or does not fit the type. The value is then
// unspecified.
type DecodeError struct {
	Type          string // the Go type that was wanted
	SerializeType SerializeType
	Err           error // what the check or the codec said, or a *PanicError
}

// Error names the type, the serializer and the cause.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("protocol: cannot decode %s into %s: %v", e.SerializeType, e.Type, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// PanicError is a panic of a codec, or of a user's marshalling method that the
// codec called, contained to the call that met it.
type PanicError struct{ Value any }

// Error shows the value that was panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error, as a runtime.Error is.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Marshal appends the encoding of v by serializer t to dst and returns the
// extended slice; on error it returns dst as it was. The errors are an
// *EncodeError or wrap ErrUnknownSerializer. A panic of the codec is returned as
// an *EncodeError; a value that contains itself is not survived by every codec
// and must not be passed. It may run concurrently.
func Marshal(t SerializeType, dst []byte, v any) (out []byte, err error) {
	s, ok := SerializerOf(t)
	if !ok {
		return dst, unknownSerializer(t)
	}
	defer func() {
		if p := recover(); p != nil {
			out, err = dst, &EncodeError{Type: typeName(v), SerializeType: t, Err: &PanicError{Value: p}}
		}
	}()
	out, err = s.Append(dst, v)
	if err != nil {
		return dst, &EncodeError{Type: typeName(v), SerializeType: t, Err: err}
	}
	return out, nil
}

// Unmarshal decodes body, which serializer t encoded, into v, a non-nil pointer.
// Where the serializer is a Checker, the body is first proved well formed, with
// at most maxElements elements: 0 means DefaultMaxElements, negative turns the
// limit off, and with it the bound on what decoding may allocate, see
// ErrTooManyElements. The errors are a *DecodeError or wrap
// ErrUnknownSerializer. A panic of the codec is returned as a *DecodeError.
// Nothing in v aliases body afterwards. It may run concurrently.
func Unmarshal(t SerializeType, body []byte, v any, maxElements int) (err error) {
	s, ok := SerializerOf(t)
	if !ok {
		return unknownSerializer(t)
	}
	defer func() {
		if p := recover(); p != nil {
			err = &DecodeError{Type: typeName(v), SerializeType: t, Err: &PanicError{Value: p}}
		}
	}()
	if maxElements == 0 {
		maxElements = DefaultMaxElements
	}
	if err := checkAndDecode(s, body, v, maxElements); err != nil {
		return &DecodeError{Type: typeName(v), SerializeType: t, Err: err}
	}
	return nil
}

func checkAndDecode(s Serializer, body []byte, v any, maxElements int) error {
	if l, ok := s.(limitedDecoder); ok {
		return l.decodeLimited(body, v, maxElements)
	}
	if c, ok := s.(Checker); ok {
		if err := c.Check(body, v, maxElements); err != nil {
			return err
		}
	}
	return s.Decode(body, v)
}

func unknownSerializer(t SerializeType) error {
	return fmt.Errorf("%w %d: register it with RegisterSerializer in every process that uses it", ErrUnknownSerializer, uint8(t))
}

func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}

// namedSerializer is one row of the table of serializers.
type namedSerializer struct {
	name       string
	serializer Serializer
}

// serializers are the users' rows. The table is replaced as a whole, so that a
// call takes no lock to look one up; the mutex orders those who replace it.
var (
	registerSerializer sync.Mutex
	serializers        atomic.Pointer[map[SerializeType]namedSerializer]
)

// builtinSerializer is the table's part that needs no registration.
func builtinSerializer(t SerializeType) (namedSerializer, bool) {
	switch t {
	case SerializeTypeMsgpack:
		return namedSerializer{"msgpack", msgpackSerializer{}}, true
	case SerializeTypeJSON:
		return namedSerializer{"json", jsonSerializer{}}, true
	case SerializeTypeProtobuf:
		return namedSerializer{"protobuf", protobufSerializer{}}, true
	case SerializeTypeRaw:
		return namedSerializer{"raw", rawSerializer{}}, true
	}
	return namedSerializer{}, false
}

// RegisterSerializer makes s the process's serializer number t, FirstUserSerializer
// or above, under a name for logs and documents. Call it at program start: a
// message with t that comes earlier is refused. It refuses a reserved number, a
// nil serializer, an empty name, and a number or name that is taken. It may run
// concurrently with everything else.
func RegisterSerializer(t SerializeType, name string, s Serializer) error {
	switch {
	case t < FirstUserSerializer:
		return fmt.Errorf("protocol: serializer number %d is reserved: use %d to 255", uint8(t), uint8(FirstUserSerializer))
	case s == nil:
		return fmt.Errorf("protocol: serializer %d (%q) is nil", uint8(t), name)
	case name == "":
		return fmt.Errorf("protocol: serializer %d has no name", uint8(t))
	}
	registerSerializer.Lock()
	defer registerSerializer.Unlock()
	table := make(map[SerializeType]namedSerializer)
	if old := serializers.Load(); old != nil {
		maps.Copy(table, *old)
	}
	if have, ok := table[t]; ok {
		return fmt.Errorf("protocol: serializer number %d is taken by %q", uint8(t), have.name)
	}
	if have, ok := serializerNamed(table, name); ok {
		return fmt.Errorf("protocol: serializer name %q is taken by number %d", name, uint8(have))
	}
	table[t] = namedSerializer{name, s}
	serializers.Store(&table)
	return nil
}

func serializerNamed(table map[SerializeType]namedSerializer, name string) (SerializeType, bool) {
	for t := range FirstUserSerializer {
		if b, ok := builtinSerializer(t); ok && b.name == name {
			return t, true
		}
	}
	for t, row := range table {
		if row.name == name {
			return t, true
		}
	}
	return 0, false
}

func lookupSerializer(t SerializeType) (namedSerializer, bool) {
	if t < FirstUserSerializer {
		return builtinSerializer(t)
	}
	table := serializers.Load()
	if table == nil {
		return namedSerializer{}, false
	}
	row, ok := (*table)[t]
	return row, ok
}

// SerializerOf returns the serializer number t, and whether there is one. It may
// run concurrently.
func SerializerOf(t SerializeType) (Serializer, bool) {
	row, ok := lookupSerializer(t)
	return row.serializer, ok
}

// SerializerName returns the name of serializer number t ("msgpack", "json",
// "protobuf", "raw", or as registered), or "serializer(t)" when there is none.
// It may run concurrently.
func SerializerName(t SerializeType) string {
	if row, ok := lookupSerializer(t); ok {
		return row.name
	}
	return fmt.Sprintf("serializer(%d)", uint8(t))
}
