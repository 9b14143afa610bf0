package protocol

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// CompressType names the compression of a body; it travels in the header.
type CompressType uint8

// The compressors that every sinew process has. Users register theirs from
// FirstUserCompressor upwards.
const (
	CompressTypeNone   CompressType = 0 // the default
	CompressTypeGzip   CompressType = 1 // RFC 1952
	CompressTypeSnappy CompressType = 2 // the block format
	CompressTypeZstd   CompressType = 3 // RFC 8878

	// FirstUserCompressor is the lowest number that RegisterCompressor takes.
	FirstUserCompressor CompressType = 16
)

// String returns the compressor's name, as CompressorName does.
func (t CompressType) String() string { return CompressorName(t) }

var (
	// ErrUnknownCompressor is wrapped, with the number, by Compress and Inflate
	// when no compressor is registered under it.
	ErrUnknownCompressor = errors.New("protocol: unknown compressor")

	// ErrInflatedTooLarge is wrapped, with the limit, when a compressed body
	// inflates, or says that it inflates, beyond what is allowed.
	ErrInflatedTooLarge = errors.New("protocol: compressed body inflates beyond the limit")

	// ErrCorruptCompression is wrapped, with the codec's own error, when a body
	// is not what its compressor writes.
	ErrCorruptCompression = errors.New("protocol: compressed body is corrupt")
)

// Compressor makes bodies shorter. Its methods may run concurrently, must not
// keep dst or src, and are given a src that does not overlap dst.
type Compressor interface {
	// Append appends the compressed form of src to dst and returns the extended
	// slice.
	Append(dst, src []byte) ([]byte, error)
	// AppendInflated appends what src was made from to dst, at most limit bytes,
	// and returns the extended slice. Beyond limit it fails with an error that
	// wraps ErrInflatedTooLarge. It makes room as output arrives, whatever src
	// declares. On error it returns dst as it was.
	AppendInflated(dst, src []byte, limit int) ([]byte, error)
}

// Compress appends the compressed form of src by compressor t to dst and returns
// the extended slice; CompressTypeNone appends src as it is. On error, which may
// wrap ErrUnknownCompressor, it returns dst as it was; a panic of the compressor
// is returned as a *PanicError. It may run concurrently.
func Compress(t CompressType, dst, src []byte) ([]byte, error) {
	if t == CompressTypeNone {
		return append(dst, src...), nil
	}
	c, ok := CompressorOf(t)
	if !ok {
		return dst, unknownCompressor(t)
	}
	return contain(dst, func() ([]byte, error) { return c.Append(dst, src) })
}

// Inflate appends what src was compressed from by compressor t to dst, at most
// limit bytes, and returns the extended slice; CompressTypeNone appends src as it
// is. On error it returns dst as it was. The errors wrap ErrUnknownCompressor,
// ErrInflatedTooLarge or ErrCorruptCompression, or are what a user's compressor
// returned; a panic of the compressor is returned as a *PanicError. It may run
// concurrently.
func Inflate(t CompressType, dst, src []byte, limit int) ([]byte, error) {
	if t == CompressTypeNone {
		if len(src) > limit {
			return dst, inflatedTooLarge(limit)
		}
		return append(dst, src...), nil
	}
	c, ok := CompressorOf(t)
	if !ok {
		return dst, unknownCompressor(t)
	}
	return contain(dst, func() ([]byte, error) { return c.AppendInflated(dst, src, max(limit, 0)) })
}

// InflatedSize returns how many bytes src says that it inflates to by compressor t,
// at most what its length makes possible; 0 where it does not say. It may be wrong
// both ways: Inflate finds out. It costs next to nothing, and may run concurrently.
func InflatedSize(t CompressType, src []byte) int {
	c, _ := CompressorOf(t)
	if d, ok := c.(declaring); ok {
		return d.declared(src)
	}
	return 0
}

// declaring is a Compressor whose output says what it inflates to.
type declaring interface{ declared(src []byte) int }

// contain runs f, and returns dst where it fails or panics.
func contain(dst []byte, f func() ([]byte, error)) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p}
		}
		if err != nil {
			out = dst
		}
	}()
	return f()
}

func unknownCompressor(t CompressType) error {
	return fmt.Errorf("%w %d: register it with RegisterCompressor in every process that uses it", ErrUnknownCompressor, uint8(t))
}

