package protocol

import (
	"fmt"
	"reflect"
)

// rawSerializer sends bytes as they are. It takes []byte and string, types that
// have them underneath, and pointers to these.
type rawSerializer struct{}

var _ Serializer = rawSerializer{}

// Append appends the bytes of v: []byte, string, a type of that form, or a
// non-nil pointer to one.
func (rawSerializer) Append(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return append(dst, v...), nil
	case *[]byte:
		if v != nil {
			return append(dst, *v...), nil
		}
	case string:
		return append(dst, v...), nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && !r.IsNil() {
		r = r.Elem()
	}
	switch {
	case r.Kind() == reflect.String:
		return append(dst, r.String()...), nil
	case isByteSlice(r):
		return append(dst, r.Bytes()...), nil
	}
	return dst, errNotRaw(v)
}

// Decode copies body into v, a pointer to []byte, to string, or to a type of
// that form. A slice with room is filled in place; an empty body leaves it
// empty, not nil.
func (rawSerializer) Decode(body []byte, v any) error {
	if v, ok := v.(*[]byte); ok && v != nil {
		*v = refill(*v, body)
		return nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return errNotRaw(v)
	}
	switch r = r.Elem(); {
	case r.Kind() == reflect.String:
		r.SetString(string(body))
	case isByteSlice(r):
		r.SetBytes(refill(r.Bytes(), body))
	default:
		return errNotRaw(v)
	}
	return nil
}

func refill(b, body []byte) []byte {
	if b == nil || cap(b) < len(body) {
		b = make([]byte, len(body))
	}
	b = b[:len(body)]
	copy(b, body)
	return b
}

func isByteSlice(r reflect.Value) bool {
	return r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8
}

func errNotRaw(v any) error {
	return fmt.Errorf("the raw serializer takes []byte or string, or a non-nil pointer to one, not %s", typeName(v))
}
