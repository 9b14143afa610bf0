package bind

import (
	"iter"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/sinew-rpc/sinew/gateway/internal/params"
	"github.com/sinew-rpc/sinew/protocol"
)

// maxLeftOut bounds the elements of lists that no name speaks of, over all lists of
// a request: a name of a few bytes makes every element before its own.
const maxLeftOut = 1000

var errLeftOut = protocol.NewError(protocol.InvalidArgument, "the names leave out more than "+strconv.Itoa(maxLeftOut)+" elements of lists").WithOutcome(protocol.NotSent)

// checkNames says whether names ask more of v, a pointer to a struct, than they
// bring. A list that is written in several ways, such as "items" and "ITEMS", counts
// for each of them.
func checkNames(v any, values url.Values) error {
	lengths := make(map[string]int) // of lists
	named := make(map[element]bool)
	for name := range values {
		if !strings.Contains(name, ".") { // most names: a field's of v itself
			continue
		}
		for e := range elements(reflect.TypeOf(v), name) {
			if e.index >= len(values)+maxLeftOut {
				return errLeftOut
			}
			lengths[e.list] = max(lengths[e.list], e.index+1)
			named[e] = true
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

// element is one of a list, which is written as names have it: "items",
// "items.0.lines".
type element struct {
	list  string
	index int
}

// elements are those that a name goes through on its way into a t. It ends where
// t has nothing of the name.
func elements(t reflect.Type, name string) iter.Seq[element] {
	return func(yield func(element) bool) {
		for at := 0; at <= len(name); {
			if t = indirect(t); t == nil || t.Kind() != reflect.Struct {
				return
			}
			end := partEnd(name, at)
			if t = indirect(fieldsOf(t)[params.Fold(name[at:end])]); t == nil {
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
			if err != nil || !yield(element{list, index}) {
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
