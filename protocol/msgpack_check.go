package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errTruncated is what every check says of a body that declares more than it has.
var errTruncated = errors.New("it declares more than its bytes hold")

// errTrailing is what every check says of a body that goes on after its value.
var errTrailing = errors.New("bytes are left after its value")

// Msgpack codes, from https://github.com/msgpack/msgpack/blob/master/spec.md.
const (
	mpFixMap   = 0x80
	mpFixArray = 0x90
	mpFixStr   = 0xa0
	mpNil      = 0xc0
	mpBin8     = 0xc4
	mpExt8     = 0xc7
	mpInt64    = 0xd3
	mpFixExt1  = 0xd4
	mpFixExt16 = 0xd8
	mpStr8     = 0xd9
	mpArray16  = 0xdc
	mpArray32  = 0xdd
	mpMap16    = 0xde
	mpMap32    = 0xdf
	mpNegFix   = 0xe0
)

// mpScalarSize is what follows each code from nil to int64: 0xc0 to 0xd3. Codes
// that are not scalars, and 0xc1, which is no code, have -1.
var mpScalarSize = [...]int8{0, -1, 0, 0, -1, -1, -1, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8}

// mpLengthSize is the width of the length after codes 0xc4 to 0xc9 (bin and
// ext) and 0xd9 to 0xdb (str).
func mpLengthSize(c byte) int {
	if c >= mpStr8 {
		return 1 << (c - mpStr8)
	}
	return 1 << ((c - mpBin8) % 3)
}

// isFlatMsgpack reports whether body is one map or array of few elements, all of
// them numbers, booleans, nil, strings or bytes, and nothing after it. Most
// requests and replies are, and this costs a part of what the whole pass does; of
// any other body it says nothing.
func isFlatMsgpack(body []byte) bool {
	if len(body) == 0 || body[0] < mpFixMap || body[0] >= mpFixStr {
		return false
	}
	left := int(body[0] & 0x0f)
	if body[0] < mpFixArray {
		left *= 2
	}
	pos := 1
	for ; left > 0; left-- {
		if pos >= len(body) {
			return false
		}
		c := body[pos]
		pos++
		switch {
		case c < mpFixMap || c >= mpNegFix: // a small integer
		case c >= mpFixStr && c < mpNil:
			pos += int(c - mpFixStr)
		case c == mpBin8 || c == mpStr8:
			if pos >= len(body) {
				return false
			}
			pos += 1 + int(body[pos])
		case c == mpBin8+1 || c == mpStr8+1:
			if pos+1 >= len(body) {
				return false
			}
			pos += 2 + int(binary.BigEndian.Uint16(body[pos:]))
		default:
			if c < mpNil || c > mpInt64 || mpScalarSize[c-mpNil] < 0 {
				return false
			}
			pos += int(mpScalarSize[c-mpNil])
		}
	}
	return pos == len(body)
}

// msgpackScan is the well-formedness pass over one msgpack value.
type msgpackScan struct {
	body   []byte
	pos    int
	limit  int // of elements; negative is none
	counts elementCounts

	// owed is how many values are still to come, by all containers that are
	// open; each needs a byte. left is that of the innermost alone, the others'
	// are in shallow by level, and in deep from where that ends.
	owed    int
	left    int
	depth   int
	shallow [12]int
	deep    []int

	// ambiguous are the positions of extension payloads that would read as a
	// map: see bodyReader.
	ambiguous []int
	wanted    any // what is decoded into
}

// run walks the body. It returns nil if it holds exactly one value.
func (s *msgpackScan) run() error {
	s.left, s.owed = 1, 1
	for {
		for s.left == 0 {
			if s.depth == 0 {
				if s.pos != len(s.body) {
					return errTrailing
				}
				return nil
			}
			s.close()
		}
		if s.pos >= len(s.body) {
			return errTruncated
		}
		s.left--
		s.owed--
		c := s.body[s.pos]
		s.pos++
		switch {
		case c < mpFixMap || c >= mpNegFix: // a small integer
		case c >= mpFixStr && c < mpNil: // a short string, as most keys are
			if s.pos += int(c - mpFixStr); s.pos > len(s.body) {
				return errTruncated
			}
		default:
			if err := s.value(c); err != nil {
				return err
			}
		}
	}
}

