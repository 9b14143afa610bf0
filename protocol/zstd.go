package protocol

import (
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdCompressor is RFC 8878 at the fastest level, without dictionaries.
//
// The codec hands its coders out through a channel, which must not pass from one
// testing/synctest bubble into another. Encoders avoid it, by the interface for
// streams; decoders cannot, so all calls share one decoder that is made at
// import, outside of every bubble. It starts no goroutine.
type zstdCompressor struct{}

var (
	_ Compressor = zstdCompressor{}
	_ declaring  = zstdCompressor{}
)

// zstdWindow is how far back an encoder looks: enough for most bodies, and an
// eighth of the memory of the codec's default.
const zstdWindow = 512 << 10

var (
	zstdEncoders = sync.Pool{New: func() any {
		codec, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(zstdWindow), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return &zstdEncoder{codec: codec}
	}}
	zstdDecoder = newZstdDecoder()
)

// zstdEncoder is a codec together with what it writes to.
type zstdEncoder struct {
	codec *zstd.Encoder
	to    sliceWriter
}

// newZstdDecoder makes one decoder for each processor. Each writes to the room
// that it is given and to no more.
func newZstdDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// Append appends one zstd frame.
func (zstdCompressor) Append(dst, src []byte) ([]byte, error) {
	e := zstdEncoders.Get().(*zstdEncoder)
	e.to.out = dst
	e.codec.ResetContentSize(&e.to, int64(len(src)))
	_, err := e.codec.Write(src)
	if err == nil {
		err = e.codec.Close()
	}
	out := e.to.out
	e.to.out = nil
	if err != nil {
		return dst, err
	}
	zstdEncoders.Put(e)
	return out, nil
}

// AppendInflated inflates one zstd frame or several. It first makes the room that
// the first frame declares, if its bytes could hold as much; where that does not
// suffice, room is made in steps of four.
func (zstdCompressor) AppendInflated(dst, src []byte, limit int) ([]byte, error) {
	declared, err := zstdDeclared(src, limit)
	if err != nil {
		return dst, err
	}
	if declared >= 0 {
		out := slices.Grow(dst, declared)
		if inflated, err := inflateInto(out, src, declared); err == nil {
			return out[:len(out)+len(inflated)], nil
		}
	}
	ceiling := min(limit, zstdPlausible(src))
	room := min(ceiling, max(declared, 4*len(src), zstdBlock))
	for {
		out := slices.Grow(dst, room+zstdBlock)
		inflated, err := inflateInto(out, src, room+zstdBlock)
		switch {
		case err == nil && len(inflated) <= limit:
			return out[:len(out)+len(inflated)], nil
		case err != nil && len(inflated) <= room && !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return dst, corruptCompression(err)
		case room == limit:
			return dst, inflatedTooLarge(limit)
		case room == ceiling:
			return dst, corruptCompression(zstd.ErrDecoderSizeExceeded)
		}
		room = min(4*room+1, ceiling)
	}
}

// inflateInto inflates src behind the end of out, which has room for it, and
// returns what it inflated, even on error. Where room ends, the codec does not
// always say so, but no block is larger than zstdBlock: when more than that was
// left, another error than that of size is meant.
func inflateInto(out, src []byte, room int) ([]byte, error) {
	return zstdDecoder.DecodeAll(src, out[len(out):len(out):len(out)+room])
}

// zstdBlock is the most that a block can hold, which takes it four bytes: three
// of header and the one that it repeats.
const zstdBlock = 128 << 10

// zstdPlausible is more than src can inflate to.
func zstdPlausible(src []byte) int {
	return min(len(src)/4+1, math.MaxInt/zstdBlock) * zstdBlock
}

// zstdDeclared is the content size that the first frame declares, or -1 if it
// declares none or one beyond what src could hold.
func zstdDeclared(src []byte, limit int) (int, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return 0, corruptCompression(err)
	}
	switch {
	case !h.HasFCS:
		return -1, nil
	case h.FrameContentSize > uint64(limit):
		return 0, inflatedTooLarge(limit)
	case h.FrameContentSize > uint64(zstdPlausible(src)):
		return -1, nil
	}
	return int(h.FrameContentSize), nil
}

// declared is what the first frame declares, which mostly is the only one.
func (zstdCompressor) declared(src []byte) int {
	size, err := zstdDeclared(src, math.MaxInt)
	if err != nil {
		return 0
	}
	return max(size, 0)
}
