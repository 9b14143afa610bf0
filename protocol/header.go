package protocol

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// MessageType says what a frame is for.
type MessageType uint8

// The message types. 0 and 2 open an exchange and 1 closes it; the others are
// never answered. 7 to 15 are kept for streams.
const (
	TypeRequest   MessageType = 0
	TypeResponse  MessageType = 1
	TypeHeartbeat MessageType = 2
	TypeOneway    MessageType = 3
	TypeCancel    MessageType = 4
	TypeGoAway    MessageType = 5
	TypeHello     MessageType = 6
)

var messageTypeNames = [...]string{"request", "response", "heartbeat", "oneway", "cancel", "goaway", "hello"}

// String returns the type's name for logs.
func (t MessageType) String() string {
	if int(t) < len(messageTypeNames) {
		return messageTypeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Flags is the header's bit set.
type Flags uint32

const (
	// FlagNotRun, in a response: the method was not entered.
	FlagNotRun Flags = 1 << 0
	// FlagElsewhere, in a response: worth trying another provider.
	FlagElsewhere Flags = 1 << 1
	// FlagDraining, in a response: this peer takes no new calls.
	FlagDraining Flags = 1 << 2
	// FlagMore is kept for fragments and streams.
	FlagMore Flags = 1 << 3
	// FlagsCritical: a receiver that does not know one of these must answer
	// Unimplemented with NotRun.
	FlagsCritical Flags = 0xFFFF0000
)

// MaxErrorLen is how many bytes of Header.Error are sent; the rest is cut at a
// rune boundary.
const MaxErrorLen = 4 << 10

// Header is everything of a frame but its body. Its zero value is a request
// without a name.
type Header struct {
	// Seq pairs a response with its request. Each side numbers its own.
	Seq           uint64
	MessageType   MessageType
	CompressType  CompressType
	SerializeType SerializeType
	StatusCode    Code
	lentMeta      bool // MetaData is a HeaderReader's
	ServiceName   string
	MethodName    string
	Error         string
	// MetaData is what wrappers carry; nil when empty.
	MetaData map[string]string
	// Timeout is what was left of the caller's deadline when the frame was
	// written; 0 is none.
	Timeout time.Duration
	Flags   Flags
}

func (h *Header) setFlag(f Flags, on bool) {
	if on {
		h.Flags |= f
	}
}

func (h *Header) setMeta(k, v string) {
	if h.MetaData == nil {
		h.MetaData = make(map[string]string, 1)
	}
	h.MetaData[k] = v
}

func (h *Header) mergeMeta(m map[string]string) {
	for k, v := range userMeta(m) {
		h.setMeta(k, v)
	}
}

// Header array sizes: a writer leaves out zero fields at the end, a reader
// takes what is missing as zero and skips what it does not know.
const (
	minHeaderFields = 8
	maxHeaderFields = 11
)

// AppendHeader appends the header's msgpack array to dst. Error is cut to
// MaxErrorLen; negative timeouts are sent as 1 ns, since 0 means none.
func AppendHeader(dst []byte, h *Header) []byte {
	fields := byte(minHeaderFields)
	switch {
	case h.Flags != 0:
		fields = 11
	case h.Timeout != 0:
		fields = 10
	case len(h.MetaData) > 0:
		fields = 9
	}
	dst = append(dst, fixArray|fields)
	dst = appendUint(dst, h.Seq)
	dst = appendUint(dst, uint64(h.MessageType))
	dst = appendUint(dst, uint64(h.CompressType))
	dst = appendUint(dst, uint64(h.SerializeType))
	dst = appendUint(dst, uint64(h.StatusCode))
	dst = appendText(dst, h.ServiceName)
	dst = appendText(dst, h.MethodName)
	dst = appendText(dst, cutText(h.Error, MaxErrorLen))
	if fields > 8 {
		dst = appendMeta(dst, h.MetaData)
	}
	if fields > 9 {
		timeout := h.Timeout
		if timeout < 0 {
			timeout = 1
		}
		dst = appendUint(dst, uint64(timeout))
	}
	if fields > 10 {
		dst = appendUint(dst, uint64(h.Flags))
	}
	return dst
}

// cutText returns at most limit bytes of s, cut where a rune begins.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// ParseHeader reads a header that fills b exactly into h, overwriting all of
// it. intern turns the bytes of a service or method name into a string; nil
// copies them. The strings and the map in h do not alias b. Errors wrap
// ErrMalformed and leave h unspecified.
func ParseHeader(b []byte, h *Header, intern func([]byte) string) error {
	return readHeader(b, h, intern, nil)
}

// readHeader is ParseHeader, with from's memory unless that is nil.
func readHeader(b []byte, h *Header, intern func([]byte) string, from *HeaderReader) error {
	d := decoder{rest: b}
	n := d.arrayLen()
	if !d.bad && n < minHeaderFields {
		return fmt.Errorf("%w: header of %d fields, at least %d are needed", ErrMalformed, n, minHeaderFields)
	}
	if intern == nil {
		intern = func(b []byte) string { return string(b) }
	}
	h.Seq = d.uint()
	h.MessageType = MessageType(d.uint8())
	h.CompressType = CompressType(d.uint8())
	h.SerializeType = SerializeType(d.uint8())
	h.StatusCode = Code(d.uint8())
	h.ServiceName = internText(d.text(), intern)
	h.MethodName = internText(d.text(), intern)
	h.Error = string(d.text())
	h.MetaData, h.lentMeta, h.Timeout, h.Flags = nil, false, 0, 0
	switch {
	case n <= 8:
	case from != nil && (h.MessageType == TypeRequest || h.MessageType == TypeOneway):
		h.MetaData, h.lentMeta = from.meta(&d)
	default:
		h.MetaData = d.meta()
	}
	if n > 9 {
		h.Timeout = time.Duration(min(d.uint(), math.MaxInt64))
	}
	if n > 10 {
		h.Flags = Flags(d.uint())
	}
	if n > maxHeaderFields {
		d.skip(n - maxHeaderFields)
	}
	if d.bad {
		return fmt.Errorf("%w: the header is no array of the specified fields", ErrMalformed)
	}
	if len(d.rest) != 0 {
		return fmt.Errorf("%w: %d bytes after the header array", ErrMalformed, len(d.rest))
	}
	return nil
}

func internText(b []byte, intern func([]byte) string) string {
	if len(b) == 0 {
		return ""
	}
	return intern(b)
}