// value steps over what follows code c, or into it. Small integers and short
// strings are run's.
func (s *msgpackScan) value(c byte) error {
	switch {
	case c < mpFixArray:
		return s.open(int(c-mpFixMap), 2)
	case c < mpFixStr:
		return s.open(int(c-mpFixArray), 1)
	case c >= mpArray16:
		return s.openSized(c)
	case c >= mpFixExt1 && c <= mpFixExt16:
		return s.extension(1 << (c - mpFixExt1))
	case c >= mpStr8 || c >= mpBin8 && c <= mpExt8+2:
		n, err := s.length(mpLengthSize(c))
		if err != nil {
			return err
		}
		if c >= mpExt8 && c < mpStr8 {
			return s.extension(n)
		}
		return s.skip(n)
	}
	size := mpScalarSize[c-mpNil]
	if size < 0 {
		return fmt.Errorf("0x%x at %d is no msgpack code", c, s.pos-1)
	}
	return s.skip(int(size))
}

func (s *msgpackScan) openSized(c byte) error {
	size := 2
	if c == mpArray32 || c == mpMap32 {
		size = 4
	}
	n, err := s.length(size)
	if err != nil {
		return err
	}
	if c >= mpMap16 {
		return s.open(n, 2)
	}
	return s.open(n, 1)
}

// open enters an array of n elements, or a map of n pairs (width 2).
func (s *msgpackScan) open(n, width int) error {
	// Compared before it is multiplied: n may be near the end of an int.
	if remain := len(s.body) - s.pos - s.owed; n > remain || n*width > remain {
		return errTruncated
	}
	if width == 2 {
		s.counts.containers++
		s.counts.entries += n
	} else {
		s.counts.elements += n
	}
	if s.limit >= 0 && s.counts.total() > s.limit {
		return fmt.Errorf("%w: more than %d", ErrTooManyElements, s.limit)
	}
	if s.depth == MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	if s.depth < len(s.shallow) {
		s.shallow[s.depth] = s.left
	} else {
		s.deep = append(s.deep, s.left)
	}
	s.depth++
	s.left = n * width
	s.owed += s.left
	return nil
}

// close leaves the innermost container.
func (s *msgpackScan) close() {
	s.depth--
	if s.depth < len(s.shallow) {
		s.left = s.shallow[s.depth]
		return
	}
	last := len(s.deep) - 1
	s.left = s.deep[last]
	s.deep = s.deep[:last]
}

func (s *msgpackScan) skip(n int) error {
	if n > len(s.body)-s.pos {
		return errTruncated
	}
	s.pos += n
	return nil
}

// length reads a big-endian length of size bytes.
func (s *msgpackScan) length(size int) (int, error) {
	b := s.body[s.pos:]
	if len(b) < size {
		return 0, errTruncated
	}
	s.pos += size
	switch size {
	case 1:
		return int(b[0]), nil
	case 2:
		return int(binary.BigEndian.Uint16(b)), nil
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(s.body)) { // also keeps it within an int of 32 bits
		return 0, errTruncated
	}
	return int(n), nil
}

// extension steps over an extension's type and its payload of n bytes.
func (s *msgpackScan) extension(n int) error {
	if n >= len(s.body)-s.pos {
		return errTruncated
	}
	id, payload := int8(s.body[s.pos]), s.pos+1
	if n > 0 && readsAsMap(s.body[payload]) && !(id == internedStringID && s.interns()) {
		s.ambiguous = append(s.ambiguous, payload)
	}
	s.pos = payload + n
	s.counts.elements++ // an extension may be a user's type
	if s.limit >= 0 && s.counts.total() > s.limit {
		return fmt.Errorf("%w: more than %d", ErrTooManyElements, s.limit)
	}
	return nil
}

// interns reports whether the type wanted uses interned strings, which travel as
// extensions.
func (s *msgpackScan) interns() bool {
	cost := decodeCostOf(s.wanted)
	return cost.interns && !cost.maps
}

func readsAsMap(c byte) bool {
	return c&0xf0 == mpFixMap || c == mpNil || c == mpMap16 || c == mpMap32
}
