package protocol

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

func parseHeader(tb testing.TB, b []byte) Header {
	tb.Helper()
	var h Header
	if err := ParseHeader(b, &h, nil); err != nil {
		tb.Fatalf("%x: %v", b, err)
	}
	return h
}

func TestHeaderTakesEveryFormOfAnInteger(t *testing.T) {
	forms := map[string]uint64{
		"\x00": 0, "\x7f": 127, "\xc0": 0,
		"\xcc\xff": 255, "\xcd\xff\xff": 65535, "\xce\xff\xff\xff\xff": math.MaxUint32, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff": math.MaxUint64,
		"\xd0\x7f": 127, "\xd1\x7f\xff": math.MaxInt16, "\xd2\x7f\xff\xff\xff": math.MaxInt32, "\xd3\x7f\xff\xff\xff\xff\xff\xff\xff": math.MaxInt64,
		"\xd3\x00\x00\x00\x00\x00\x00\x00\x00": 0,
	}
	for form, want := range forms {
		if h := parseHeader(t, header(0x98, form, uints(0, 0, 0, 0), nils(3))); h.Seq != want {
			t.Errorf("%x is %d, want %d", form, h.Seq, want)
		}
	}
}

func TestHeaderRefuses(t *testing.T) {
	rest := uints(0, 0, 0, 0) + nils(3)
	tests := map[string][]byte{
		"nothing":                   {},
		"nil":                       {0xc0},
		"a map":                     header(0x88, nils(16)),
		"an array without elements": header(0x98),
		"seven fields":              header(0x97, nils(7)),
		"no fields":                 header(0x90),
		"a count beyond the bytes":  header(0xdd, "\x00\x00\x01\x00", nils(11)),
		"negative fixint":           header(0x98, "\xe0", rest),
		"negative int 8":            header(0x98, "\xd0\x80", rest),
		"negative int 16":           header(0x98, "\xd1\x80\x00", rest),
		"negative int 32":           header(0x98, "\xd2\x80\x00\x00\x00", rest),
		"negative int 64":           header(0x98, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", rest),
		"a float for a uint":        header(0x98, "\xcb\x00\x00\x00\x00\x00\x00\x00\x00", rest),
		"a bool for a uint":         header(0x98, "\xc3", rest),
		"text for a uint":           header(0x98, "\xa1\x31", rest),
		"a uint cut short":          header(0x98, nils(7), "\xcf\x00\x00"),
		"a uint for a name":         header(0x98, nils(5), "\x01", nils(2)),
		"a name cut short":          header(0x98, nils(7), "\xa5abc"),
		"a name of 4 GiB":           header(0x98, nils(7), "\xdb\xff\xff\xff\xffabc"),
		"an array for metadata":     header(0x99, nils(8), "\x90"),
		"metadata to uints":         header(0x99, nils(8), "\x81\xa1k\x01"),
		"metadata from uints":       header(0x99, nils(8), "\x81\x01\xa1v"),
		"metadata cut short":        header(0x99, nils(8), "\x82\xa1k\xa1v"),
		"metadata of 4 Gi entries":  header(0x99, nils(8), "\xdf\xff\xff\xff\xff\xa1k\xa1v"),
		"a byte after the array":    header(0x98, nils(8), "\xc0"),
		"an unknown field cut":      header(0x9c, nils(11), "\xda\xff"),
		"an unknown array cut":      header(0x9c, nils(11), "\x92\x01"),
		"an unknown code":           header(0x9c, nils(11), "\xc1"),
		"an unknown ext cut":        header(0x9c, nils(11), "\xc7\x04\x01abc"),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			var h Header
			if err := ParseHeader(b, &h, nil); !errors.Is(err, ErrMalformed) {
				t.Errorf("%x: %v", b, err)
			}
		})
	}
}

