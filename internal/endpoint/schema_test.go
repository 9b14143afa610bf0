package endpoint

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type colour string

func (colour) Enum() []any { return []any{"red", "green"} }

func (colour) Description() string { return "of the paint" }

type silent int

func (s *silent) Enum() []any { panic("not on a zero value") }

type base struct {
	ID   int64 `json:"id" required:"true" description:"which one"`
	Name string
}

type tree struct {
	Value    int
	Children []*tree `json:"children,omitempty"`
}

type paint struct {
	base
	Name    string  `validate:"min=1,required"`
	Colour  colour  `json:"colour"`
	Size    string  `json:"size" enum:"s, m,l"`
	Coats   uint8   `enum:"1,2"`
	Price   float64 `json:",omitempty"`
	Big     int64   `json:"big,string"`
	When    time.Time
	From    netip.Addr
	Raw     json.RawMessage
	Bytes   []byte
	Point   [2]float32
	Tags    map[string]bool
	Any     any
	Root    tree
	Named   base `json:"named"`
	Inline  struct{ X int32 }
	Silent  silent
	Hidden  int `json:"-"`
	private int
}

// Types that hold themselves without a struct between.
type (
	forest map[string]forest
	nested []nested
	loop   *loop
	hedge  []struct{ Next hedge }
)

func TestSchema(t *testing.T) {
	_ = paint{private: 1}
	for _, test := range []struct {
		value any
		want  string
	}{
		{struct{}{}, `{"type":"object"}`},
		{base{}, `{"title":"endpoint.base","type":"object","properties":{"id":{"description":"which one","type":"integer","format":"int64"},"Name":{"type":"string"}},"required":["id"]}`},
		{tree{}, `{"$ref":"#/$defs/endpoint.tree","$defs":{"endpoint.tree":{"title":"endpoint.tree","type":"object","properties":{"Value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/endpoint.tree"}}}}}}`},
		{"", `{"type":"string"}`},
		{[]int{}, `{"type":"array","items":{"type":"integer"}}`},
		{forest{}, `{"type":"object","additionalProperties":{}}`},
		{nested{}, `{"type":"array","items":{}}`},
		{struct{ F forest }{}, `{"type":"object","properties":{"F":{"type":"object","additionalProperties":{}}}}`},
		{new(new(base{})), `{"title":"endpoint.base","type":"object","properties":{"id":{"description":"which one","type":"integer","format":"int64"},"Name":{"type":"string"}},"required":["id"]}`},
		{loop(nil), `{}`},
		{[]*tree{}, `{"type":"array","items":{"$ref":"#/$defs/endpoint.tree"},"$defs":{"endpoint.tree":{"title":"endpoint.tree","type":"object","properties":{"Value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/endpoint.tree"}}}}}}`},
		{hedge{}, `{"type":"array","items":{"type":"object","properties":{"Next":{}}}}`},
	} {
		if got := Schema(reflect.TypeOf(test.value)); got != test.want {
			t.Errorf("%T:\n got %s\nwant %s", test.value, got, test.want)
		}
	}
}

func TestSchemaOfAllKinds(t *testing.T) {
	var got struct {
		Properties map[string]json.RawMessage
		Required   []string
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(Schema(reflect.TypeFor[paint]())), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"id":     `{"description":"which one","type":"integer","format":"int64"}`,
		"Name":   `{"type":"string"}`,
		"colour": `{"description":"of the paint","type":"string","enum":["red","green"]}`,
		"size":   `{"type":"string","enum":["s","m","l"]}`,
		"Coats":  `{"type":"integer","minimum":0,"enum":[1,2]}`,
		"Price":  `{"type":"number","format":"double"}`,
		"big":    `{"type":"string"}`,
		"When":   `{"type":"string","format":"date-time"}`,
		"From":   `{"type":"string"}`,
		"Raw":    `{}`,
		"Bytes":  `{"type":"string","contentEncoding":"base64"}`,
		"Point":  `{"type":"array","minItems":2,"maxItems":2,"items":{"type":"number","format":"float"}}`,
		"Tags":   `{"type":"object","additionalProperties":{"type":"boolean"}}`,
		"Any":    `{}`,
		"Root":   `{"$ref":"#/$defs/endpoint.tree"}`,
		"named":  `{"$ref":"#/$defs/endpoint.base"}`,
		"Inline": `{"type":"object","properties":{"X":{"type":"integer","format":"int32"}}}`,
		"Silent": `{"type":"integer"}`,
	}
	for name, schema := range want {
		if string(got.Properties[name]) != schema {
			t.Errorf("%s:\n got %s\nwant %s", name, got.Properties[name], schema)
		}
		delete(got.Properties, name)
	}
	for name, schema := range got.Properties {
		t.Errorf("unexpected property %s: %s", name, schema)
	}
	if want := []string{"id", "Name"}; !reflect.DeepEqual(got.Required, want) {
		t.Errorf("required %q, want %q", got.Required, want)
	}
	if len(got.Defs) != 2 {
		t.Errorf("%d definitions, want those of tree and base", len(got.Defs))
	}
}

// A schema names each field as encoding/json does.
func TestSchemaNamesAreThoseOfJSON(t *testing.T) {
	encoded, err := json.Marshal(paint{base: base{Name: "inner"}, Name: "outer", Raw: json.RawMessage("1"), Price: 1})
	if err != nil {
		t.Fatal(err)
	}
	var inJSON map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &inJSON); err != nil {
		t.Fatal(err)
	}
	fields := jsonFields(reflect.TypeFor[paint]())
	for _, f := range fields {
		if _, ok := inJSON[f.name]; !ok {
			t.Errorf("%s is no field in JSON", f.name)
		}
	}
	if len(fields) != len(inJSON) {
		t.Errorf("%d fields, %d in JSON", len(fields), len(inJSON))
	}
}
