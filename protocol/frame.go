package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The frame's constants. All integers are big endian.
const (
	// Magic is the first two bytes of every frame.
	Magic = 0xABBA
	// Version is the third byte.
	Version = 0
	// PrefixLen is the length in bytes of what stands before the header:
	// magic, version, total length, header length.
	PrefixLen = 11
	// MaxHeaderLen bounds the header in bytes.
	MaxHeaderLen = 64 << 10
	// DefaultMaxMessageSize bounds header and body together in bytes, before
	// and after compression, unless an option says otherwise.
	DefaultMaxMessageSize = 16 << 20

	totalOffset  = 3
	headerOffset = 7
)

// What is wrong with bytes that are no frame. They are wrapped with detail; test
// with errors.Is. Each ends the connection that brought it.
var (
	// ErrBadMagic: the peer does not speak this protocol.
	ErrBadMagic = errors.New("protocol: bad magic")
	// ErrVersion: the peer speaks a version of the frame that this side does not.
	ErrVersion = errors.New("protocol: unsupported frame version")
	// ErrMalformed: lengths or the header contradict the specification.
	ErrMalformed = errors.New("protocol: malformed frame")
)

// Prefix is what stands before a frame's header.
type Prefix struct {
	HeaderLen int // bytes, at most MaxHeaderLen
	BodyLen   int // bytes
}

// ParsePrefix reads a prefix from the start of b. It returns ok false and no
// error when b is too short to tell; what is already wrong with fewer than
// PrefixLen bytes is reported at once. Errors wrap ErrBadMagic, ErrVersion or
// ErrMalformed.
func ParsePrefix(b []byte) (p Prefix, ok bool, err error) {
	if len(b) >= PrefixLen && binary.BigEndian.Uint32(b)&^0xFF == Magic<<16|Version<<8 {
		total := binary.BigEndian.Uint32(b[totalOffset:])
		header := binary.BigEndian.Uint32(b[headerOffset:])
		if header > MaxHeaderLen || total < 4 || header > total-4 {
			return p, false, fmt.Errorf("%w: header length %d, total length %d", ErrMalformed, header, total)
		}
		if uint64(total-4-header) > maxBodyLen {
			return p, false, fmt.Errorf("%w: total length %d is more than this machine can address", ErrMalformed, total)
		}
		return Prefix{HeaderLen: int(header), BodyLen: int(total - 4 - header)}, true, nil
	}
	return p, false, checkStart(b)
}

// maxBodyLen is the longest body whose frame this machine can count in an int:
// it matters where an int has 32 bits, since a declared length has 32 too.
const maxBodyLen = math.MaxInt - MaxHeaderLen

// checkStart judges the first bytes of a frame that is not yet whole.
func checkStart(b []byte) error {
	const first, second = Magic >> 8, Magic & 0xFF
	if (len(b) > 0 && b[0] != first) || (len(b) > 1 && b[1] != second) {
		return fmt.Errorf("%w: %x, not %x; is the peer a sinew process, and both with TLS or both without?", ErrBadMagic, b[:min(len(b), 4)], Magic)
	}
	if len(b) > 2 && b[2] != Version {
		return fmt.Errorf("%w %d; this side speaks %d", ErrVersion, b[2], Version)
	}
	return nil
}

// AppendFrame appends a whole frame to dst. It does not judge h: a header above
// MaxHeaderLen is refused by whoever reads it, and so is a frame of 4 GiB.
func AppendFrame(dst []byte, h *Header, body []byte) []byte {
	return append(AppendFrameHead(dst, h, len(body)), body...)
}

// AppendFrameHead appends prefix and header of a frame whose body of bodyLen
// bytes follows from elsewhere.
func AppendFrameHead(dst []byte, h *Header, bodyLen int) []byte {
	at := len(dst)
	dst = append(dst, Magic>>8, Magic&0xFF, Version, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = AppendHeader(dst, h)
	headerLen := len(dst) - at - PrefixLen
	binary.BigEndian.PutUint32(dst[at+totalOffset:], uint32(4+headerLen+bodyLen))
	binary.BigEndian.PutUint32(dst[at+headerOffset:], uint32(headerLen))
	return dst
}