func TestHeaderTakesFewerAndMoreFields(t *testing.T) {
	full := Header{Seq: 1, MessageType: TypeResponse, StatusCode: Internal, ServiceName: "S", MethodName: "M", Error: "e",
		MetaData: map[string]string{"k": "v"}, Timeout: time.Second, Flags: FlagNotRun}
	fields := []string{uints(1), uints(1), uints(0), uints(0), uints(13), str("S"), str("M"), str("e"), "\x81" + str("k") + str("v"), "\xce\x3b\x9a\xca\x00", uints(1)}
	for n := 8; n <= 11; n++ {
		want := full
		if n < 11 {
			want.Flags = 0
		}
		if n < 10 {
			want.Timeout = 0
		}
		if n < 9 {
			want.MetaData = nil
		}
		if got := parseHeader(t, header(0x90|byte(n), fields[:n]...)); !reflect.DeepEqual(got, want) {
			t.Errorf("%d fields: %+v, want %+v", n, got, want)
		}
	}
	for name, unknown := range unknownValues() {
		b := header(0x9d, strings.Join(fields, ""), unknown, nils(1))
		if got := parseHeader(t, b); !reflect.DeepEqual(got, full) {
			t.Errorf("with %s: %+v", name, got)
		}
	}
}

// unknownValues is one value of each kind that msgpack has.
func unknownValues() map[string]string {
	return map[string]string{
		"fixint": "\x05", "negative": "\xff", "nil": "\xc0", "bool": "\xc2",
		"bin 8": "\xc4\x01x", "bin 16": "\xc5\x00\x01x", "bin 32": "\xc6\x00\x00\x00\x01x",
		"ext 8": "\xc7\x01\x09x", "ext 16": "\xc8\x00\x01\x09x", "ext 32": "\xc9\x00\x00\x00\x01\x09x",
		"float 32": "\xca....", "float 64": "\xcb........",
		"uint 8": "\xcc.", "uint 16": "\xcd..", "uint 32": "\xce....", "uint 64": "\xcf........",
		"int 8": "\xd0.", "int 16": "\xd1..", "int 32": "\xd2....", "int 64": "\xd3........",
		"fixext 1": "\xd4\x09.", "fixext 2": "\xd5\x09..", "fixext 4": "\xd6\x09....", "fixext 8": "\xd7\x09........", "fixext 16": "\xd8\x09................",
		"str": "\xa2xy", "str 8": "\xd9\x01x", "str 16": "\xda\x00\x01x", "str 32": "\xdb\x00\x00\x00\x01x",
		"array": "\x92\x01\x02", "array 16": "\xdc\x00\x01\x01", "array 32": "\xdd\x00\x00\x00\x01\x01",
		"map": "\x81\x01\x02", "map 16": "\xde\x00\x01\x01\x02", "map 32": "\xdf\x00\x00\x00\x01\x01\x02",
		"a nest": "\x92\x81\xa1k\x93\x01\x02\x90\xdc\x00\x01\x80",
	}
}

// TestHeaderSkipsDepthWithoutRecursion: 60,000 arrays in each other would end a
// process whose stack they reach.
func TestHeaderSkipsDepthWithoutRecursion(t *testing.T) {
	deep := header(0x9c, nils(11), strings.Repeat("\x91", 60000), "\xc0")
	if h := parseHeader(t, deep); h.Seq != 0 {
		t.Errorf("%+v", h)
	}
	if allocs := testing.AllocsPerRun(10, func() { _ = ParseHeader(deep, new(Header), nil) }); allocs > 1 {
		t.Errorf("%v allocations to skip it", allocs)
	}
}

func TestHeaderClampsWhatItCannotHold(t *testing.T) {
	huge := "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
	h := parseHeader(t, header(0x9b, uints(1), huge, huge, huge, huge, nils(4), huge, huge))
	want := Header{Seq: 1, MessageType: 255, CompressType: 255, SerializeType: 255, StatusCode: 255, Timeout: math.MaxInt64, Flags: math.MaxUint32}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("%+v, want %+v", h, want)
	}
}

