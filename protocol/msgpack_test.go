package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"github.com/vmihailenco/msgpack/v5"
)

func sampleRecords() map[string]GenRecord {
	when := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	full := GenRecord{
		ID: -1 << 40, U: 1 << 31, Name: "récord", Body: []byte{0, 1, 2}, On: true, F32: 1.5, F64: math.Pi,
		When: when, Took: time.Minute, List: []int32{-1, 0, 1 << 30}, Strings: []string{"", "a"},
		Tags: map[string]string{"k": "v"}, Nested: GenNested{1, 2}, Pointer: &GenNested{3, -4},
		Many: []GenNested{{5, 6}, {7, 8}}, Hash: [4]byte{9, 8, 7, 6}, Any: "any", Untaged: 300,
	}
	before1970, far, seconds := full, full, full
	before1970.When = time.Date(1901, 1, 1, 0, 0, 0, 1, time.UTC)
	far.When = time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC)
	seconds.When = time.Unix(1<<31, 0)
	return map[string]GenRecord{"zero": {}, "full": full, "before 1970": before1970, "after 2514": far, "whole seconds": seconds}
}

func plainOf(g GenRecord) PlainRecord {
	p := PlainRecord{
		ID: g.ID, U: g.U, Name: g.Name, Body: g.Body, On: g.On, F32: g.F32, F64: g.F64, When: g.When, Took: g.Took,
		List: g.List, Strings: g.Strings, Tags: g.Tags, Nested: PlainNested(g.Nested), Hash: g.Hash, Any: g.Any, Untaged: g.Untaged,
	}
	if g.Pointer != nil {
		n := PlainNested(*g.Pointer)
		p.Pointer = &n
	}
	for _, n := range g.Many {
		p.Many = append(p.Many, PlainNested(n))
	}
	return p
}

// normal makes values comparable: nil and empty containers, and the locations of
// times, do not survive the wire.
func normal(p PlainRecord) string {
	p.When = p.When.UTC()
	pointer := "nil"
	if p.Pointer != nil {
		pointer = fmt.Sprintf("%+v", *p.Pointer)
		p.Pointer = nil
	}
	return fmt.Sprintf("%+v %s", p, pointer)
}

// TestGeneratedAndReflectiveAgree is the cross table: each value encoded by the
// generated methods and by reflection, decoded by both.
func TestGeneratedAndReflectiveAgree(t *testing.T) {
	for name, gen := range sampleRecords() {
		plain := plainOf(gen)
		for encoder, v := range map[string]any{"generated": &gen, "reflective": &plain} {
			t.Run(name+"/"+encoder, func(t *testing.T) {
				body, err := Marshal(SerializeTypeMsgpack, nil, v)
				if err != nil {
					t.Fatal(err)
				}
				var g GenRecord
				if err := Unmarshal(SerializeTypeMsgpack, body, &g, 0); err != nil {
					t.Fatalf("by the generated methods: %v", err)
				}
				if got, want := normal(plainOf(g)), normal(plain); got != want {
					t.Errorf("by the generated methods:\n got %s\nwant %s", got, want)
				}
				var p PlainRecord
				if err := Unmarshal(SerializeTypeMsgpack, body, &p, 0); err != nil {
					t.Fatalf("by reflection: %v", err)
				}
				if got, want := normal(p), normal(plain); got != want {
					t.Errorf("by reflection:\n got %s\nwant %s", got, want)
				}
			})
		}
	}
}

func TestGeneratedArraysAgree(t *testing.T) {
	generated, err := Marshal(SerializeTypeMsgpack, nil, &GenPoint{X: 1, Y: -2})
	if err != nil {
		t.Fatal(err)
	}
	reflective, err := Marshal(SerializeTypeMsgpack, nil, &PlainPoint{X: 1, Y: -2})
	if err != nil {
		t.Fatal(err)
	}
	var p PlainPoint
	if err := Unmarshal(SerializeTypeMsgpack, generated, &p, 0); err != nil || p.X != 1 || p.Y != -2 {
		t.Errorf("reflection read %+v, %v", p, err)
	}
	var g GenPoint
	if err := Unmarshal(SerializeTypeMsgpack, reflective, &g, 0); err != nil || g.X != 1 || g.Y != -2 {
		t.Errorf("generated methods read %+v, %v", g, err)
	}
}

