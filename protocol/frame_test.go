package protocol

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestParsePrefixWaitsForAllOfIt(t *testing.T) {
	frame := AppendFrame(nil, &Header{ServiceName: "S", MethodName: "M"}, []byte("body"))
	for n := range frame {
		p, ok, err := ParsePrefix(frame[:n])
		if err != nil || ok != (n >= PrefixLen) {
			t.Errorf("of %d bytes: %+v, %v, %v", n, p, ok, err)
		}
	}
	if p, ok, err := ParsePrefix(append(frame, "next"...)); !ok || err != nil || p.BodyLen != 4 || PrefixLen+p.HeaderLen+p.BodyLen != len(frame) {
		t.Errorf("with what follows: %+v, %v, %v", p, ok, err)
	}
}

func TestParsePrefixRefuses(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        error
		says        string
	}{
		{"a first byte that is not ours", "G", ErrBadMagic, "TLS"},
		{"a second byte that is not ours", "\xab\xbb", ErrBadMagic, "abbb"},
		{"HTTP", "GET / HTTP/1.1\r\n", ErrBadMagic, "47455420"},
		{"a TLS hello", "\x16\x03\x01\x02\x00", ErrBadMagic, "both with TLS"},
		{"version 1, as soon as it is there", "\xab\xba\x01", ErrVersion, "version 1; this side speaks 0"},
		{"a total length below 4", "\xab\xba\x00\x00\x00\x00\x03\x00\x00\x00\x00", ErrMalformed, "total length 3"},
		{"a header beyond the total length", "\xab\xba\x00\x00\x00\x00\x10\x00\x00\x00\x0d", ErrMalformed, "header length 13"},
		{"a header above 64 KiB", "\xab\xba\x00\x00\x10\x00\x00\x00\x01\x00\x01", ErrMalformed, "header length 65537"},
		{"a header of 4 GiB", "\xab\xba\x00\xff\xff\xff\xff\xff\xff\xff\xff", ErrMalformed, "header length 4294967295"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, ok, err := ParsePrefix([]byte(tt.bytes))
			if ok || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, %v, want %v that says %q", ok, err, tt.want, tt.says)
			}
		})
	}
}

func TestParsePrefixTakesTheLargestFrame(t *testing.T) {
	p, ok, err := ParsePrefix([]byte("\xab\xba\x00\xff\xff\xff\xff\x00\x01\x00\x00"))
	if strconv.IntSize == 32 {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("more than an int holds: %+v, %v, %v", p, ok, err)
		}
		return
	}
	if p.HeaderLen != MaxHeaderLen || uint64(p.BodyLen) != math.MaxUint32-4-MaxHeaderLen || !ok || err != nil {
		t.Errorf("%+v, %v, %v", p, ok, err)
	}
}

func TestAppendFrameHeadLeavesTheBodyToTheSender(t *testing.T) {
	h := &Header{Seq: 9, ServiceName: "S", MethodName: "M"}
	head := AppendFrameHead([]byte("before"), h, 5)
	if whole := AppendFrame([]byte("before"), h, []byte("bytes")); string(whole) != string(head)+"bytes" {
		t.Errorf("%x\n%x", whole, head)
	}
}

// FuzzFrame parses whatever comes as a stream of frames. What it takes, it can
// write: the header says the same when it is read again.
func FuzzFrame(f *testing.F) {
	for _, g := range goldenFrames {
		f.Add(g.frame())
		f.Add(append(g.frame(), g.frame()...))
	}
	f.Add([]byte("\xab\xba\x00\xff\xff\xff\xff\x00\x00\x00\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			p, ok, err := ParsePrefix(b)
			if err != nil {
				mustBeTyped(t, err)
				return
			}
			if !ok {
				if len(b) >= PrefixLen {
					t.Fatalf("%d bytes are not enough to tell", len(b))
				}
				return
			}
			if p.HeaderLen < 0 || p.HeaderLen > MaxHeaderLen || p.BodyLen < 0 {
				t.Fatalf("%+v", p)
			}
			size := PrefixLen + p.HeaderLen + p.BodyLen
			if len(b) < size {
				return
			}
			frameAgain(t, b[PrefixLen:PrefixLen+p.HeaderLen], b[PrefixLen+p.HeaderLen:size])
			b = b[size:]
		}
	})
}

func mustBeTyped(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrBadMagic) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrMalformed) {
		t.Fatalf("an error without a type: %v", err)
	}
}

func frameAgain(t *testing.T, head, body []byte) {
	var h, again Header
	if err := ParseHeader(head, &h, nil); err != nil {
		mustBeTyped(t, err)
		return
	}
	frame := AppendFrame(nil, &h, body)
	p, ok, err := ParsePrefix(frame)
	if err != nil && p.HeaderLen <= MaxHeaderLen { // 64 KiB of short forms may be longer when written
		if len(frame) < MaxHeaderLen {
			t.Fatalf("%+v: what was written cannot be read: %v", h, err)
		}
		return
	}
	if !ok || p.BodyLen != len(body) || !bytes.Equal(frame[PrefixLen+p.HeaderLen:], body) {
		t.Fatalf("%+v: prefix %+v, %v for a body of %d bytes", h, p, ok, len(body))
	}
	if err := ParseHeader(frame[PrefixLen:PrefixLen+p.HeaderLen], &again, nil); err != nil {
		t.Fatalf("%+v: %v", h, err)
	}
	h.Error = cutText(h.Error, MaxErrorLen)
	if !reflect.DeepEqual(h, again) {
		t.Fatalf("read  %+v\nagain %+v", h, again)
	}
}