func TestHeaderOverwritesWhatWasThere(t *testing.T) {
	h := Header{Seq: 1, ServiceName: "old", Error: "old", MetaData: map[string]string{"old": "x"}, Timeout: 1, Flags: 1}
	if err := ParseHeader(header(0x98, nils(8)), &h, nil); err != nil || !reflect.DeepEqual(h, Header{}) {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestHeaderDoesNotAliasItsInput(t *testing.T) {
	b := AppendHeader(nil, &Header{ServiceName: "Service", MethodName: "Method", Error: "error", MetaData: map[string]string{"key": "value"}})
	h := parseHeader(t, b)
	for i := range b {
		b[i] = '!'
	}
	if h.ServiceName != "Service" || h.MethodName != "Method" || h.Error != "error" || h.MetaData["key"] != "value" {
		t.Errorf("%+v", h)
	}
}

func TestHeaderInternsNamesAlone(t *testing.T) {
	var seen []string
	b := AppendHeader(nil, &Header{ServiceName: "S", Error: "e", MetaData: map[string]string{"k": "v"}})
	var h Header
	err := ParseHeader(b, &h, func(b []byte) string { seen = append(seen, string(b)); return "interned" })
	if err != nil || h.ServiceName != "interned" || h.MethodName != "" || len(seen) != 1 || seen[0] != "S" {
		t.Errorf("%+v, %q, %v", h, seen, err)
	}
}

func TestErrorTextIsCutAtARune(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("x", MaxErrorLen+1),
		strings.Repeat("x", MaxErrorLen-1) + "é",
		strings.Repeat("x", MaxErrorLen-3) + "😀",
		strings.Repeat("世", 3000),
	} {
		h := parseHeader(t, AppendHeader(nil, &Header{Error: text}))
		if n := len(h.Error); n > MaxErrorLen || n < MaxErrorLen-utf8.UTFMax || !utf8.ValidString(h.Error) || !strings.HasPrefix(text, h.Error) {
			t.Errorf("%d bytes of %d, valid %v", n, len(text), utf8.ValidString(h.Error))
		}
	}
	if got := cutText(strings.Repeat("\x80", 9), 5); len(got) > 5 {
		t.Errorf("text that is no UTF-8 keeps %d bytes", len(got))
	}
	if whole := strings.Repeat("x", MaxErrorLen); parseHeader(t, AppendHeader(nil, &Header{Error: whole})).Error != whole {
		t.Error("what fits was cut")
	}
}

func TestTimeoutThatIsOverIsNotNone(t *testing.T) {
	if h := parseHeader(t, AppendHeader(nil, &Header{Timeout: -time.Second})); h.Timeout != 1 {
		t.Errorf("%v", h.Timeout)
	}
}

func TestMetadataOfEverySize(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 300} {
		meta := map[string]string{}
		for i := range n {
			meta[strings.Repeat("k", i+1)[:1]+string(rune('a'+i%26))+strings.Repeat("x", i)] = strings.Repeat("v", i)
		}
		h := parseHeader(t, AppendHeader(nil, &Header{MetaData: meta}))
		if len(h.MetaData) != n || n > 0 && !reflect.DeepEqual(h.MetaData, meta) {
			t.Errorf("%d entries came out as %d", n, len(h.MetaData))
		}
	}
	h := parseHeader(t, header(0x99, nils(8), "\xdf\x00\x00\x00\x02\xc4\x01k\xa1v\xa1k\xa1w"))
	if len(h.MetaData) != 1 || h.MetaData["k"] != "w" {
		t.Errorf("a key twice: %v; the later one counts", h.MetaData)
	}
}

