package protocol

import (
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// internedStringID is the extension by which the codec refers back to a string
// of a field with the tag option intern.
const internedStringID = math.MinInt8

// largestKept is the size above which a codec's inner buffer is given to the
// collector instead of to the next call.
const largestKept = 64 << 10

// msgpackSerializer is github.com/vmihailenco/msgpack/v5 behind a check of its
// own, with integers in their shortest form. A value with generated methods of
// github.com/tinylib/msgp goes by them.
type msgpackSerializer struct{}

var (
	_ Serializer     = msgpackSerializer{}
	_ Checker        = msgpackSerializer{}
	_ limitedDecoder = msgpackSerializer{}
)

// msgpMarshaler and msgpUnmarshaler are what tinylib/msgp generates.
type (
	msgpMarshaler   interface{ MarshalMsg([]byte) ([]byte, error) }
	msgpUnmarshaler interface {
		UnmarshalMsg([]byte) ([]byte, error)
	}
)

// Append appends v in msgpack.
func (msgpackSerializer) Append(dst []byte, v any) ([]byte, error) {
	if m, ok := v.(msgpMarshaler); ok {
		if isNilPointer(v) {
			return append(dst, mpNil), nil
		}
		return m.MarshalMsg(dst)
	}
	e := msgpackEncoders.Get().(*msgpackEncoder)
	out, err := e.append(dst, v)
	if err == nil && !e.large {
		msgpackEncoders.Put(e)
	}
	return out, err
}

// Check proves body to be one well-formed msgpack value that v can be decoded
// from within bounds, see Checker.
func (msgpackSerializer) Check(body []byte, v any, maxElements int) error {
	_, err := checkMsgpack(body, v, maxElements)
	return err
}

// Decode decodes body into v. It proves the body to be well formed, but sets no
// limit on its elements.
func (s msgpackSerializer) Decode(body []byte, v any) error {
	return s.decodeLimited(body, v, -1)
}

func (msgpackSerializer) decodeLimited(body []byte, v any, maxElements int) error {
	if r := reflect.ValueOf(v); r.Kind() != reflect.Pointer || r.IsNil() {
		return errNotPointer
	}
	ambiguous, err := checkMsgpack(body, v, maxElements)
	if err != nil {
		return err
	}
	if u, ok := v.(msgpUnmarshaler); ok {
		return decodeMsgp(body, ambiguous, u, v)
	}
	return decodeReflect(body, ambiguous, v)
}

var errNotPointer = errors.New("the target is not a non-nil pointer")

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// checkMsgpack returns the positions of ambiguous extensions, see bodyReader.
func checkMsgpack(body []byte, v any, maxElements int) (ambiguous []int, err error) {
	if (maxElements < 0 || maxElements >= fewElements) && isFlatMsgpack(body) {
		return nil, nil
	}
	return scanMsgpack(body, v, maxElements)
}

// scanMsgpack is checkMsgpack for any body. It is kept out of the frame of those
// who seldom need it: the checks run on the stacks of callers, which are many and
// cold.
//
//go:noinline
func scanMsgpack(body []byte, v any, maxElements int) (ambiguous []int, err error) {
	var s msgpackScan // no literal: that would be made beside it and copied
	s.body, s.limit, s.wanted = body, maxElements, v
	if err := s.run(); err != nil {
		return nil, err
	}
	if s.counts.total() <= fewElements {
		return s.ambiguous, nil
	}
	return s.ambiguous, decodeCostOf(v).check(s.counts, len(body), maxElements)
}

// decodeMsgp decodes by generated methods. These know fewer forms of a value
// than the reflective decoder: nil for a slice, a map or the whole, an integer
// for a float. What they refuse is therefore tried by reflection, into a new value:
// what they left half done, an interface above all, is nothing to decode into.
func decodeMsgp(body []byte, ambiguous []int, u msgpUnmarshaler, v any) error {
	if keepsBody(reflect.TypeOf(v)) {
		body = slices.Clone(body)
	}
	rest, err := u.UnmarshalMsg(body)
	if err == nil && len(rest) > 0 {
		return errTrailing
	}
	if err != nil && decodeAnew(body, ambiguous, v) {
		return nil
	}
	return err
}

// decodeAnew replaces what v points to by what body holds, false when reflection
// cannot read that either.
func decodeAnew(body []byte, ambiguous []int, v any) bool {
	r := reflect.ValueOf(v)
	anew := reflect.New(r.Type().Elem())
	if decodeReflect(body, ambiguous, anew.Interface()) != nil {
		return false
	}
	r.Elem().Set(anew.Elem())
	return true
}

func decodeReflect(body []byte, ambiguous []int, v any) error {
	d := msgpackDecoders.Get().(*msgpackDecoder)
	err := d.decode(body, ambiguous, v)
	// After an error the codec may still be recording what it reads.
	if err == nil && !d.in.large {
		msgpackDecoders.Put(d)
	}
	return err
}

// The codec's own pools are not used: with ours, encoder and writer, decoder
// and reader, are one object and no call allocates. A codec that panicked never
// comes back here.
var (
	msgpackEncoders = sync.Pool{New: func() any { return newMsgpackEncoder() }}
	msgpackDecoders = sync.Pool{New: func() any { return newMsgpackDecoder() }}
)

// msgpackEncoder is the codec's encoder together with what it writes to: the
// caller's slice.
type msgpackEncoder struct {
	codec *msgpack.Encoder
	out   []byte
	large bool // the codec may hold a buffer above largestKept
}

func newMsgpackEncoder() *msgpackEncoder {
	return &msgpackEncoder{codec: msgpack.NewEncoder(nil)}
}

func (e *msgpackEncoder) append(dst []byte, v any) ([]byte, error) {
	e.out = dst
	// A user's EncodeMsgpack may have changed the codec's options: all are set
	// anew for each value.
	e.codec.Reset(e)
	e.codec.UseCompactInts(true)
	err := e.codec.Encode(v)
	out := e.out
	e.out = nil
	e.codec.ResetWriter(nil)
	return out, err
}

// Write appends b.
func (e *msgpackEncoder) Write(b []byte) (int, error) {
	if len(b) > largestKept {
		e.large = true
	}
	e.out = append(e.out, b...)
	return len(b), nil
}

// WriteByte appends c.
func (e *msgpackEncoder) WriteByte(c byte) error {
	e.out = append(e.out, c)
	return nil
}

// msgpackDecoder is the codec's decoder together with what it reads from.
type msgpackDecoder struct {
	codec *msgpack.Decoder
	in    bodyReader
}

func newMsgpackDecoder() *msgpackDecoder {
	return &msgpackDecoder{codec: msgpack.NewDecoder(nil)}
}

func (d *msgpackDecoder) decode(body []byte, ambiguous []int, v any) error {
	d.in = bodyReader{body: body, ambiguous: ambiguous}
	d.codec.Reset(&d.in)
	err := d.codec.Decode(v)
	if err == nil && d.in.pos != len(body) {
		err = errTrailing
	}
	d.in.body, d.in.ambiguous = nil, nil
	return err
}

// bodyReader gives the codec a body that the check has passed, and keeps the two
// in step. Where the codec wants a map and finds an extension, it takes the
// extension's payload for the map: counts in it were never checked, and all that
// follows is read from the wrong place. It reads a payload byte by byte only
// then, so a single byte asked for at the payload of an extension that reads as
// a map is refused.
type bodyReader struct {
	body      []byte
	pos       int
	ambiguous []int // ascending positions
	large     bool  // the codec may hold a buffer above largestKept
}

var (
	errAmbiguous = errors.New("an extension stands where a map is wanted")
	errUnread    = errors.New("nothing was read yet")
)

// ReadByte reads one byte.
func (r *bodyReader) ReadByte() (byte, error) {
	if r.pos >= len(r.body) {
		return 0, io.ErrUnexpectedEOF
	}
	if r.ambiguous != nil {
		if _, found := slices.BinarySearch(r.ambiguous, r.pos); found {
			return 0, errAmbiguous
		}
	}
	c := r.body[r.pos]
	r.pos++
	return c, nil
}

// UnreadByte takes the last byte back.
func (r *bodyReader) UnreadByte() error {
	if r.pos == 0 {
		return errUnread
	}
	r.pos--
	return nil
}

// Read copies what is there.
func (r *bodyReader) Read(p []byte) (int, error) {
	if r.pos >= len(r.body) {
		return 0, io.EOF
	}
	if len(p) > largestKept {
		r.large = true
	}
	n := copy(p, r.body[r.pos:])
	r.pos += n
	return n, nil
}
