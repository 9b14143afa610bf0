package protocol

import (
	"bytes"
	"maps"
)

// HeaderReader parses the headers that one connection brings. Most peers send the
// same metadata with every request; one that came with the request before is not
// read again. The zero value is ready. It is not safe for concurrent use.
type HeaderReader struct {
	// Intern makes strings of names, see ParseHeader. May be nil.
	Intern func([]byte) string

	last *lastMeta // nil until a request had metadata
}

// maxLastMeta is up to how many bytes of metadata are remembered.
const maxLastMeta = 512

// lastMeta is the metadata of the request before.
type lastMeta struct {
	encoded []byte
	meta    map[string]string // nil until it came twice: nobody else has it, and nobody writes to it
}

// Parse is ParseHeader. The metadata of a request may be one that others have too:
// see Header.OwnMeta.
func (r *HeaderReader) Parse(b []byte, h *Header) error { return readHeader(b, h, r.Intern, r) }

// OwnMeta has h hold metadata that nobody else holds, so that it may be written to.
// It need not be called for headers that no HeaderReader has parsed.
func (h *Header) OwnMeta() {
	if h.lentMeta {
		h.MetaData, h.lentMeta = maps.Clone(h.MetaData), false
	}
}

// MetaTooLarge reports whether h has more metadata than MaxMetaSize.
func (h *Header) MetaTooLarge() bool {
	return !h.lentMeta && len(h.MetaData) > 0 && MetaSize(h.MetaData) > MaxMetaSize // what is lent is small
}

// meta reads metadata from d, or finds that it is the last one's. An encoded map
// tells where it ends: what begins with the bytes of the last one is the last one.
func (r *HeaderReader) meta(d *decoder) (m map[string]string, lent bool) {
	last := r.last
	repeated := last != nil && len(last.encoded) > 0 && bytes.HasPrefix(d.rest, last.encoded)
	if repeated && last.meta != nil {
		d.rest = d.rest[len(last.encoded):]
		return last.meta, true
	}
	begun := d.rest
	m = d.meta()
	switch encoded := begun[:len(begun)-len(d.rest)]; {
	case d.bad || len(m) == 0 || len(encoded) > maxLastMeta:
	case repeated:
		last.meta = m
		return m, true
	default:
		r.remember(encoded)
	}
	return m, false
}

func (r *HeaderReader) remember(encoded []byte) {
	if r.last == nil {
		r.last = new(lastMeta)
	}
	r.last.encoded = append(r.last.encoded[:0], encoded...)
	r.last.meta = nil
}
