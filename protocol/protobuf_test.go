package protocol

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestProtobufRoundTrip(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"n": 1.5, "list": []any{"a", nil, true}, "m": map[string]any{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	file := protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto)
	for name, m := range map[string]proto.Message{"struct": s, "descriptor": file, "empty": new(structpb.Struct)} {
		t.Run(name, func(t *testing.T) {
			body, err := Marshal(SerializeTypeProtobuf, []byte("p"), m)
			if err != nil {
				t.Fatal(err)
			}
			got := m.ProtoReflect().New().Interface()
			if err := Unmarshal(SerializeTypeProtobuf, body[1:], got, 0); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, m) {
				t.Errorf("got %v, want %v", got, m)
			}
			dynamic := dynamicpb.NewMessage(m.ProtoReflect().Descriptor())
			if err := Unmarshal(SerializeTypeProtobuf, body[1:], dynamic, 0); err != nil {
				t.Errorf("without generated code: %v", err)
			}
		})
	}
}

func TestProtobufDecodeResets(t *testing.T) {
	got := durationpb.Duration{Seconds: 5}
	if err := Unmarshal(SerializeTypeProtobuf, nil, &got, 0); err != nil || got.Seconds != 0 {
		t.Errorf("got %v, %v", got.Seconds, err)
	}
}

func nestedLists(depth int) []byte {
	var body []byte
	for range depth / 2 { // a ListValue holds Values, a Value holds a ListValue
		body = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), body)
		body = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
	}
	return body
}

func TestProtobufCheck(t *testing.T) {
	packed := func(n int) []byte { // FileDescriptorProto.public_dependency, an int32 list
		return protowire.AppendBytes(protowire.AppendTag(nil, 10, protowire.BytesType), make([]byte, n))
	}
	tests := []struct {
		name string
		body []byte
		max  int
		v    any
		want error
		fail bool
	}{
		{"as deep as allowed", nestedLists(MaxDepth - 2), 0, new(structpb.ListValue), nil, false},
		{"too deep", nestedLists(MaxDepth + 2), 0, new(structpb.ListValue), ErrTooDeep, true},
		{"too many fields", bytes.Repeat([]byte{8, 1}, 4), 3, new(durationpb.Duration), ErrTooManyElements, true},
		{"as many as allowed", bytes.Repeat([]byte{8, 1}, 3), 3, new(durationpb.Duration), nil, false},
		{"too many packed", packed(10), 5, new(descriptorpb.FileDescriptorProto), ErrTooManyElements, true},
		{"packed", packed(10), 11, new(descriptorpb.FileDescriptorProto), nil, false},
		{"unknown groups", []byte{0x0b, 0x13, 8, 1, 0x14, 0x0c}, 0, new(durationpb.Duration), nil, false},
		{"open group", []byte{0x0b}, 0, new(structpb.ListValue), errMalformedField, true},
		{"crossed groups", []byte{0x0b, 0x13, 0x0c, 0x14}, 0, new(structpb.ListValue), errMalformedField, true},
		{"group closed alone", []byte{0x0c}, 0, new(structpb.ListValue), errMalformedField, true},
		{"length beyond the end", []byte{0x0a, 5, 0}, 0, new(structpb.ListValue), errTruncated, true},
		{"field zero", []byte{0, 0}, 0, new(structpb.ListValue), errMalformedField, true},
		{"half a number", []byte{0x09, 1}, 0, new(durationpb.Duration), errMalformedField, true},
		{"no message", nil, 0, new(echo), nil, true},
		{"a nil message", nil, 0, (*durationpb.Duration)(nil), nil, true},
		{"nil", nil, 0, nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Unmarshal(SerializeTypeProtobuf, test.body, test.v, test.max)
			if (err != nil) != test.fail || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := Marshal(SerializeTypeProtobuf, nil, &echo{}); err == nil {
		t.Error("a plain struct was encoded")
	}
}