func TestGeneratedMethodsAreUsed(t *testing.T) {
	body, err := Marshal(SerializeTypeMsgpack, nil, &countingMsgp{})
	if err != nil || !bytes.Equal(body, []byte{0x2a}) {
		t.Fatalf("Marshal: %x, %v", body, err)
	}
	var c countingMsgp
	if err := Unmarshal(SerializeTypeMsgpack, body, &c, 0); err != nil || !c.unmarshalled {
		t.Fatalf("Unmarshal: %+v, %v", c, err)
	}
	if err := Unmarshal(SerializeTypeMsgpack, []byte{0x91, 0x01}, &c, 0); !errors.Is(err, errTrailing) {
		t.Errorf("UnmarshalMsg left a byte: %v", err)
	}
	body, err = Marshal(SerializeTypeMsgpack, nil, (*GenRecord)(nil))
	if err != nil || !bytes.Equal(body, []byte{mpNil}) {
		t.Errorf("a nil pointer: %x, %v", body, err)
	}
	full := sampleRecords()["full"]
	if err := Unmarshal(SerializeTypeMsgpack, body, &full, 0); err != nil || full.ID != 0 {
		t.Errorf("nil into a struct: %+v, %v", full, err)
	}
}

// countingMsgp takes one byte, whatever it is.
type countingMsgp struct{ unmarshalled bool }

func (c *countingMsgp) MarshalMsg(b []byte) ([]byte, error) { return append(b, 0x2a), nil }
func (c *countingMsgp) UnmarshalMsg(b []byte) ([]byte, error) {
	c.unmarshalled = true
	return b[1:], nil
}

type msgpMethods struct{}

func (msgpMethods) MarshalMsg(b []byte) ([]byte, error)   { return append(b, 0x80), nil }
func (msgpMethods) UnmarshalMsg(b []byte) ([]byte, error) { return b, nil }

