package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// golden is one frame of testdata/golden: what it shows, and what it means.
type golden struct {
	name, about string
	head        []byte // of a frame that only a reader must understand; nil: AppendHeader's own bytes
	want        Header
	body        string
	err         error // the reader refuses it
}

// goldenFrames are the test vectors for implementers. What AppendFrame writes
// stands first, then what it never writes but a reader takes, then what a reader
// refuses.
var goldenFrames = []golden{
	{name: "request", about: "ArithService.Add({A: 1, B: 2}) in msgpack, half a second left",
		want: Header{Seq: 1, ServiceName: "ArithService", MethodName: "Add", Timeout: 500 * time.Millisecond},
		body: "\x82\xa1A\x01\xa1B\x02"},
	{name: "request_plain", about: "a request without deadline, metadata and flags ends after field 7",
		want: Header{Seq: 2, ServiceName: "ArithService", MethodName: "Add"}, body: "\x82\xa1A\x01\xa1B\x02"},
	{name: "request_metadata", about: "a request in JSON with metadata",
		want: Header{Seq: 3, SerializeType: SerializeTypeJSON, ServiceName: "ArithService", MethodName: "Add", MetaData: map[string]string{MetaAuth: "hello01"}},
		body: `{"A":1,"B":2}`},
	{name: "request_critical_flag", about: "flag 16 is critical: who does not know it answers Unimplemented, NotRun",
		want: Header{Seq: 4, ServiceName: "S", MethodName: "M", Flags: 1 << 16}},
	{name: "request_seq_64_bit", about: "a sender keeps below 2^53, but a receiver echoes any u64",
		want: Header{Seq: 1<<64 - 1, ServiceName: "S", MethodName: "M"}},
	{name: "response", about: "the answer to request: {C: 3}",
		want: Header{Seq: 1, MessageType: TypeResponse}, body: "\x81\xa1C\x03"},
	{name: "response_error", about: "a method's own error: it ran",
		want: Header{Seq: 1, MessageType: TypeResponse, StatusCode: NotFound, Error: "no such row"}},
	{name: "response_refused", about: "Unavailable, NotRun, Elsewhere, Draining: the server shuts down",
		want: Header{Seq: 1, MessageType: TypeResponse, StatusCode: Unavailable, Error: "shutting down", Flags: FlagNotRun | FlagElsewhere | FlagDraining}},
	{name: "response_retry_after", about: "ResourceExhausted, NotRun, to be retried after 250 ms",
		want: Header{Seq: 1, MessageType: TypeResponse, StatusCode: ResourceExhausted, Error: "rate", Flags: FlagNotRun, MetaData: map[string]string{MetaRetryAfter: "250"}}},
	{name: "heartbeat", about: "a heartbeat has no names", want: Header{Seq: 5, MessageType: TypeHeartbeat}},
	{name: "heartbeat_answer", about: "and is answered by an empty response", want: Header{Seq: 5, MessageType: TypeResponse}},
	{name: "oneway", about: "a oneway, raw bytes", want: Header{Seq: 6, MessageType: TypeOneway, SerializeType: SerializeTypeRaw, ServiceName: "Log", MethodName: "Write"}, body: "a line\n"},
	{name: "cancel", about: "the caller of 1 has gone", want: Header{Seq: 1, MessageType: TypeCancel}},
	{name: "goaway", about: "no new calls, please; Error gives the reason", want: Header{MessageType: TypeGoAway, Error: "shutting down"}},

	{name: "hello", about: "the first frame of a side that has something to say",
		head: header(0x99, uints(0, 6, 0, 0, 0), nils(3), "\x82", str(MetaMaxMessage), str("16777216"), str(MetaCompress), str("gzip,zstd")),
		want: Header{MessageType: TypeHello, MetaData: map[string]string{MetaMaxMessage: "16777216", MetaCompress: "gzip,zstd"}}},
	{name: "read_fixed_width_integers", about: "integers of every width, signed and unsigned, that are not negative",
		head: header(0x9b, "\xcf\x00\x00\x00\x00\x00\x00\x00\x07", "\xd0\x01", "\xd1\x00\x01", "\xd2\x00\x00\x00\x01", "\xd3\x00\x00\x00\x00\x00\x00\x00\x05",
			str("S"), str("M"), str("e"), "\xc0", "\xce\x00\x00\x00\x09", "\xcd\x00\x01"),
		want: Header{Seq: 7, MessageType: TypeResponse, CompressType: CompressTypeGzip, SerializeType: SerializeTypeJSON, StatusCode: NotFound, ServiceName: "S", MethodName: "M", Error: "e", Timeout: 9, Flags: FlagNotRun}},
	{name: "read_nils", about: "nil is zero or empty everywhere", head: header(0x9b, nils(11)), want: Header{}},
	{name: "read_bin_text", about: "bin is text, and so is str of a longer form than needed",
		head: header(0x98, uints(1, 0, 0, 0, 0), "\xc4\x01S", "\xc5\x00\x01M", "\xdb\x00\x00\x00\x01e"),
		want: Header{Seq: 1, ServiceName: "S", MethodName: "M", Error: "e"}},
	{name: "read_array32", about: "the array in its longest form",
		head: header(0xdd, "\x00\x00\x00\x08", uints(1, 2, 0, 0, 0), nils(3)), want: Header{Seq: 1, MessageType: TypeHeartbeat}},
	{name: "read_unknown_fields", about: "two elements beyond those known: a nested array and a map of floats",
		head: header(0x9d, uints(1, 2, 0, 0, 0), nils(3), nils(3), "\x92\x91\xa1x\xc4\x02\x00\x00", "\x81\xa1f\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
		want: Header{Seq: 1, MessageType: TypeHeartbeat}},
	{name: "read_unknown_type", about: "an unknown message type is skipped, with its body", head: header(0x98, uints(1, 15, 0, 0, 0), nils(3)),
		want: Header{Seq: 1, MessageType: 15}, body: "whatever"},

	{name: "refused_seven_fields", about: "too few", head: header(0x97, uints(1, 2, 0, 0, 0), nils(2)), err: ErrMalformed},
	{name: "refused_negative", about: "a negative sequence number", head: header(0x98, "\xff", uints(2, 0, 0, 0), nils(3)), err: ErrMalformed},
	{name: "refused_negative_int64", about: "the same as int 64", head: header(0x98, "\xd3\xff\xff\xff\xff\xff\xff\xff\xff", uints(2, 0, 0, 0), nils(3)), err: ErrMalformed},
	{name: "refused_float", about: "a sequence number as float", head: header(0x98, "\xca\x3f\x80\x00\x00", uints(2, 0, 0, 0), nils(3)), err: ErrMalformed},
	{name: "refused_trailing", about: "a byte after the array", head: header(0x98, uints(1, 2, 0, 0, 0), nils(3), "\x00"), err: ErrMalformed},
	{name: "refused_map", about: "the header as a map", head: header(0x80), err: ErrMalformed},
	{name: "refused_count", about: "an array that declares more than there is", head: header(0xdd, "\xff\xff\xff\xff", nils(11)), err: ErrMalformed},
}

// header puts an array together from its leading byte and its parts.
func header(first byte, parts ...string) []byte {
	return append([]byte{first}, strings.Join(parts, "")...)
}

func uints(v ...byte) string   { return string(v) }
func nils(n int) string        { return strings.Repeat("\xc0", n) }
func str(s string) string      { return string(appendText(nil, s)) }
func (g *golden) path() string { return filepath.Join("testdata", "golden", g.name+".hex") }

// frame returns the whole frame.
func (g *golden) frame() []byte {
	if g.head == nil {
		return AppendFrame(nil, &g.want, []byte(g.body))
	}
	return frameAround(g.head, g.body)
}

// frameAround puts a prefix before a header and a body, true to their lengths.
func frameAround(head []byte, body string) []byte {
	out := fmt.Appendf(nil, "\xab\xba\x00%s%s", be32(4+len(head)+len(body)), be32(len(head)))
	return append(append(out, head...), body...)
}

func be32(n int) string { return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) }

