package protocol

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Metadata keys of the framework itself. Users cannot set keys that begin with
// MetaReserved.
const (
	MetaReserved   = "sinew-"
	MetaAuth       = "sinew-auth"
	MetaTagPrefix  = "sinew-tag-"
	MetaPriority   = "sinew-priority"
	MetaRequestID  = "sinew-request-id"
	MetaRetryAfter = "sinew-retry-after" // in a response, milliseconds
	MetaErrorID    = "sinew-error-id"    // in a response, see RegisterError
	MetaComeAgain  = "sinew-come-again"  // in a goaway that concerns the connection alone; any value

	// Of the hello frame.
	MetaMaxMessage = "sinew-max-message" // bytes
	MetaCompress   = "sinew-compress"    // accepted compressors, comma list
	MetaFeatures   = "sinew-features"    // comma list
	MetaIdentity   = "sinew-identity"    // comma list
	MetaAgent      = "sinew-agent"       // free text
)

// MaxMetaSize bounds the metadata of one frame: keys and values together, in
// bytes.
const MaxMetaSize = 16 << 10

type outgoingKey struct{}

// outgoing is immutable: WithMeta copies it.
type outgoing struct {
	meta map[string]string
	err  error // of the first invalid WithMeta; the call that carries it fails
}

// WithMeta returns a context whose next calls carry key k with value v, beside
// what ctx already carries. Keys are [a-z0-9._-]+ and must not begin with
// "sinew-"; values hold no CR, LF or NUL; all together are at most MaxMetaSize
// bytes. A violation does not panic here: the call that is made with the
// context fails with InvalidArgument, outcome NotSent.
//
// What a request brought is never sent on by itself: see MetaFrom.
func WithMeta(ctx context.Context, k, v string) context.Context {
	old, _ := ctx.Value(outgoingKey{}).(*outgoing)
	next := &outgoing{meta: map[string]string{}}
	if old != nil {
		next.meta, next.err = maps.Clone(old.meta), old.err
	}
	next.meta[k] = v
	if next.err == nil {
		next.err = checkUserMeta(k, v, next.meta)
	}
	return context.WithValue(ctx, outgoingKey{}, next)
}

func checkUserMeta(k, v string, all map[string]string) error {
	if strings.HasPrefix(k, MetaReserved) {
		return fmt.Errorf("metadata key %.64q: keys that begin with %q are the framework's", k, MetaReserved)
	}
	if err := checkMetaKey(k); err != nil {
		return err
	}
	if err := checkMetaValue(v); err != nil {
		return fmt.Errorf("metadata key %.64q: %w", k, err)
	}
	return checkMetaSize(all)
}

// OutgoingMeta returns a copy of what the next call made with ctx will carry.
func OutgoingMeta(ctx context.Context) map[string]string {
	if o, ok := ctx.Value(outgoingKey{}).(*outgoing); ok {
		return maps.Clone(o.meta)
	}
	return nil
}

// SharedOutgoingMeta is OutgoingMeta without the copy, for those that only
// encode it: the map must not be changed. The error is that of an invalid
// WithMeta, with code InvalidArgument and outcome NotSent.
func SharedOutgoingMeta(ctx context.Context) (map[string]string, error) {
	o, ok := ctx.Value(outgoingKey{}).(*outgoing)
	if !ok {
		return nil, nil
	}
	if o.err != nil {
		return nil, (&Error{Code: InvalidArgument, Message: o.err.Error(), cause: o.err}).WithOutcome(NotSent)
	}
	return o.meta, nil
}

// IncomingMetaKey is the context key under which a handler's context holds the
// metadata of its request, a map[string]string. Use MetaFrom and MetaValue to
// read it; it is exported for those that build such contexts.
type IncomingMetaKey struct{}

// WithIncomingMeta returns a context for which MetaFrom returns m. It is for
// tests of handlers and for gateways; m must not be changed afterwards.
func WithIncomingMeta(ctx context.Context, m map[string]string) context.Context {
	return context.WithValue(ctx, IncomingMetaKey{}, m)
}

// MetaFrom returns a copy of the metadata that the request brought, keys of the
// framework included; nil when it brought none.
func MetaFrom(ctx context.Context) map[string]string {
	m, _ := ctx.Value(IncomingMetaKey{}).(map[string]string)
	return maps.Clone(m)
}

// MetaValue returns one value that the request brought, without copying the rest.
func MetaValue(ctx context.Context, k string) (v string, ok bool) {
	m, _ := ctx.Value(IncomingMetaKey{}).(map[string]string)
	v, ok = m[k]
	return v, ok
}

// CheckMeta reports what makes m unfit to travel: a key or value with forbidden
// bytes, or a total above MaxMetaSize. Keys of the framework are allowed. The error
// shows values, but not the credential's.
func CheckMeta(m map[string]string) error {
	for k, v := range m {
		if err := checkMetaKey(k); err != nil {
			return err
		}
		if err := checkMetaValue(v); err != nil {
			if k == MetaAuth { // a secret, and errors are logged and passed on
				err = errors.New("the value, which is not shown, holds CR, LF or NUL")
			}
			return fmt.Errorf("metadata key %.64q: %w", k, err)
		}
	}
	return checkMetaSize(m)
}

func checkMetaSize(m map[string]string) error {
	if size := MetaSize(m); size > MaxMetaSize {
		return fmt.Errorf("metadata of %d bytes; at most %d fit", size, MaxMetaSize)
	}
	return nil
}

// MetaSize returns the bytes of all keys and values of m.
func MetaSize(m map[string]string) int {
	size := 0
	for k, v := range m {
		size += len(k) + len(v)
	}
	return size
}

func checkMetaKey(k string) error {
	if k == "" {
		return fmt.Errorf("metadata key is empty")
	}
	for i := range len(k) {
		switch c := k[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("metadata key %.64q: only a-z, 0-9, '.', '_' and '-' are allowed", k)
		}
	}
	return nil
}

func checkMetaValue(v string) error {
	if strings.ContainsAny(v, "\r\n\x00") {
		return fmt.Errorf("value %.64q holds CR, LF or NUL", v)
	}
	return nil
}

// userMeta returns the entries of m that are not the framework's.
func userMeta(m map[string]string) map[string]string {
	var out map[string]string
	for k, v := range m {
		if strings.HasPrefix(k, MetaReserved) {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(m))
		}
		out[k] = v
	}
	return out
}

// maxRetryAfter is the longest wait that a response can ask for.
const maxRetryAfter = 24 * time.Hour

func formatMillis(d time.Duration) string {
	d = min(d, maxRetryAfter)
	return strconv.FormatInt(max(1, int64((d+time.Millisecond-1)/time.Millisecond)), 10)
}

func parseMillis(s string) time.Duration {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms < 0 || ms > int64(maxRetryAfter/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