func TestCheckTags(t *testing.T) {
	type inner struct {
		A int `msg:"a" msgpack:"b"`
	}
	type differs struct {
		msgpMethods `msg:"-" msgpack:"-"`
		Name        string `msg:"name" msgpack:"Name"`
	}
	type leftOut struct {
		msgpMethods `msg:"-" msgpack:"-"`
		Name        string `msg:"-"`
	}
	type onlyMsg struct {
		msgpMethods `msg:"-" msgpack:"-"`
		Name        string `msg:"name"`
	}
	type deep struct {
		msgpMethods `msg:"-" msgpack:"-"`
		List        []map[string]*inner
	}
	type embeds struct {
		msgpMethods `msg:"-" msgpack:"-"`
		inner
	}
	type flat struct {
		msgpMethods `msg:"-" msgpack:"-"`
		PlainNested `msg:",flatten"`
	}
	type cyclic struct {
		msgpMethods `msg:"-" msgpack:"-"`
		Next        *cyclic
		Same        string `msg:"s" msgpack:"s,omitempty"`
	}
	type array struct {
		//lint:ignore U1000 the codec reads the tag of this field
		_msgpack    struct{} `msgpack:",as_array"`
		msgpMethods `msg:"-" msgpack:"-"`
	}
	tests := []struct {
		name string
		v    any
		want []string // what the error says; none: it passes
	}{
		{"nil", nil, nil},
		{"generated", GenRecord{}, nil},
		{"generated pointer", &GenRecord{}, nil},
		{"generated array", GenPoint{}, nil},
		{"without methods", inner{}, nil},
		{"flattened", flat{}, nil},
		{"cyclic", cyclic{}, nil},
		{"names differ", differs{}, []string{"differs.Name", `"name"`, `"Name"`}},
		{"left out by one", leftOut{}, []string{"leftOut.Name", "left out"}},
		{"tag of one alone", onlyMsg{}, []string{"onlyMsg.Name", `"name"`, `"Name"`}},
		{"deep", deep{}, []string{"inner.A", `"a"`, `"b"`}},
		{"embedded", embeds{}, []string{"embeds", "inner", "noinline"}},
		{"array by one alone", array{}, []string{"array", "tuple"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := CheckTags(reflect.TypeOf(test.v))
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("CheckTags: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
		})
	}
}

func TestMsgpackRefuses(t *testing.T) {
	deepest := append(bytes.Repeat([]byte{0x91}, MaxDepth), mpNil)
	tests := []struct {
		name string
		body []byte
		max  int
		v    any
		want error
	}{
		{"nothing", nil, 0, new(any), errTruncated},
		{"two values", []byte{1, 2}, 0, new(any), errTrailing},
		{"half a number", []byte{0xcf, 1}, 0, new(any), errTruncated},
		{"half a length", []byte{0xda, 1}, 0, new(any), errTruncated},
		{"a string beyond the end", []byte{0xa2, 'x'}, 0, new(any), errTruncated},
		{"a map beyond the end", []byte{0x82, 1, 2, 3}, 0, new(any), errTruncated},
		{"siblings beyond the end", []byte{0x92, 0x92, 1, 2}, 0, new(any), errTruncated},
		{"a code that is none", []byte{0xc1}, 0, new(any), nil},
		{"as deep as allowed", deepest, 0, new(any), nil},
		{"too deep", append([]byte{0x91}, deepest...), 0, new(any), ErrTooDeep},
		{"too many elements", []byte{0x93, 1, 2, 3}, 2, new([]int), ErrTooManyElements},
		{"too many pairs", []byte{0x82, 1, 2, 3, 4}, 3, new(map[int]int), ErrTooManyElements},
		{"as many as allowed", []byte{0x93, 1, 2, 3}, 3, new([]int), nil},
		{"large elements", append([]byte{0xdd, 0, 2, 0, 0}, make([]byte, 2<<16)...), 0, new([]bigStruct), ErrTooManyElements},
		{"no limit of elements", []byte{0x93, 1, 2, 3}, -1, new([]int), nil},
		{"not a pointer", []byte{1}, 0, 7, errNotPointer},
		{"a nil pointer", []byte{1}, 0, (*int)(nil), errNotPointer},
		{"nil", []byte{1}, 0, nil, errNotPointer},
		{"an extension for a map", []byte{0xd5, 1, 0x80, 0}, 0, new(map[string]int), errAmbiguous},
		{"an extension for nil", []byte{0xd4, 1, 0xc0}, 0, new(map[string]any), errAmbiguous},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Unmarshal(SerializeTypeMsgpack, test.body, test.v, test.max)
			decode := new(DecodeError)
			switch {
			case test.name == "a code that is none":
				if err == nil {
					t.Error("no error")
				}
			case !errors.Is(err, test.want):
				t.Errorf("got %v, want %v", err, test.want)
			case test.want != nil && (!errors.As(err, &decode) || decode.Type != typeName(test.v)):
				t.Errorf("%v does not name the type", err)
			}
		})
	}
}

// TestTimesThatReadAsMaps decodes times whose payload begins with each byte that
// there is, in a type that has maps too.
func TestTimesThatReadAsMaps(t *testing.T) {
	type timed struct {
		When time.Time
		M    map[string]int
		Any  any
	}
	for b := range int64(256) {
		when := time.Unix(b<<24, 0).UTC()
		body, err := Marshal(SerializeTypeMsgpack, nil, &timed{When: when, M: map[string]int{"a": 1}, Any: when})
		if err != nil {
			t.Fatal(err)
		}
		var got timed
		if err := Unmarshal(SerializeTypeMsgpack, body, &got, 0); err != nil {
			t.Fatalf("%v: %v", when, err)
		}
		if !got.When.Equal(when) || got.M["a"] != 1 || !got.Any.(time.Time).Equal(when) {
			t.Fatalf("%v: got %+v", when, got)
		}
	}
}

