package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

var allCompressors = []CompressType{CompressTypeGzip, CompressTypeSnappy, CompressTypeZstd}

func payloads() map[string][]byte {
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	return map[string][]byte{
		"empty":        {},
		"one byte":     {'x'},
		"short":        []byte("hello, hello, hello"),
		"random":       random,
		"zeros 1 KiB":  make([]byte, 1<<10),
		"zeros 3 MiB":  make([]byte, 3<<20),
		"text 700 KiB": []byte(strings.Repeat("all work and no play ", 700<<10/21)),
	}
}

func TestCompressors(t *testing.T) {
	for _, ct := range append(allCompressors, CompressTypeNone) {
		for name, src := range payloads() {
			t.Run(ct.String()+"/"+name, func(t *testing.T) {
				packed, err := Compress(ct, []byte("before"), src)
				if err != nil || !bytes.HasPrefix(packed, []byte("before")) {
					t.Fatalf("Compress: %v", err)
				}
				packed = packed[len("before"):]
				got, err := Inflate(ct, []byte("before"), packed, len(src))
				if err != nil || string(got[:6]) != "before" || !bytes.Equal(got[6:], src) {
					t.Fatalf("Inflate: %d bytes, %v", len(got)-6, err)
				}
				if len(src) == 0 {
					return
				}
				got, err = Inflate(ct, []byte("before"), packed, len(src)-1)
				if !errors.Is(err, ErrInflatedTooLarge) || string(got) != "before" {
					t.Errorf("one byte less allowed: %d bytes, %v", len(got), err)
				}
				for _, limit := range []int{0, -1, math.MinInt / 2} {
					if _, err = Inflate(ct, nil, packed, limit); !errors.Is(err, ErrInflatedTooLarge) {
						t.Errorf("%d allowed: %v", limit, err)
					}
				}
			})
		}
	}
}

func TestCorruptCompression(t *testing.T) {
	for _, ct := range allCompressors {
		packed, err := Compress(ct, nil, []byte(strings.Repeat("some text ", 100)))
		if err != nil {
			t.Fatal(err)
		}
		for name, src := range map[string][]byte{
			"nothing": nil, "garbage": []byte("garbage of some length"), "half": packed[:len(packed)/2],
			"one more byte": append(bytes.Clone(packed), 'x'),
		} {
			got, err := Inflate(ct, []byte("before"), src, 1<<20)
			if !errors.Is(err, ErrCorruptCompression) || string(got) != "before" {
				t.Errorf("%s, %s: %d bytes, %v", ct, name, len(got), err)
			}
		}
	}
}

// TestSizesAreNotBelieved measures what bodies allocate that are small and
// declare much, or inflate to much.
func TestSizesAreNotBelieved(t *testing.T) {
	const limit = 64 << 20
	lies := map[string]struct {
		t    CompressType
		body []byte
		want error
	}{
		"snappy declares 60 MiB": {CompressTypeSnappy, append(binary.AppendUvarint(nil, 60<<20), 0, 'x'), ErrCorruptCompression},
		"snappy declares 4 GiB":  {CompressTypeSnappy, append(binary.AppendUvarint(nil, 1<<32-1), 0, 'x'), ErrInflatedTooLarge},
		"zstd declares 60 MiB":   {CompressTypeZstd, zstdDeclaring(60 << 20), ErrCorruptCompression},
		"zstd declares 2^60":     {CompressTypeZstd, zstdDeclaring(1 << 60), ErrInflatedTooLarge},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			got := allocated(func() {
				if _, err := Inflate(lie.t, nil, lie.body, limit); !errors.Is(err, lie.want) {
					t.Errorf("got %v, want %v", err, lie.want)
				}
			})
			if got > 4<<20 {
				t.Errorf("%d KiB allocated for %d bytes", got>>10, len(lie.body))
			}
		})
	}
	for _, ct := range allCompressors {
		t.Run(ct.String()+" bomb", func(t *testing.T) {
			bomb, err := Compress(ct, nil, make([]byte, 16<<20))
			if err != nil {
				t.Fatal(err)
			}
			const allowed = 1 << 20
			got := allocated(func() {
				if _, err := Inflate(ct, nil, bomb, allowed); !errors.Is(err, ErrInflatedTooLarge) {
					t.Errorf("got %v", err)
				}
			})
			if got > 4*allowed {
				t.Errorf("%d KiB allocated, %d KiB allowed", got>>10, allowed>>10)
			}
		})
	}
}

// zstdDeclaring is a frame that declares a content of n bytes and has one block
// of a single byte.
func zstdDeclaring(n uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x58} // content size in 8 bytes, a window
	b = binary.LittleEndian.AppendUint64(b, n)
	return append(b, 0x09, 0, 0, 'x') // the last block, raw, of one byte
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestZstdWithoutDeclaredSize inflates what a streaming encoder wrote, and
// several frames in a row.
func TestZstdWithoutDeclaredSize(t *testing.T) {
	want := bytes.Repeat([]byte("stream "), 100<<10)
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.Reset(&packed)
	}
	got, err := Inflate(CompressTypeZstd, nil, packed.Bytes(), 2*len(want))
	if err != nil || !bytes.Equal(got, append(bytes.Clone(want), want...)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if _, err := Inflate(CompressTypeZstd, nil, packed.Bytes(), 2*len(want)-1); !errors.Is(err, ErrInflatedTooLarge) {
		t.Errorf("one byte less allowed: %v", err)
	}
}

