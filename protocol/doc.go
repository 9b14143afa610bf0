// Package protocol is what travels between two sinew processes, as pure
// functions on bytes: the frame and its header, status codes and the one error
// that crosses the wire, metadata, serializers and compressors.
//
// It imports nothing of sinew and opens no connection. The layout is written
// out for implementers in other languages in SPEC.md at the root of the
// repository; the vectors in testdata/golden are the same bytes.
package protocol
