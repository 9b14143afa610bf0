package protocol

import (
	"slices"

	"github.com/klauspost/compress/s2"
)

// snappyCompressor is snappy's block format:
// https://github.com/google/snappy/blob/main/format_description.txt.
type snappyCompressor struct{}

var (
	_ Compressor = snappyCompressor{}
	_ declaring  = snappyCompressor{}
)

// snappyRatio is above what the format can reach: a copy of at most 64 bytes
// takes three.
const snappyRatio = 22

// Append appends one snappy block.
func (snappyCompressor) Append(dst, src []byte) ([]byte, error) {
	n := s2.MaxEncodedLen(len(src))
	if n < 0 {
		return dst, s2.ErrTooLarge
	}
	dst = slices.Grow(dst, n)
	block := s2.EncodeSnappy(dst[len(dst):cap(dst)], src)
	return dst[:len(dst)+len(block)], nil
}

// AppendInflated inflates one snappy block. The length that it declares is taken
// only where its bytes could hold as much.
func (snappyCompressor) AppendInflated(dst, src []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	switch {
	case err != nil:
		return dst, corruptCompression(err)
	case n > limit:
		return dst, inflatedTooLarge(limit)
	case n > snappyRatio*len(src):
		return dst, corruptCompression(s2.ErrCorrupt)
	}
	out := slices.Grow(dst, n)
	block, err := s2.Decode(out[len(out):cap(out)], src)
	if err != nil {
		return dst, corruptCompression(err)
	}
	return out[:len(out)+len(block)], nil
}

// declared is what the block begins with.
func (snappyCompressor) declared(src []byte) int {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return 0
	}
	return min(n, snappyRatio*len(src))
}
