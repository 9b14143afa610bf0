package protocol

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipCompressor is RFC 1952 at the fastest level.
type gzipCompressor struct{}

var (
	_ Compressor = gzipCompressor{}
	_ declaring  = gzipCompressor{}
)

// gzipRatio is above what the format can reach: a copy of 258 bytes takes
// two bits.
const gzipRatio = 1032

var (
	gzipWriters = sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		return &gzipWriter{codec: w}
	}}
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
)

// gzipWriter is a codec together with what it writes to.
type gzipWriter struct {
	codec *gzip.Writer
	to    sliceWriter
}

// gzipReader is a codec together with what it reads from.
type gzipReader struct {
	codec gzip.Reader
	from  bytes.Reader
}

// Append appends one gzip member.
func (gzipCompressor) Append(dst, src []byte) ([]byte, error) {
	w := gzipWriters.Get().(*gzipWriter)
	w.to.out = dst
	w.codec.Reset(&w.to)
	_, err := w.codec.Write(src)
	if err == nil {
		err = w.codec.Close()
	}
	out := w.to.out
	w.to.out = nil
	gzipWriters.Put(w)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendInflated inflates one gzip member or several.
func (gzipCompressor) AppendInflated(dst, src []byte, limit int) ([]byte, error) {
	r := gzipReaders.Get().(*gzipReader)
	r.from.Reset(src)
	out, err := dst, r.codec.Reset(&r.from)
	if err == nil {
		out, err = appendAtMost(dst, &r.codec, limit, 4*len(src))
	} else {
		err = corruptCompression(err)
	}
	r.from.Reset(nil)
	gzipReaders.Put(r)
	return out, err
}

// declared is what the last member says at its end, which mostly is the only one.
func (gzipCompressor) declared(src []byte) int {
	if len(src) < 4 {
		return 0
	}
	size := binary.LittleEndian.Uint32(src[len(src)-4:])
	return int(min(uint64(size), gzipRatio*uint64(len(src))))
}

// appendAtMost appends what r holds to dst, which grows as it arrives; guess is
// how much that may be. On error it returns dst.
func appendAtMost(dst []byte, r io.Reader, limit, guess int) ([]byte, error) {
	const least = 512
	out := slices.Grow(dst, min(guess, limit)+least)
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out)-len(dst) > limit:
			return dst, inflatedTooLarge(limit)
		case err == io.EOF:
			return out, nil
		case err != nil:
			return dst, corruptCompression(err)
		}
		if len(out) == cap(out) {
			have := len(out) - len(dst)
			out = slices.Grow(out, min(have, limit-have)+least)
		}
	}
}
