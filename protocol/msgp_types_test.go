package protocol

import "time"

//go:generate go run github.com/tinylib/msgp@v1.3.0 -file msgp_types_test.go -o msgp_types_gen_test.go -tests=false -io=false
//msgp:newtime
//msgp:ignore PlainRecord PlainPoint PlainNested

// GenRecord has generated methods; PlainRecord is the same without.
type GenRecord struct {
	ID      int64             `msg:"id" msgpack:"id"`
	U       uint32            `msg:"u" msgpack:"u"`
	Name    string            `msg:"name" msgpack:"name"`
	Body    []byte            `msg:"body" msgpack:"body"`
	On      bool              `msg:"on" msgpack:"on"`
	F32     float32           `msg:"f32" msgpack:"f32"`
	F64     float64           `msg:"f64" msgpack:"f64"`
	When    time.Time         `msg:"when" msgpack:"when"`
	Took    time.Duration     `msg:"took" msgpack:"took"`
	List    []int32           `msg:"list" msgpack:"list"`
	Strings []string          `msg:"strings" msgpack:"strings"`
	Tags    map[string]string `msg:"tags" msgpack:"tags"`
	Nested  GenNested         `msg:"nested" msgpack:"nested"`
	Pointer *GenNested        `msg:"pointer" msgpack:"pointer"`
	Many    []GenNested       `msg:"many" msgpack:"many"`
	Hash    [4]byte           `msg:"hash" msgpack:"hash"`
	Any     interface{}       `msg:"any" msgpack:"any"`
	Skipped string            `msg:"-" msgpack:"-"`
	Untaged int
}

type GenNested struct {
	X float64 `msgpack:"x"`
	Y int     `msg:"y" msgpack:"y"`
}

// GenView and what is in it keep slices of what they are decoded from.
type GenView struct {
	ID    int64     `msg:"id" msgpack:"id"`
	Body  []byte    `msg:"body,zerocopy" msgpack:"body"`
	Parts []GenPart `msg:"parts" msgpack:"parts"`
}

type GenPart struct {
	Data []byte `msg:"data,zerocopy" msgpack:"data"`
}

// GenViews keeps none in a field of its own.
type GenViews struct {
	Views map[string]*GenView `msg:"views" msgpack:"views"`
}

type PlainRecord struct {
	ID      int64             `msgpack:"id"`
	U       uint32            `msgpack:"u"`
	Name    string            `msgpack:"name"`
	Body    []byte            `msgpack:"body"`
	On      bool              `msgpack:"on"`
	F32     float32           `msgpack:"f32"`
	F64     float64           `msgpack:"f64"`
	When    time.Time         `msgpack:"when"`
	Took    time.Duration     `msgpack:"took"`
	List    []int32           `msgpack:"list"`
	Strings []string          `msgpack:"strings"`
	Tags    map[string]string `msgpack:"tags"`
	Nested  PlainNested       `msgpack:"nested"`
	Pointer *PlainNested      `msgpack:"pointer"`
	Many    []PlainNested     `msgpack:"many"`
	Hash    [4]byte           `msgpack:"hash"`
	Any     interface{}       `msgpack:"any"`
	Skipped string            `msgpack:"-"`
	Untaged int
}

type PlainNested struct {
	X float64 `msgpack:"x"`
	Y int     `msgpack:"y"`
}

//msgp:tuple GenPoint

// GenPoint is an array on the wire.
type GenPoint struct {
	//lint:ignore U1000 the codec reads the tag of this field
	_msgpack struct{} `msgpack:",as_array"`
	X        int64
	Y        int64
}

type PlainPoint struct {
	//lint:ignore U1000 the codec reads the tag of this field
	_msgpack struct{} `msgpack:",as_array"`
	X        int64
	Y        int64
}
