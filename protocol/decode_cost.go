package protocol

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
)

// ErrTooManyElements is wrapped by the check of a body that holds more elements
// than maxElements, or whose elements, decoded into the type that is wanted,
// could take more memory than a body may.
//
// The latter is because a body of a million one-byte elements, decoded into a
// slice of large structs, costs a million large structs. What a body may cost
// is the largest of 64 MiB, 64 bytes for each element of maxElements, and 16
// times the body's length; what it can cost at worst is estimated from above by
// its containers and elements and by the types reachable from the one wanted.
var ErrTooManyElements = errors.New("too many elements")

// ErrTooDeep is wrapped by the check of a body whose containers nest deeper than
// MaxDepth.
var ErrTooDeep = errors.New("nested too deeply")

const (
	decodeBudgetFloor      = 64 << 20
	decodeBudgetPerElement = 64
	decodeBudgetPerByte    = 16

	// fewElements is up to what number no cost is reckoned: a body of a few
	// fields costs no more than a few values of the types that its receiver
	// chose.
	fewElements = 32
)

// elementCounts is what a check counted in a body.
type elementCounts struct {
	elements   int // array elements
	containers int // maps and objects
	entries    int // pairs of key and value in them
}

func (c *elementCounts) total() int { return c.elements + 2*c.entries }

// decodeCost is the worst that decoding into a type can allocate, in bytes, per
// thing that a body holds. What a body spends bytes of its own on, such as
// strings, is not in it.
type decodeCost struct {
	element   uint64 // per array element
	container uint64 // per map
	entry     uint64 // per key with its value
	maps      bool   // a Go map is reachable
	interns   bool   // a field with msgpack's intern option is reachable
}

// check reports whether a body of n bytes with these counts may be decoded.
func (c *decodeCost) check(counts elementCounts, n, maxElements int) error {
	if maxElements < 0 {
		return nil
	}
	if counts.total() > maxElements {
		return fmt.Errorf("%w: more than %d", ErrTooManyElements, maxElements)
	}
	cost := uint64(counts.elements)*c.element + uint64(counts.containers)*c.container + uint64(counts.entries)*c.entry
	budget := max(decodeBudgetFloor, decodeBudgetPerElement*uint64(maxElements), decodeBudgetPerByte*uint64(n))
	if cost > budget {
		return fmt.Errorf("%w: %d in %d bytes could take %d MiB, at most %d MiB are allowed: raise the limit of elements if this is meant",
			ErrTooManyElements, counts.total(), n, cost>>20, budget>>20)
	}
	return nil
}

var decodeCosts sync.Map // reflect.Type to *decodeCost

// decodeCostOf returns the cost of decoding into v, from v's type alone. It is
// computed once for a type.
func decodeCostOf(v any) *decodeCost {
	t := reflect.TypeOf(v)
	if c, ok := decodeCosts.Load(t); ok {
		return c.(*decodeCost)
	}
	w := costWalk{seen: make(map[reflect.Type]bool)}
	if t != nil {
		w.visit(t)
	}
	c, _ := decodeCosts.LoadOrStore(t, w.cost())
	return c.(*decodeCost)
}

// Sizes of the runtime's own parts, rounded up: see internal/runtime/maps.
const (
	mapHeaderSize   = 64  // the map itself and a group's control word
	mapGroupSlots   = 8   // what the first entry of a map allocates
	mapInlineLimit  = 128 // larger keys and values are allocated apart
	smallestAlloc   = 16
	boxedValueSize  = 24 // a slice header or a time in an interface
	interfaceSize   = 16
	largestCostUnit = math.MaxInt64 >> 32 // keeps cost times count within 64 bits
)

// costWalk gathers the largest parts of all types reachable from one.
type costWalk struct {
	seen map[reflect.Type]bool

	sliceElem uint64 // the largest element of a slice
	pointee   uint64 // the longest chain of pointers, with what they point to
	embedded  uint64 // pointees of embedded pointers, allocated with any field
	mapFixed  uint64
	mapEntry  uint64
	maps      bool
	interns   bool
}

func (w *costWalk) cost() *decodeCost {
	// Slices grow by copying: both are alive then, and the new one is a quarter
	// larger than needed.
	value := w.pointee + w.embedded + smallestAlloc
	return &decodeCost{
		element:   min(largestCostUnit, w.sliceElem*9/4+value),
		container: min(largestCostUnit, w.mapFixed),
		entry:     min(largestCostUnit, w.mapEntry+2*value),
		maps:      w.maps,
		interns:   w.interns,
	}
}

func (w *costWalk) visit(t reflect.Type) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		w.pointee = max(w.pointee, pointerChain(t))
		w.visit(t.Elem())
	case reflect.Slice:
		w.sliceElem = max(w.sliceElem, uint64(t.Elem().Size()))
		w.visit(t.Elem())
	case reflect.Array:
		w.visit(t.Elem())
	case reflect.Map:
		w.maps = true
		w.addMap(uint64(t.Key().Size()), uint64(t.Elem().Size()))
		w.visit(t.Key())
		w.visit(t.Elem())
	case reflect.Interface:
		w.addAny()
	case reflect.Struct:
		w.visitStruct(t)
	}
}

func (w *costWalk) visitStruct(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		if _, options, ok := strings.Cut(f.Tag.Get("msgpack"), ","); ok && strings.Contains(options, "intern") {
			w.interns = true
		}
		if f.Anonymous && f.Type.Kind() == reflect.Pointer && !w.seen[f.Type] {
			w.embedded += pointerChain(f.Type)
		}
		w.visit(f.Type)
	}
}

// addAny adds what a decoder makes of a body when nothing is known of the type:
// slices and maps of interfaces that hold boxed values.
func (w *costWalk) addAny() {
	w.sliceElem = max(w.sliceElem, interfaceSize)
	w.pointee = max(w.pointee, boxedValueSize)
	w.addMap(interfaceSize, interfaceSize)
}

func (w *costWalk) addMap(key, value uint64) {
	slot := min(key, mapInlineLimit) + min(value, mapInlineLimit)
	apart := key + value // a decoder's temporaries, or the large ones themselves
	w.mapFixed = max(w.mapFixed, mapHeaderSize+mapGroupSlots*slot)
	// Tables are powers of two and at most seven eighths full, and split while
	// the old half is alive.
	w.mapEntry = max(w.mapEntry, slot*5/2+apart)
}

// pointerChain is the size of everything that one value can allocate behind a
// pointer, which may point to a pointer.
func pointerChain(t reflect.Type) uint64 {
	var size uint64
	for range MaxDepth { // a type may be a pointer to itself
		if t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
		size += max(smallestAlloc, uint64(t.Size()))
	}
	return size
}
