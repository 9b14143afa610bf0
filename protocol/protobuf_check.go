package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// errMalformedField is a tag or a value that is no protobuf.
var errMalformedField = errors.New("a field is malformed")

// Check proves body to be well-formed protobuf for the message v: lengths within
// what remains, groups closed, at most MaxDepth deep, a bounded number of
// fields and elements, see Checker.
func (protobufSerializer) Check(body []byte, v any, maxElements int) error {
	m, ok := v.(proto.Message)
	if !ok || isNilPointer(v) {
		return errNotMessage(v)
	}
	message := m.ProtoReflect()
	s := protobufScan{body: body, limit: maxElements}
	if err := s.run(message.Descriptor()); err != nil {
		return err
	}
	return messageCostOf(message).check(s.counts, len(body), maxElements)
}

// openMessage is a message or group that the pass is in.
type openMessage struct {
	descriptor protoreflect.MessageDescriptor // nil for a group that is not known
	end        int                            // where its bytes end
	group      protowire.Number               // the group's field, 0 for a message
}

// protobufScan is the pass over one message, guided by its descriptor: without
// it, bytes that hold a message cannot be told from other bytes.
type protobufScan struct {
	body   []byte
	pos    int
	limit  int // of elements; negative is none
	counts elementCounts
	in     openMessage
	outer  []openMessage
}

func (s *protobufScan) run(d protoreflect.MessageDescriptor) error {
	var shallow [8]openMessage
	s.outer = shallow[:0]
	s.in = openMessage{descriptor: d, end: len(s.body)}
	for {
		for s.pos == s.in.end && s.in.group == 0 {
			if len(s.outer) == 0 {
				return nil
			}
			s.leave()
		}
		if err := s.field(); err != nil {
			return err
		}
		if s.limit >= 0 && s.counts.total() > s.limit {
			return fmt.Errorf("%w: more than %d", ErrTooManyElements, s.limit)
		}
	}
}

func (s *protobufScan) enter(m openMessage) error {
	if len(s.outer) == MaxDepth-1 {
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	s.outer = append(s.outer, s.in)
	s.in = m
	s.counts.containers++
	return nil
}

func (s *protobufScan) leave() {
	s.in = s.outer[len(s.outer)-1]
	s.outer = s.outer[:len(s.outer)-1]
}

// field steps over one field, or into it.
func (s *protobufScan) field() error {
	number, kind, n := protowire.ConsumeTag(s.body[s.pos:s.in.end])
	if n < 0 {
		return fmt.Errorf("%w: %w", errMalformedField, protowire.ParseError(n))
	}
	s.pos += n
	s.counts.elements++
	switch kind {
	case protowire.StartGroupType:
		g := openMessage{end: s.in.end, group: number}
		if f := s.lookup(number); f != nil && f.Kind() == protoreflect.GroupKind {
			g.descriptor = f.Message()
		}
		return s.enter(g)
	case protowire.EndGroupType:
		if s.in.group != number {
			return fmt.Errorf("%w: group %d ends without having begun", errMalformedField, number)
		}
		s.leave()
		return nil
	case protowire.BytesType:
		return s.lengthDelimited(number)
	}
	n = protowire.ConsumeFieldValue(number, kind, s.body[s.pos:s.in.end])
	if n < 0 {
		return fmt.Errorf("%w: %w", errMalformedField, protowire.ParseError(n))
	}
	s.pos += n
	return nil
}

func (s *protobufScan) lengthDelimited(number protowire.Number) error {
	content, n := protowire.ConsumeBytes(s.body[s.pos:s.in.end])
	if n < 0 {
		return errTruncated
	}
	end := s.pos + n
	f := s.lookup(number)
	if f != nil && f.Kind() == protoreflect.MessageKind {
		s.pos = end - len(content)
		if f.IsMap() {
			s.counts.entries++
		}
		return s.enter(openMessage{descriptor: f.Message(), end: end})
	}
	if f != nil && f.IsList() {
		s.counts.elements += packedElements(f.Kind(), content)
	}
	s.pos = end
	return nil
}

// lookup finds the field, or the extension that is linked in, or nil.
func (s *protobufScan) lookup(number protowire.Number) protoreflect.FieldDescriptor {
	d := s.in.descriptor
	if d == nil {
		return nil
	}
	if f := d.Fields().ByNumber(number); f != nil {
		return f
	}
	if d.ExtensionRanges().Has(number) {
		if x, err := protoregistry.GlobalTypes.FindExtensionByNumber(d.FullName(), number); err == nil {
			return x.TypeDescriptor()
		}
	}
	return nil
}

// packedElements counts the elements of a repeated field in its packed form,
// from above: a list of strings is never packed.
func packedElements(kind protoreflect.Kind, content []byte) int {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return 0
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return len(content) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return len(content) / 8
	}
	n := 0
	for _, c := range content {
		if c < 0x80 { // the last byte of a varint
			n++
		}
	}
	return n
}

// Sizes from above, in bytes, of what protobuf makes of parts of a message.
const (
	protobufElement = 48  // a string in a list that has grown, or a oneof's wrapper
	protobufSlot    = 40  // a pointer in a list that has grown, and the allocator's rounding
	dynamicMessage  = 512 // a message without generated code keeps its fields in a map
	protobufMap     = mapHeaderSize + mapGroupSlots*(interfaceSize+interfaceSize)
)

var messageCosts sync.Map // reflect.Type of a generated message to *decodeCost

// messageCostOf returns the cost of decoding into message, from the sizes of all
// the message types within it. It is computed once for a generated type.
func messageCostOf(message protoreflect.Message) *decodeCost {
	t := reflect.TypeOf(message.Interface())
	if c, ok := messageCosts.Load(t); ok {
		return c.(*decodeCost)
	}
	w := messageWalk{seen: make(map[protoreflect.FullName]bool)}
	w.visit(message.Type().New())
	c := &decodeCost{
		element:   protobufElement,
		container: w.largest + protobufSlot,
		entry:     protobufMap,
	}
	if !w.dynamic {
		messageCosts.Store(t, c)
	}
	return c
}

type messageWalk struct {
	seen    map[protoreflect.FullName]bool
	largest uint64
	dynamic bool // a type without generated code: the Go type says nothing of it
}

func (w *messageWalk) visit(m protoreflect.Message) {
	d := m.Descriptor()
	if w.seen[d.FullName()] {
		return
	}
	w.seen[d.FullName()] = true
	t := reflect.TypeOf(m.Interface()).Elem()
	if t.PkgPath() == "google.golang.org/protobuf/types/dynamicpb" {
		w.dynamic = true
		w.largest = max(w.largest, dynamicMessage)
	}
	w.largest = max(w.largest, uint64(t.Size()))
	for i := range d.Fields().Len() {
		if sub := newSubMessage(m, d.Fields().Get(i)); sub != nil {
			w.visit(sub)
		}
	}
}

// newSubMessage makes an empty message of the type that field f holds, or nil if
// it holds none.
func newSubMessage(m protoreflect.Message, f protoreflect.FieldDescriptor) protoreflect.Message {
	switch {
	case f.IsMap():
		if f.MapValue().Message() == nil {
			return nil
		}
		return m.NewField(f).Map().NewValue().Message()
	case f.Message() == nil:
		return nil
	case f.IsList():
		return m.NewField(f).List().NewElement().Message()
	}
	return m.NewField(f).Message()
}
