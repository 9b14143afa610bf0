package bind

import (
	"iter"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/internal/params"
	"github.com/sinew-rpc/sinew/protocol"
)

const (
	// maxLeftOut bounds the elements of lists that no name speaks of, over all
	// lists of a request: a name of a few bytes makes every element before its own.
	maxLeftOut = 1000
	// maxDepth bounds the fields and elements that a name goes through, where a
	// type holds itself: what fills them calls itself for each, and a stack that
	// is too long ends the process.
	maxDepth = 256
)

var (
	errLeftOut = protocol.NewError(protocol.InvalidArgument, "the names leave out more than "+strconv.Itoa(maxLeftOut)+" elements of lists").WithOutcome(protocol.NotSent)
	errDeep    = protocol.NewError(protocol.InvalidArgument, "a name is more than "+strconv.Itoa(maxDepth)+" levels deep").WithOutcome(protocol.NotSent)
)

// checkNames says whether names ask more of v, a pointer to a struct, than they
// bring. A list that is written in several ways, such as "items" and "ITEMS", counts
// for each of them.
func checkNames(v any, values url.Values) error {
	lengths := make(map[string]int) // of lists
	named := make(map[step]bool)
	for name := range values {
		if !strings.Contains(name, ".") { // most names: a field's of v itself
			continue
		}
		depth := 0
		for s := range steps(reflect.TypeOf(v), name) {
			if depth++; depth > maxDepth {
				return errDeep
			}
			if s.list == "" {
				continue
			}
			if s.index < 0 {
				return newError([]gateway.FieldError{{Field: name, Message: "names an element before the first"}})
			}
			if s.index >= len(values)+maxLeftOut {
				return errLeftOut
			}
			lengths[s.list] = max(lengths[s.list], s.index+1)
			named[s] = true
		}
	}
	leftOut := -len(named)
	for _, length := range lengths {
		leftOut += length
	}
	if leftOut > maxLeftOut {
		return errLeftOut
	}
	return nil
}

// step leads to an element of a list, which is written as names have it ("items",
// "items.0.lines"), or where list is empty to a field.
type step struct {
	list  string
	index int
}

// steps are those of a name on its way into a t. They end where t has nothing of the
// name.
func steps(t reflect.Type, name string) iter.Seq[step] {
	return func(yield func(step) bool) {
		for at := 0; at <= len(name); {
			if t = indirect(t); t == nil || t.Kind() != reflect.Struct {
				return
			}
			end := partEnd(name, at)
			if t = indirect(fieldsOf(t)[params.Fold(name[at:end])]); t == nil || !yield(step{}) {
				return
			}
			at = end + 1
			if !isList(t) {
				continue
			}
			if at > len(name) {
				return
			}
			list := name[:end]
			end = partEnd(name, at)
			index, err := strconv.Atoi(name[at:end])
			if err != nil || !yield(step{list, index}) {
				return
			}
			t, at = t.Elem(), end+1
		}
	}
}

// partEnd is where the part of a name that begins at ends.
func partEnd(name string, at int) int {
	if dot := strings.IndexByte(name[at:], '.'); dot >= 0 {
		return at + dot
	}
	return len(name)
}

// indirect returns what t points to, or t; nil for nil.
func indirect(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// isList tells the lists whose elements names can tell apart: those of structs, or
// of arrays of them.
func isList(t reflect.Type) bool {
	if t.Kind() != reflect.Slice {
		return false
	}
	of := indirect(t.Elem())
	if of.Kind() == reflect.Array {
		of = indirect(of.Elem())
	}
	return of.Kind() == reflect.Struct
}

// knownFields is what fieldsOf has found out, by reflect.Type.
var knownFields sync.Map

// fieldsOf returns the types of the fields that a struct and those that it embeds
// have, by what params.Fold makes of their names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := knownFields.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := make(map[string]reflect.Type)
	var promoted []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		if name := params.Fold(nameOf(f)); fields[name] == nil {
			fields[name] = f.Type
		}
		if of := indirect(f.Type); f.Anonymous && of.Kind() == reflect.Struct {
			promoted = append(promoted, of)
		}
	}
	for _, of := range promoted {
		for name, field := range fieldsOf(of) {
			if fields[name] == nil {
				fields[name] = field
			}
		}
	}
	knownFields.Store(t, fields)
	return fields
}