func inflatedTooLarge(limit int) error {
	return fmt.Errorf("%w of %d bytes", ErrInflatedTooLarge, limit)
}

func corruptCompression(err error) error {
	return fmt.Errorf("%w: %w", ErrCorruptCompression, err)
}

// sliceWriter appends what is written to it.
type sliceWriter struct{ out []byte }

// Write appends b.
func (w *sliceWriter) Write(b []byte) (int, error) {
	w.out = append(w.out, b...)
	return len(b), nil
}

// namedCompressor is one row of the table of compressors.
type namedCompressor struct {
	name       string
	compressor Compressor
}

// compressors are the users' rows. The table is replaced as a whole, so that a
// call takes no lock to look one up; the mutex orders those who replace it.
var (
	registerCompressor sync.Mutex
	compressors        atomic.Pointer[map[CompressType]namedCompressor]
)

// builtinCompressor is the table's part that needs no registration.
func builtinCompressor(t CompressType) (namedCompressor, bool) {
	switch t {
	case CompressTypeGzip:
		return namedCompressor{"gzip", gzipCompressor{}}, true
	case CompressTypeSnappy:
		return namedCompressor{"snappy", snappyCompressor{}}, true
	case CompressTypeZstd:
		return namedCompressor{"zstd", zstdCompressor{}}, true
	}
	return namedCompressor{}, false
}

// RegisterCompressor makes c the process's compressor number t,
// FirstUserCompressor or above, under the name by which a peer's hello lists it.
// Call it at program start: a message with t that comes earlier is refused. It
// refuses a reserved number, a nil compressor, an empty name, and a number or
// name that is taken. It may run concurrently with everything else.
func RegisterCompressor(t CompressType, name string, c Compressor) error {
	switch {
	case t < FirstUserCompressor:
		return fmt.Errorf("protocol: compressor number %d is reserved: use %d to 255", uint8(t), uint8(FirstUserCompressor))
	case c == nil:
		return fmt.Errorf("protocol: compressor %d (%q) is nil", uint8(t), name)
	case name == "":
		return fmt.Errorf("protocol: compressor %d has no name", uint8(t))
	}
	registerCompressor.Lock()
	defer registerCompressor.Unlock()
	table := make(map[CompressType]namedCompressor)
	if old := compressors.Load(); old != nil {
		maps.Copy(table, *old)
	}
	if have, ok := table[t]; ok {
		return fmt.Errorf("protocol: compressor number %d is taken by %q", uint8(t), have.name)
	}
	if have, ok := CompressorNamed(name); ok {
		return fmt.Errorf("protocol: compressor name %q is taken by number %d", name, uint8(have))
	}
	table[t] = namedCompressor{name, c}
	compressors.Store(&table)
	return nil
}

func lookupCompressor(t CompressType) (namedCompressor, bool) {
	if t < FirstUserCompressor {
		return builtinCompressor(t)
	}
	table := compressors.Load()
	if table == nil {
		return namedCompressor{}, false
	}
	row, ok := (*table)[t]
	return row, ok
}

// CompressorOf returns the compressor number t, and whether there is one; there
// is none for CompressTypeNone. It may run concurrently.
func CompressorOf(t CompressType) (Compressor, bool) {
	row, ok := lookupCompressor(t)
	return row.compressor, ok
}

// CompressorName returns the name of compressor number t ("gzip", "snappy",
// "zstd", or as registered), "none" for CompressTypeNone, or "compressor(t)" when
// there is none. It may run concurrently.
func CompressorName(t CompressType) string {
	if t == CompressTypeNone {
		return "none"
	}
	if row, ok := lookupCompressor(t); ok {
		return row.name
	}
	return fmt.Sprintf("compressor(%d)", uint8(t))
}

// CompressorNamed returns the number of the compressor that CompressorName calls
// name, and whether there is one. It may run concurrently.
func CompressorNamed(name string) (CompressType, bool) {
	for t := CompressTypeNone; t <= CompressTypeZstd; t++ {
		if CompressorName(t) == name {
			return t, true
		}
	}
	if table := compressors.Load(); table != nil {
		for t, row := range *table {
			if row.name == name {
				return t, true
			}
		}
	}
	return CompressTypeNone, false
}
