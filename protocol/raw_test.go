package protocol

import (
	"bytes"
	"testing"
)

type (
	namedBytes  []byte
	namedString string
)

func TestRaw(t *testing.T) {
	body := []byte("body")
	pointerTo, namedText, text := namedBytes(body), namedString("body"), "body"
	for _, v := range []any{body, &body, text, &text, pointerTo, &pointerTo, namedText, &namedText} {
		got, err := Marshal(SerializeTypeRaw, []byte("a "), v)
		if err != nil || string(got) != "a body" {
			t.Errorf("Marshal(%T): %q, %v", v, got, err)
		}
	}
	var (
		b  []byte
		nb namedBytes
		s  string
		ns namedString
	)
	lent := []byte("body")
	for _, v := range []any{&b, &nb, &s, &ns} {
		if err := Unmarshal(SerializeTypeRaw, lent, v, 0); err != nil {
			t.Errorf("Unmarshal(%T): %v", v, err)
		}
	}
	clear(lent)
	if string(b) != "body" || string(nb) != "body" || s != "body" || ns != "body" {
		t.Errorf("got %q %q %q %q", b, nb, s, ns)
	}
}

func TestRawDecodeUsesRoom(t *testing.T) {
	room := bytes.Repeat([]byte{'x'}, 8)
	b := room
	if err := Unmarshal(SerializeTypeRaw, []byte("short"), &b, 0); err != nil || string(room[:5]) != "short" || len(b) != 5 {
		t.Errorf("got %q in %q, %v", b, room, err)
	}
	b = nil
	if err := Unmarshal(SerializeTypeRaw, nil, &b, 0); err != nil || b == nil || len(b) != 0 {
		t.Errorf("an empty body: %v, %v", b, err)
	}
}

func TestRawRefuses(t *testing.T) {
	for _, v := range []any{nil, 1, echo{}, &echo{}, (*[]byte)(nil), (*string)(nil), []int{1}} {
		if _, err := Marshal(SerializeTypeRaw, nil, v); err == nil {
			t.Errorf("Marshal(%T): no error", v)
		}
	}
	for _, v := range []any{nil, 1, []byte{1}, "s", &echo{}, (*[]byte)(nil), (*string)(nil), new([]int)} {
		if err := Unmarshal(SerializeTypeRaw, []byte("x"), v, 0); err == nil {
			t.Errorf("Unmarshal(%T): no error", v)
		}
	}
}