func TestSnappyIsSnappy(t *testing.T) {
	for name, src := range payloads() {
		packed, err := Compress(CompressTypeSnappy, nil, src)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s2.DecodedLen(packed); err != nil || n != len(src) {
			t.Errorf("%s declares %d of %d bytes, %v", name, n, len(src), err)
		}
		if n := len(src); n > snappyRatio*len(packed) {
			t.Errorf("%s: a ratio of %d, more than %d", name, n/len(packed), snappyRatio)
		}
	}
}

// TestCodecsInBubbles runs every codec in two bubbles and outside: what is kept
// between calls must not belong to a bubble.
func TestCodecsInBubbles(t *testing.T) {
	use := func(t *testing.T) {
		for _, ct := range allCompressors {
			src := bytes.Repeat([]byte("bubble "), 50<<10)
			packed, err := Compress(ct, nil, src)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Inflate(ct, nil, packed, len(src)); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("%s: %v", ct, err)
			}
		}
		for _, st := range []SerializeType{SerializeTypeMsgpack, SerializeTypeJSON} {
			body, err := Marshal(st, nil, &linkedStruct{Next: &linkedStruct{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := Unmarshal(st, body, new(linkedStruct), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	synctest.Test(t, use)
	synctest.Test(t, use)
	use(t)
}

type reverser struct{}

func (reverser) Append(dst, src []byte) ([]byte, error) {
	for i := range src {
		dst = append(dst, src[len(src)-1-i])
	}
	return dst, nil
}
func (r reverser) AppendInflated(dst, src []byte, limit int) ([]byte, error) {
	if limit == 13 {
		panic("on purpose")
	}
	return r.Append(dst, src)
}

func TestRegisterCompressor(t *testing.T) {
	const mine = 201
	for name, test := range map[string]struct {
		t    CompressType
		name string
		c    Compressor
	}{
		"reserved":     {FirstUserCompressor - 1, "x", reverser{}},
		"nil":          {mine, "x", nil},
		"no name":      {mine, "", reverser{}},
		"builtin name": {mine, "gzip", reverser{}},
		"none":         {mine, "none", reverser{}},
	} {
		if err := RegisterCompressor(test.t, test.name, test.c); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
	if _, err := Compress(mine, nil, nil); !errors.Is(err, ErrUnknownCompressor) || !strings.Contains(err.Error(), "201") {
		t.Errorf("before: %v", err)
	}
	if _, err := Inflate(mine, nil, nil, 1); !errors.Is(err, ErrUnknownCompressor) {
		t.Errorf("before: %v", err)
	}
	name := "reverse"
	if err := RegisterCompressor(mine, name, reverser{}); err != nil {
		t.Fatal(err)
	}
	if err := RegisterCompressor(mine, "other", reverser{}); err == nil {
		t.Error("a number was registered twice")
	}
	if err := RegisterCompressor(mine+1, name, reverser{}); err == nil {
		t.Error("a name was registered twice")
	}
	if got, err := Compress(mine, []byte("a"), []byte("bc")); err != nil || string(got) != "acb" {
		t.Errorf("Compress: %q, %v", got, err)
	}
	contained := new(PanicError)
	if got, err := Inflate(mine, []byte("a"), []byte("bc"), 13); !errors.As(err, &contained) || string(got) != "a" {
		t.Errorf("a panic: %q, %v", got, err)
	}
	if ct, ok := CompressorNamed(name); !ok || ct != mine || ct.String() != name {
		t.Errorf("CompressorNamed: %d, %v", ct, ok)
	}
}

func TestCompressorNames(t *testing.T) {
	for ct, want := range map[CompressType]string{0: "none", 1: "gzip", 2: "snappy", 3: "zstd", 9: "compressor(9)", 255: "compressor(255)"} {
		if got := fmt.Sprint(ct); got != want {
			t.Errorf("%d is %q, want %q", uint8(ct), got, want)
		}
		if ct <= CompressTypeZstd {
			if got, ok := CompressorNamed(want); !ok || got != ct {
				t.Errorf("%q is %d, %v", want, got, ok)
			}
		}
	}
	if _, ok := CompressorNamed("lzma"); ok {
		t.Error("lzma is known")
	}
}

func BenchmarkCompressors(b *testing.B) {
	src := payloads()["text 700 KiB"][:64<<10]
	for _, ct := range allCompressors {
		packed, err := Compress(ct, nil, src)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, 0, 2*len(src))
		b.Run(ct.String()+"/compress/64KiB", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if _, err := Compress(ct, dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(ct.String()+"/inflate/64KiB", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if _, err := Inflate(ct, dst, packed, len(src)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// InflatedSize is true of what Compress makes, and never more than a body could hold.
func TestInflatedSize(t *testing.T) {
	for _, c := range allCompressors {
		for _, n := range []int{0, 1000, 1 << 20} {
			body, err := Compress(c, nil, make([]byte, n))
			if err != nil {
				t.Fatal(err)
			}
			if got := InflatedSize(c, body); got != n {
				t.Errorf("%v of %d bytes says %d", c, n, got)
			}
		}
		for _, lie := range [][]byte{nil, {0xff}, []byte("\xff\xff\xff\xff"), []byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f")} {
			if got := InflatedSize(c, lie); got > 1<<20 {
				t.Errorf("%v: %d bytes of nonsense say %d", c, len(lie), got)
			}
		}
	}
	if got := InflatedSize(FirstUserCompressor, []byte("x")); got != 0 {
		t.Errorf("an unknown compressor says %d", got)
	}
}