func TestPlainHeaderCostsNoAllocation(t *testing.T) {
	h := &Header{Seq: 1 << 40, ServiceName: "ArithService", MethodName: "Add", Timeout: time.Second}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = AppendFrame(buf[:0], h, nil) }); n != 0 {
		t.Errorf("AppendFrame: %v allocations", n)
	}
	intern := func(b []byte) string {
		if string(b) == h.ServiceName {
			return h.ServiceName
		}
		return h.MethodName
	}
	var parsed Header
	if n := testing.AllocsPerRun(100, func() {
		p, _, _ := ParsePrefix(buf)
		_ = ParseHeader(buf[PrefixLen:PrefixLen+p.HeaderLen], &parsed, intern)
	}); n != 0 {
		t.Errorf("ParsePrefix and ParseHeader: %v allocations", n)
	}
	if !reflect.DeepEqual(parsed, *h) {
		t.Errorf("%+v", parsed)
	}
}

// The header is msgpack, whoever writes it: here another library reads ours and
// ours reads the other's.
func TestHeaderAgreesWithAnotherMsgpack(t *testing.T) {
	for _, g := range goldenFrames {
		if g.err != nil || g.head != nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			checkTheirsReadsOurs(t, &g.want)
			checkOursReadsTheirs(t, &g.want)
		})
	}
}

func checkTheirsReadsOurs(t *testing.T, h *Header) {
	dec := msgpack.NewDecoder(bytes.NewReader(AppendHeader(nil, h)))
	n, err := dec.DecodeArrayLen()
	if err != nil || n < minHeaderFields || n > maxHeaderFields {
		t.Fatalf("an array of %d, %v", n, err)
	}
	var got Header
	var timeout, flags uint64
	into := []any{&got.Seq, (*uint8)(&got.MessageType), (*uint8)(&got.CompressType), (*uint8)(&got.SerializeType), (*uint8)(&got.StatusCode),
		&got.ServiceName, &got.MethodName, &got.Error, &got.MetaData, &timeout, &flags}
	for i := range n {
		if err := dec.Decode(into[i]); err != nil {
			t.Fatalf("field %d: %v", i, err)
		}
	}
	got.Timeout, got.Flags = time.Duration(timeout), Flags(flags)
	if len(got.MetaData) == 0 {
		got.MetaData = nil
	}
	if !reflect.DeepEqual(got, *h) {
		t.Errorf("they read %+v\nwe wrote  %+v", got, *h)
	}
}

func checkOursReadsTheirs(t *testing.T, h *Header) {
	fields := []any{h.Seq, uint8(h.MessageType), int64(h.CompressType), uint32(h.SerializeType), int16(h.StatusCode),
		h.ServiceName, []byte(h.MethodName), h.Error, h.MetaData, int64(h.Timeout), uint64(h.Flags), []any{"unknown", 1.5, map[string]any{"a": nil}}}
	for n := minHeaderFields; n <= len(fields); n++ {
		b, err := msgpack.Marshal(fields[:n])
		if err != nil {
			t.Fatal(err)
		}
		got, want := parseHeader(t, b), *h
		if n < 11 {
			want.Flags = 0
		}
		if n < 10 {
			want.Timeout = 0
		}
		if n < 9 {
			want.MetaData = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d fields: we read %+v\nthey wrote    %+v", n, got, want)
		}
	}
}

// FuzzHeader: a header is taken or refused with a type; what is taken is what
// another msgpack reads there, and means the same when it is written again.
func FuzzHeader(f *testing.F) {
	for _, g := range goldenFrames {
		frame := g.frame()
		f.Add(frame[PrefixLen : len(frame)-len(g.body)])
	}
	for _, v := range unknownValues() {
		f.Add(header(0x9c, nils(11), v))
	}
	f.Add(header(0x9c, nils(11), strings.Repeat("\x91", 5000), "\xc0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if err := ParseHeader(b, &h, nil); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error without a type: %v", err)
			}
			return
		}
		frameAgain(t, b, nil)
		readThrice(t, b, &h)
		seq, err := msgpack.NewDecoder(bytes.NewReader(b)).DecodeInterface()
		if err != nil {
			return // it has its own bounds
		}
		if list, ok := seq.([]any); !ok || len(list) < minHeaderFields {
			t.Fatalf("we took a header that is %T to others", seq)
		}
	})
}
