package gateway

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

const (
	headerRequestID = "X-Request-Id"
	maxRequestID    = 128 // bytes
)

type requestIDKey struct{}

// RequestID returns the id by which r is known on its whole way: what the caller
// sent as X-Request-Id, if that is 1 to 128 visible ASCII characters, or what
// the Gateway that serves r made up. It is in the response's X-Request-Id, and
// travels with calls as "sinew-request-id".
func RequestID(r *http.Request) string {
	if id, ok := r.Context().Value(requestIDKey{}).(string); ok {
		return id
	}
	id := first(r.Header, headerRequestID)
	if !validRequestID(id) {
		return ""
	}
	return id
}

// withRequestID returns r, or a copy that knows the id which was made up for it.
func withRequestID(r *http.Request) (*http.Request, string) {
	if id := RequestID(r); id != "" {
		return r, id
	}
	id := newRequestID()
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)), id
}

func validRequestID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}

// newRequestID returns 32 hexadecimal digits. It tells requests apart and is no
// secret.
func newRequestID() string {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.EncodeToString(raw[:])
}