// text is a golden file: a comment, then prefix, header and body on lines of
// their own.
func (g *golden) text() string {
	frame := g.frame()
	body := len(frame) - len(g.body)
	out := fmt.Sprintf("# %s\n%x %x %x %x\n%x\n", g.about, frame[:2], frame[2:3], frame[3:7], frame[7:11], frame[PrefixLen:body])
	if g.body != "" {
		out += fmt.Sprintf("%x\n", g.body)
	}
	return out
}

// parseHexText reads hexadecimal words, with comments from # to the end of a line.
func parseHexText(tb testing.TB, text string) []byte {
	tb.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readGolden(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return parseHexText(tb, string(text))
}

func TestGoldenFrames(t *testing.T) {
	for _, g := range goldenFrames {
		t.Run(g.name, func(t *testing.T) {
			if *update {
				if err := os.WriteFile(g.path(), []byte(g.text()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file := readGolden(t, g.path())
			if want := g.frame(); !bytes.Equal(file, want) {
				t.Fatalf("the file holds\n%x\nthe code says\n%x", file, want)
			}
			checkGolden(t, &g, file)
		})
	}
}

func checkGolden(t *testing.T, g *golden, file []byte) {
	p, ok, err := ParsePrefix(file)
	if err != nil || !ok || PrefixLen+p.HeaderLen+p.BodyLen != len(file) {
		t.Fatalf("ParsePrefix = %+v, %v, %v; the file has %d bytes", p, ok, err, len(file))
	}
	var h Header
	err = ParseHeader(file[PrefixLen:PrefixLen+p.HeaderLen], &h, nil)
	if !errors.Is(err, g.err) {
		t.Fatalf("ParseHeader: %v, want %v", err, g.err)
	}
	if g.err == nil && !reflect.DeepEqual(h, g.want) {
		t.Errorf("parsed %+v\nwant   %+v", h, g.want)
	}
	if body := string(file[PrefixLen+p.HeaderLen:]); body != g.body {
		t.Errorf("body %q, want %q", body, g.body)
	}
}

func TestEveryGoldenFileIsKnown(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.hex")
	if err != nil || len(files) != len(goldenFrames) {
		t.Errorf("%d files for %d frames, %v", len(files), len(goldenFrames), err)
	}
}
