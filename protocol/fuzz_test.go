package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// fuzzElements is the limit of elements in fuzzing: small, so that the bound is
// met.
const fuzzElements = 2000

// addSeeds adds real messages encoded by st, and the bombs that are short.
func addSeeds(f *testing.F, st SerializeType, values ...any) {
	for _, v := range values {
		body, err := Marshal(st, nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, file := range bombFiles(f) {
		if body := readBomb(f, file); len(body) < 4096 && strings.Contains(file, "/"+st.String()+"_") {
			f.Add(body)
		}
	}
}

func seedValues() []any {
	full := sampleRecords()["full"]
	plain := plainOf(full)
	return []any{
		&echo{7, []byte("hello")}, &full, &plain, []int64{1, -1, 1 << 40}, "text", nil,
		map[string]any{"k": []any{1.5, nil, true, "s"}},
		[]bigStruct{{ID: 1}}, &linkedStruct{Next: &linkedStruct{}},
	}
}

// FuzzMsgpackCheck decodes what the check passes, into types that trust it
// differently; and holds the check to pass whatever the codec reads whole.
func FuzzMsgpackCheck(f *testing.F) {
	addSeeds(f, SerializeTypeMsgpack, seedValues()...)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, target := range bombTargets {
			v := target()
			err := Unmarshal(SerializeTypeMsgpack, body, v, fuzzElements)
			if contained := new(PanicError); errors.As(err, &contained) && !codecPanics(v) {
				t.Errorf("into %T: %v", v, err)
			}
		}
		if isFlatMsgpack(body) {
			if ambiguous, err := scanMsgpack(body, new(any), fewElements); err != nil || ambiguous != nil {
				t.Errorf("%x counts as flat; the whole pass says %v, %v", body, ambiguous, err)
			}
		}
		if len(body) > 4096 || strconv.IntSize == 32 {
			return // the codec's Skip recurses, and takes long lengths for negative ones where an int has 32 bits
		}
		in := &bodyReader{body: body}
		_, checkErr := checkMsgpack(body, new(any), -1)
		err := msgpack.NewDecoder(in).Skip()
		if whole := err == nil && in.pos == len(body); whole != (checkErr == nil) && !errors.Is(checkErr, ErrTooDeep) {
			t.Errorf("the check says %v, the codec reads %d of %d bytes and says %v", checkErr, in.pos, len(body), err)
		}
	})
}

// codecPanics reports whether the codec is known to panic for some bodies: for
// keys that cannot be hashed, and for fields of interfaces that have methods.
func codecPanics(v any) bool {
	switch v.(type) {
	case *map[any]any, proto.Message:
		return true
	}
	return false
}

// FuzzJSONCheck does the same for JSON.
func FuzzJSONCheck(f *testing.F) {
	addSeeds(f, SerializeTypeJSON, seedValues()...)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, target := range bombTargets {
			v := target()
			err := Unmarshal(SerializeTypeJSON, body, v, fuzzElements)
			if contained := new(PanicError); errors.As(err, &contained) {
				t.Errorf("into %T: %v", v, err)
			}
		}
		err := jsonSerializer{}.Check(body, new(any), -1)
		if json.Valid(body) && err != nil && !errors.Is(err, ErrTooDeep) {
			t.Errorf("valid JSON: %v", err)
		}
	})
}

// FuzzProtobufCheck does the same for protobuf.
func FuzzProtobufCheck(f *testing.F) {
	s, err := structpb.NewStruct(map[string]any{"n": 1.5, "list": []any{"a", nil}, "m": map[string]any{"k": "v"}})
	if err != nil {
		f.Fatal(err)
	}
	addSeeds(f, SerializeTypeProtobuf, s, s.Fields["list"].GetListValue(), structpb.NewStringValue("s"),
		&descriptorpb.FileDescriptorProto{Name: proto.String("f"), PublicDependency: []int32{1, 2},
			MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("m")}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range []proto.Message{
			new(structpb.Struct), new(structpb.ListValue), new(structpb.Value),
			new(descriptorpb.FileDescriptorProto), new(descriptorpb.FileOptions),
		} {
			err := Unmarshal(SerializeTypeProtobuf, body, m, fuzzElements)
			if contained := new(PanicError); errors.As(err, &contained) {
				t.Errorf("into %T: %v", m, err)
			}
			checkErr := protobufSerializer{}.Check(body, m, -1)
			if err := proto.Unmarshal(body, m); err == nil && checkErr != nil && !errors.Is(checkErr, ErrTooDeep) {
				t.Errorf("%T decodes, but: %v", m, checkErr)
			}
		}
	})
}

// FuzzInflate inflates by each compressor, and what was inflated is compressed
// and inflated again.
func FuzzInflate(f *testing.F) {
	for _, ct := range allCompressors {
		for _, src := range payloads() {
			if len(src) > 1<<10 {
				continue // what is interesting of a large input takes a minute to make small
			}
			packed, err := Compress(ct, nil, src)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(ct), packed)
		}
	}
	f.Add(uint8(CompressTypeZstd), zstdDeclaring(1<<30))
	const limit = 64 << 10
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		ct := allCompressors[int(n)%len(allCompressors)]
		got, err := Inflate(ct, []byte("before"), body, limit)
		if contained := new(PanicError); errors.As(err, &contained) {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(got, []byte("before")) || len(got) > limit+6 || err != nil && len(got) != 6 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		packed, err := Compress(ct, nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Inflate(ct, nil, packed, len(got)); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("compressed and inflated: %d of %d bytes, %v", len(again), len(got), err)
		}
	})
}
