package protocol

import (
	"errors"
	"io"
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

var _ Compressor = zstdCompressor{}

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

// AppendInflated inflates one zstd frame or several. Room is made in steps of
// four: what a frame says of its size only begins it.
func (zstdCompressor) AppendInflated(dst, src []byte, limit int) ([]byte, error) {
	room, err := zstdFirstRoom(src, limit)
	for err == nil {
		out := slices.Grow(dst, room)
		end := len(out) + room
		var inflated []byte
		inflated, err = zstdDecoder.DecodeAll(src, out[len(out):len(out):end])
		if err == nil {
			return out[:len(out)+len(inflated)], nil
		}
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return dst, corruptCompression(err)
		}
		err = nil
		if room >= limit {
			return dst, inflatedTooLarge(limit)
		}
		room = min(4*room, limit)
	}
	return dst, err
}

// zstdFirstRoom is what the first frame declares, where its blocks could hold as
// much, or else a guess.
func zstdFirstRoom(src []byte, limit int) (int, error) {
	const (
		largestBlock  = 128 << 10 // what a block of smallestBlock bytes may hold
		smallestBlock = 4
		leastRoom     = 512
	)
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = zstd.ErrMagicMismatch
		}
		return 0, corruptCompression(err)
	}
	guess := min(limit, 4*len(src)+leastRoom)
	if !h.HasFCS {
		return guess, nil
	}
	if h.FrameContentSize > uint64(limit) {
		return 0, inflatedTooLarge(limit)
	}
	if h.FrameContentSize > uint64(len(src)/smallestBlock+1)*largestBlock {
		return guess, nil
	}
	return int(h.FrameContentSize), nil
}