func TestInternedStrings(t *testing.T) {
	type interned struct {
		A    string `msgpack:",intern"`
		List []struct {
			S string `msgpack:",intern"`
		}
	}
	v := interned{A: "first"}
	for i := range 600 {
		v.List = append(v.List, struct {
			S string `msgpack:",intern"`
		}{fmt.Sprintf("string %d", i%300)})
	}
	for range 2 { // the second call must not know the first one's strings
		body, err := Marshal(SerializeTypeMsgpack, nil, &v)
		if err != nil {
			t.Fatal(err)
		}
		var got interned
		if err := Unmarshal(SerializeTypeMsgpack, body, &got, 0); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Fatal("interned strings changed")
		}
	}
}

type optionChanger struct{ N int }

func (o *optionChanger) EncodeMsgpack(e *msgpack.Encoder) error {
	e.UseArrayEncodedStructs(true)
	e.UseCompactInts(false)
	return e.EncodeInt(int64(o.N))
}

type failing struct{ how string }

func (f *failing) DecodeMsgpack(d *msgpack.Decoder) error {
	if err := d.Skip(); err != nil {
		return err
	}
	return f.fail()
}
func (f *failing) EncodeMsgpack(*msgpack.Encoder) error { return f.fail() }
func (f *failing) MarshalJSON() ([]byte, error)         { return nil, f.fail() }
func (f *failing) UnmarshalJSON([]byte) error           { return f.fail() }
func (f *failing) fail() error {
	if f.how == "panic" {
		panic("on purpose")
	}
	return errOnPurpose
}

var errOnPurpose = errors.New("on purpose")

// TestCallsDoNotTouchEachOther encodes and decodes after calls that changed a
// codec's options, failed and panicked.
func TestCallsDoNotTouchEachOther(t *testing.T) {
	want, err := Marshal(SerializeTypeMsgpack, nil, &echo{1, []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range []SerializeType{SerializeTypeMsgpack, SerializeTypeJSON} {
		for _, how := range []string{"panic", "error"} {
			for range 3 {
				if _, err := Marshal(SerializeTypeMsgpack, nil, &optionChanger{5}); err != nil {
					t.Fatal(err)
				}
				checkContained(t, st, how)
				got, err := Marshal(SerializeTypeMsgpack, nil, &echo{1, []byte("x")})
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("after %s in %s: %x, %v, want %x", how, st, got, err, want)
				}
				var back echo
				if err := Unmarshal(SerializeTypeMsgpack, got, &back, 0); err != nil || back.ID != 1 {
					t.Fatalf("after %s in %s: %+v, %v", how, st, back, err)
				}
			}
		}
	}
}

func checkContained(t *testing.T, st SerializeType, how string) {
	t.Helper()
	dst, err := Marshal(st, []byte("kept"), &failing{how})
	encode := new(EncodeError)
	if !errors.As(err, &encode) || encode.Type != "*protocol.failing" || encode.SerializeType != st || string(dst) != "kept" {
		t.Fatalf("Marshal: %q, %v", dst, err)
	}
	if contained := new(PanicError); errors.As(err, &contained) != (how == "panic") {
		t.Fatalf("Marshal: %v", err)
	}
	err = Unmarshal(st, []byte("1"), &failing{how}, 0)
	decode := new(DecodeError)
	if !errors.As(err, &decode) || decode.Type != "*protocol.failing" || decode.SerializeType != st {
		t.Fatalf("Unmarshal: %v", err)
	}
	if how == "error" && !errors.Is(err, errOnPurpose) {
		t.Fatalf("Unmarshal: %v", err)
	}
}

func TestUnhashableKeysCostTheCallAlone(t *testing.T) {
	err := Unmarshal(SerializeTypeMsgpack, []byte{0x81, 0x91, 1, 1}, new(map[any]any), 0)
	if contained := new(PanicError); !errors.As(err, &contained) {
		t.Fatalf("got %v", err)
	}
}

// TestDecodedValuesDoNotAliasTheBody overwrites the body after it was decoded.
func TestDecodedValuesDoNotAliasTheBody(t *testing.T) {
	type all struct {
		S string
		B []byte
		M map[string]string
		A any
	}
	want := all{"string", []byte("bytes"), map[string]string{"key": "value"}, "any"}
	for _, st := range []SerializeType{SerializeTypeMsgpack, SerializeTypeJSON} {
		body, err := Marshal(st, nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := Unmarshal(st, body, &got, 0); err != nil {
			t.Fatal(err)
		}
		clear(body)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", st, got)
		}
	}
}

// viewByTag is as msgp's directive tag makes it: its field's option is in another tag.
type viewByTag struct {
	Body []byte `wire:"body,zerocopy"`
}

func (v *viewByTag) MarshalMsg(b []byte) ([]byte, error) { return msgp.AppendBytes(b, v.Body), nil }

func (v *viewByTag) UnmarshalMsg(b []byte) (rest []byte, err error) {
	v.Body, rest, err = msgp.ReadBytesZC(b)
	return rest, err
}

// Fields tagged zerocopy keep slices of what they are decoded from, which must not be
// the body then: that is only lent.
func TestZeroCopyFieldsDoNotAliasTheBody(t *testing.T) {
	view := GenView{ID: 7, Body: []byte("bytes"), Parts: []GenPart{{[]byte("one")}, {[]byte("two")}}}
	for _, want := range []any{
		&view,
		&GenPart{[]byte("alone")},
		&viewByTag{[]byte("by another tag")},
		&GenViews{map[string]*GenView{"a": &view}},
	} {
		if err := CheckTags(reflect.TypeOf(want)); err != nil {
			t.Error(err)
		}
		body, err := Marshal(SerializeTypeMsgpack, nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := Unmarshal(SerializeTypeMsgpack, body, got, 0); err != nil {
			t.Fatal(err)
		}
		clear(body)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T after its body was used again: %s", got, got)
		}
	}
}

// TestCheckPassesWhatTheCodecWrites encodes random values.
func TestCheckPassesWhatTheCodecWrites(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		v := randomValue(r, 5)
		body, err := Marshal(SerializeTypeMsgpack, nil, v)
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		if _, err := checkMsgpack(body, new(any), DefaultMaxElements); err != nil {
			t.Fatalf("%#v, encoded as %x: %v", v, body, err)
		}
		plain, err := msgpack.Marshal(v) // without compact integers
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkMsgpack(plain, new(any), DefaultMaxElements); err != nil {
			t.Fatalf("%#v, encoded as %x: %v", v, plain, err)
		}
	}
}

