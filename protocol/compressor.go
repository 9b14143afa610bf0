package protocol

// CompressType names the compression of a body; it travels in the header.
type CompressType uint8

// The compressors that every sinew process has.
const (
	CompressTypeNone   CompressType = 0 // the default
	CompressTypeGzip   CompressType = 1
	CompressTypeSnappy CompressType = 2
	CompressTypeZstd   CompressType = 3
)
