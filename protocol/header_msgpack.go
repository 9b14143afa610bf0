package protocol

import (
	"encoding/binary"
	"math"
)

// The msgpack forms that a header uses, written and read by hand: a header is
// on the path of every call and must not believe what it declares.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md
const (
	fixMap   = 0x80
	fixArray = 0x90
	fixStr   = 0xa0
	codeNil  = 0xc0
	bin8     = 0xc4
	bin16    = 0xc5
	bin32    = 0xc6
	uint8c   = 0xcc
	uint16c  = 0xcd
	uint32c  = 0xce
	uint64c  = 0xcf
	int8c    = 0xd0
	int16c   = 0xd1
	int32c   = 0xd2
	int64c   = 0xd3
	str8     = 0xd9
	str16    = 0xda
	str32    = 0xdb
	array16  = 0xdc
	array32  = 0xdd
	map16    = 0xde
	map32    = 0xdf
)

// appendUint appends v in its shortest form.
func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, uint8c, byte(v))
	case v <= math.MaxUint16:
		return append(dst, uint16c, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return append(dst, uint32c, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, uint64c), v)
	}
}

func appendText(dst []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, fixStr|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, str8, byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, str16, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, str32), uint32(n))
	}
	return append(dst, s...)
}

func appendMeta(dst []byte, m map[string]string) []byte {
	switch n := len(m); {
	case n == 0:
		return append(dst, codeNil)
	case n < 16:
		dst = append(dst, fixMap|byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, map16, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, map32), uint32(n))
	}
	for k, v := range m {
		dst = appendText(appendText(dst, k), v)
	}
	return dst
}

// decoder reads msgpack from rest. The first thing that is not what was asked
// for sets bad, after which every read returns zero: callers check once.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() { d.bad, d.rest = true, nil }

// take returns the next n bytes, or nil and bad when fewer remain.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

// fixed reads a big endian unsigned integer of 1, 2, 4 or 8 bytes.
func (d *decoder) fixed(size uint64) uint64 {
	var v uint64
	for _, c := range d.take(size) {
		v = v<<8 | uint64(c)
	}
	return v
}

// uint reads any integer form with a non-negative value; nil is zero.
func (d *decoder) uint() uint64 {
	c := d.byte()
	switch {
	case c < 0x80:
		return uint64(c)
	case c == codeNil:
		return 0
	case c >= uint8c && c <= uint64c:
		return d.fixed(1 << (c - uint8c))
	case c >= int8c && c <= int64c:
		size := uint64(1) << (c - int8c)
		v := d.fixed(size)
		if v>>(size*8-1) == 0 {
			return v
		}
	}
	d.fail()
	return 0
}

// uint8 reads a uint; values above 255 become 255, which no field defines.
func (d *decoder) uint8() uint8 { return uint8(min(d.uint(), math.MaxUint8)) }

// text reads str or bin; nil is empty. The bytes alias the input.
func (d *decoder) text() []byte {
	c := d.byte()
	switch {
	case c&0xe0 == fixStr:
		return d.take(uint64(c & 0x1f))
	case c == codeNil:
		return nil
	case c == str8 || c == bin8:
		return d.take(d.fixed(1))
	case c == str16 || c == bin16:
		return d.take(d.fixed(2))
	case c == str32 || c == bin32:
		return d.take(d.fixed(4))
	}
	d.fail()
	return nil
}

// arrayLen reads an array's length. Each element takes a byte at least, so a
// length beyond what remains is refused.
func (d *decoder) arrayLen() uint64 {
	var n uint64
	switch c := d.byte(); {
	case c&0xf0 == fixArray:
		n = uint64(c & 0x0f)
	case c == array16:
		n = d.fixed(2)
	case c == array32:
		n = d.fixed(4)
	default:
		d.fail()
	}
	return d.count(n, 1)
}

// count refuses n elements of at least size bytes each that cannot be there.
func (d *decoder) count(n, size uint64) uint64 {
	if n > uint64(len(d.rest))/size {
		d.fail()
		return 0
	}
	return n
}

// fewMeta is for how many keys room is made before they have been read.
const fewMeta = 16

// meta reads a map of text to text; nil and an empty map are nil.
func (d *decoder) meta() map[string]string {
	var n uint64
	switch c := d.byte(); {
	case c&0xf0 == fixMap:
		n = uint64(c & 0x0f)
	case c == codeNil:
	case c == map16:
		n = d.fixed(2)
	case c == map32:
		n = d.fixed(4)
	default:
		d.fail()
	}
	n = d.count(n, 2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, min(n, fewMeta)) // n keys may be one key n times
	for range n {
		k := d.text()
		v := d.text()
		if d.bad {
			return nil
		}
		m[string(k)] = string(v)
	}
	return m
}

// skip passes over n values of any kind, without recursion: a container adds
// its elements to what is still to be skipped.
func (d *decoder) skip(n uint64) {
	for ; n > 0 && !d.bad; n-- {
		size, children := d.shape(d.byte())
		d.take(size)
		n += d.count(children, 1)
	}
}

// shape returns how many bytes of its own and how many elements follow the
// leading byte c, having read the length where there is one.
func (d *decoder) shape(c byte) (size, children uint64) {
	switch {
	case c < fixMap || c >= 0xe0: // fixint
		return 0, 0
	case c < fixArray:
		return 0, 2 * uint64(c&0x0f)
	case c < fixStr:
		return 0, uint64(c & 0x0f)
	case c < codeNil:
		return uint64(c & 0x1f), 0
	}
	switch c {
	case codeNil, 0xc2, 0xc3: // nil, false, true
		return 0, 0
	case bin8, str8:
		return d.fixed(1), 0
	case bin16, str16:
		return d.fixed(2), 0
	case bin32, str32:
		return d.fixed(4), 0
	case 0xc7: // ext 8, 16, 32: length, then a type byte
		return d.fixed(1) + 1, 0
	case 0xc8:
		return d.fixed(2) + 1, 0
	case 0xc9:
		return d.fixed(4) + 1, 0
	case 0xca: // float 32, 64
		return 4, 0
	case 0xcb:
		return 8, 0
	case uint8c, uint16c, uint32c, uint64c:
		return 1 << (c - uint8c), 0
	case int8c, int16c, int32c, int64c:
		return 1 << (c - int8c), 0
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext 1, 2, 4, 8, 16
		return 1<<(c-0xd4) + 1, 0
	case array16:
		return 0, d.fixed(2)
	case array32:
		return 0, d.fixed(4)
	case map16:
		return 0, 2 * d.fixed(2)
	case map32:
		return 0, 2 * d.fixed(4)
	}
	d.fail() // 0xc1 is never used
	return 0, 0
}