func randomValue(r *rand.Rand, depth int) any {
	kinds := 12
	if depth == 0 {
		kinds = 9
	}
	shift := r.UintN(64)
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64()) >> shift
	case 3:
		return r.Uint64() >> shift
	case 4:
		return r.Float32()
	case 5:
		return r.NormFloat64()
	case 6:
		return strings.Repeat("s", r.IntN(70000)>>r.UintN(17))
	case 7:
		return make([]byte, r.IntN(70000)>>r.UintN(17))
	case 8:
		return time.Unix(int64(r.Uint64()>>(16+r.UintN(48))), int64(r.IntN(2)*r.IntN(1e9)))
	case 9:
		list := make([]any, r.IntN(40))
		for i := range list {
			list[i] = randomValue(r, depth-1-r.IntN(depth))
		}
		return list
	case 10:
		m := map[string]any{}
		for i := range r.IntN(20) {
			m[fmt.Sprint(i)] = randomValue(r, depth-1-r.IntN(depth))
		}
		return m
	}
	return &linkedStruct{Next: &linkedStruct{Any: randomValue(r, depth-1)}, M: map[string]*bigStruct{"x": nil}}
}

// Generated methods that give up half-way have filled what stands before: the codec
// panics where it is to decode into an interface that holds a number.
func TestReflectionAfterGeneratedMethodsGaveUp(t *testing.T) {
	body, err := msgpack.Marshal(map[string]any{"any": 7})
	if err != nil {
		t.Fatal(err)
	}
	body[0]++                             // one field more
	body = append(body, "\xa3f64\x05"...) // an integer, where generated methods want a float
	v := GenRecord{}
	if _, err := new(GenRecord).UnmarshalMsg(body); err == nil {
		t.Fatal("the generated methods read it")
	}
	if err := Unmarshal(SerializeTypeMsgpack, body, &v, 0); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(v.Any); got != "7" || v.F64 != 5 {
		t.Errorf("any %v, f64 %v", got, v.F64)
	}
}
