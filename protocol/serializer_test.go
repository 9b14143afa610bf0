package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

type echo struct {
	ID   int64
	Body []byte
}

func TestMarshalUnmarshal(t *testing.T) {
	for _, st := range []SerializeType{SerializeTypeMsgpack, SerializeTypeJSON} {
		t.Run(st.String(), func(t *testing.T) {
			b, err := Marshal(st, []byte("prefix"), &echo{7, []byte("hello")})
			if err != nil || !bytes.HasPrefix(b, []byte("prefix")) {
				t.Fatalf("Marshal: %q, %v", b, err)
			}
			var got echo
			if err := Unmarshal(st, b[len("prefix"):], &got, 0); err != nil {
				t.Fatal(err)
			}
			if got.ID != 7 || string(got.Body) != "hello" {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

// upperText is a serializer that a user might bring: upper case on the wire.
type upperText struct{}

func (upperText) Append(dst []byte, v any) ([]byte, error) {
	return append(dst, strings.ToUpper(*v.(*string))...), nil
}
func (upperText) Decode(body []byte, v any) error {
	*v.(*string) = strings.ToLower(string(body))
	return nil
}

// checkedText is the same, and refuses bodies of more than maxElements bytes.
type checkedText struct{ upperText }

func (checkedText) Check(body []byte, _ any, maxElements int) error {
	if maxElements >= 0 && len(body) > maxElements {
		return ErrTooManyElements
	}
	return nil
}

func TestRegisterSerializer(t *testing.T) {
	const mine = 200
	for name, test := range map[string]struct {
		t    SerializeType
		name string
		s    Serializer
	}{
		"reserved":     {FirstUserSerializer - 1, "x", upperText{}},
		"builtin":      {SerializeTypeMsgpack, "x", upperText{}},
		"nil":          {mine, "x", nil},
		"no name":      {mine, "", upperText{}},
		"builtin name": {mine, "json", upperText{}},
	} {
		if err := RegisterSerializer(test.t, test.name, test.s); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
	if _, ok := SerializerOf(mine); ok {
		t.Fatal("a refused serializer is there")
	}
	if err := RegisterSerializer(mine, "upper", checkedText{}); err != nil {
		t.Fatal(err)
	}
	if err := RegisterSerializer(mine, "other", upperText{}); err == nil {
		t.Error("a number was registered twice")
	}
	if err := RegisterSerializer(mine+1, "upper", upperText{}); err == nil {
		t.Error("a name was registered twice")
	}
	text := "text"
	body, err := Marshal(mine, []byte("a"), &text)
	if err != nil || string(body) != "aTEXT" {
		t.Errorf("Marshal: %q, %v", body, err)
	}
	var got string
	if err := Unmarshal(mine, body, &got, 0); err != nil || got != "atext" {
		t.Errorf("Unmarshal: %q, %v", got, err)
	}
	if err := Unmarshal(mine, body, &got, 4); !errors.Is(err, ErrTooManyElements) {
		t.Errorf("its Check was not asked: %v", err)
	}
	contained := new(PanicError)
	if err := Unmarshal(mine, body, new(int), 0); !errors.As(err, &contained) || errors.Unwrap(contained) == nil {
		t.Errorf("a panic in it: %v", err)
	}
	if got := SerializerName(mine); got != "upper" {
		t.Errorf("its name is %q", got)
	}
}

func TestUnknownSerializer(t *testing.T) {
	for _, st := range []SerializeType{4, 15, 16, 255} {
		dst, err := Marshal(st, []byte("kept"), 1)
		if !errors.Is(err, ErrUnknownSerializer) || string(dst) != "kept" {
			t.Errorf("Marshal by %d: %q, %v", st, dst, err)
		}
		if err := Unmarshal(st, nil, new(int), 0); !errors.Is(err, ErrUnknownSerializer) {
			t.Errorf("Unmarshal by %d: %v", st, err)
		}
	}
	if err := Unmarshal(77, nil, new(int), 0); !strings.Contains(err.Error(), "77") {
		t.Errorf("%v does not name the number", err)
	}
}

func TestSerializerNames(t *testing.T) {
	for st, want := range map[SerializeType]string{0: "msgpack", 1: "json", 2: "protobuf", 3: "raw", 4: "serializer(4)", 255: "serializer(255)"} {
		if got := SerializerName(st); got != want || st.String() != want {
			t.Errorf("%d is %q, want %q", uint8(st), got, want)
		}
	}
}

// TestMsgpackAllocates holds the codec to what the user's value needs.
func TestMsgpackAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is pooled")
	}
	for _, n := range []int{16, 1 << 10, 64 << 10} {
		v := &echo{1 << 40, bytes.Repeat([]byte{'x'}, n)}
		dst, err := Marshal(SerializeTypeMsgpack, nil, v)
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Clone(dst)
		if got := testing.AllocsPerRun(100, func() {
			if _, err := Marshal(SerializeTypeMsgpack, dst[:0], v); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%d bytes: %v allocations to encode", n, got)
		}
		var into echo
		if got := testing.AllocsPerRun(100, func() {
			into = echo{}
			if err := Unmarshal(SerializeTypeMsgpack, body, &into, 0); err != nil {
				t.Fatal(err)
			}
		}); got != 1 {
			t.Errorf("%d bytes: %v allocations to decode, want the Body alone", n, got)
		}
		if got := testing.AllocsPerRun(100, func() {
			if err := Unmarshal(SerializeTypeMsgpack, body, &into, 0); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%d bytes: %v allocations to decode into a value with room", n, got)
		}
	}
}

func BenchmarkMsgpack(b *testing.B) {
	for _, n := range []int{16, 1 << 10, 64 << 10} {
		v := &echo{1 << 40, bytes.Repeat([]byte{'x'}, n)}
		body, err := Marshal(SerializeTypeMsgpack, nil, v)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, 0, len(body))
		name := map[int]string{16: "16B", 1 << 10: "1KiB", 64 << 10: "64KiB"}[n]
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Marshal(SerializeTypeMsgpack, dst[:0], v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("check/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := checkMsgpack(body, v, DefaultMaxElements); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var got echo
				if err := Unmarshal(SerializeTypeMsgpack, body, &got, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
