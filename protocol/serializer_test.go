package protocol

import (
	"bytes"
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
