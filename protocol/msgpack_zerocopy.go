package protocol

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
)

// bodyKeeper is what is known of a type.
type bodyKeeper struct {
	t     reflect.Type
	keeps bool
}

// bodyKeepers holds the types that were seen. What was asked for last is found in
// recentKeepers for less: it is asked on every call.
var (
	bodyKeepers   sync.Map // reflect.Type to *bodyKeeper
	recentKeepers [64]atomic.Pointer[bodyKeeper]
)

// keepsBody reports whether the generated methods of a type leave slices of the body
// that they read in its values: those of fields tagged `msg:",zerocopy"`. Such a value
// gets a copy of the body for itself, since the body is only lent. It is found out
// once for a type.
func keepsBody(t reflect.Type) bool {
	recent := &recentKeepers[reflect.ValueOf(t).Pointer()>>6%uintptr(len(recentKeepers))]
	k := recent.Load()
	if k == nil || k.t != t {
		k = bodyKeeperOf(t)
		recent.Store(k)
	}
	return k.keeps
}

//go:noinline
func bodyKeeperOf(t reflect.Type) *bodyKeeper {
	if known, ok := bodyKeepers.Load(t); ok {
		return known.(*bodyKeeper)
	}
	k := &bodyKeeper{t, reachesZeroCopy(t, make(map[reflect.Type]bool))}
	bodyKeepers.Store(t, k)
	return k
}

func reachesZeroCopy(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return reachesZeroCopy(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isZeroCopy(f) || reachesZeroCopy(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// isZeroCopy looks for the option in all tags of a field: a directive may have msgp's
// generator read another than msg.
func isZeroCopy(f reflect.StructField) bool {
	return strings.Contains(string(f.Tag), ",zerocopy")
}
