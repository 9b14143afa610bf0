package protocol

import (
	"context"
	"reflect"
	"strings"
	"testing"
)

func TestWithMetaAddsToWhatIsThere(t *testing.T) {
	base := WithMeta(context.Background(), "a", "1")
	left, right := WithMeta(base, "b", "2"), WithMeta(base, "a", "3")
	for name, tt := range map[string]struct {
		ctx  context.Context
		want map[string]string
	}{
		"nothing":     {context.Background(), nil},
		"one":         {base, map[string]string{"a": "1"}},
		"another":     {left, map[string]string{"a": "1", "b": "2"}},
		"overwritten": {right, map[string]string{"a": "3"}},
	} {
		shared, err := SharedOutgoingMeta(tt.ctx)
		if got := OutgoingMeta(tt.ctx); !reflect.DeepEqual(got, tt.want) || !reflect.DeepEqual(shared, tt.want) || err != nil {
			t.Errorf("%s: %v, %v, %v, want %v", name, got, shared, err, tt.want)
		}
	}
	OutgoingMeta(base)["a"] = "changed"
	if OutgoingMeta(base)["a"] != "1" {
		t.Error("OutgoingMeta gave its own map away")
	}
}

func TestInvalidMetaFailsTheCallNotSent(t *testing.T) {
	many := context.Background()
	for i := range 20 {
		many = WithMeta(many, "k"+strings.Repeat("x", i), strings.Repeat("v", 1000))
	}
	for name, ctx := range map[string]context.Context{
		"a key of the framework":  WithMeta(context.Background(), MetaAuth, "x"),
		"an empty key":            WithMeta(context.Background(), "", "x"),
		"a key in capitals":       WithMeta(context.Background(), "Key", "x"),
		"a key with a space":      WithMeta(context.Background(), "a b", "x"),
		"a line break in a value": WithMeta(context.Background(), "k", "a\r\nb"),
		"NUL in a value":          WithMeta(context.Background(), "k", "\x00"),
		"more than 16 KiB":        many,
		"before a valid one":      WithMeta(WithMeta(context.Background(), "K", "x"), "k", "x"),
	} {
		if meta, err := SharedOutgoingMeta(ctx); meta != nil || CodeOf(err) != InvalidArgument || OutcomeOf(err) != NotSent {
			t.Errorf("%s: %v, %v, outcome %v", name, meta, err, OutcomeOf(err))
		}
	}
}

func TestWhatCameIsNotWhatGoes(t *testing.T) {
	ctx := WithIncomingMeta(WithMeta(context.Background(), "out", "1"), map[string]string{"in": "2", MetaAuth: "x"})
	if got := MetaFrom(ctx); !reflect.DeepEqual(got, map[string]string{"in": "2", MetaAuth: "x"}) {
		t.Errorf("MetaFrom: %v", got)
	}
	if got := OutgoingMeta(ctx); !reflect.DeepEqual(got, map[string]string{"out": "1"}) {
		t.Errorf("OutgoingMeta: %v", got)
	}
	if v, ok := MetaValue(ctx, "in"); v != "2" || !ok {
		t.Errorf("MetaValue: %q, %v", v, ok)
	}
	if v, ok := MetaValue(context.Background(), "in"); v != "" || ok || MetaFrom(context.Background()) != nil {
		t.Errorf("without any: %q, %v", v, ok)
	}
	MetaFrom(ctx)["in"] = "changed"
	if v, _ := MetaValue(ctx, "in"); v != "2" {
		t.Error("MetaFrom gave its own map away")
	}
}

func TestCheckMetaShowsNoCredential(t *testing.T) {
	err := CheckMeta(map[string]string{MetaAuth: "s3cr3t\n"})
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), MetaAuth) {
		t.Error(err)
	}
}

func TestCheckMeta(t *testing.T) {
	for name, tt := range map[string]struct {
		meta map[string]string
		ok   bool
	}{
		"none":                     {nil, true},
		"keys of the framework":    {map[string]string{MetaTagPrefix + "idc": "lf", MetaAuth: "x"}, true},
		"every byte of a key":      {map[string]string{"abcxyz0189._-": ""}, true},
		"as much as fits":          {map[string]string{"k": strings.Repeat("v", MaxMetaSize-1)}, true},
		"a byte more":              {map[string]string{"k": strings.Repeat("v", MaxMetaSize)}, false},
		"a key that is not ASCII":  {map[string]string{"ключ": ""}, false},
		"a key with a line break":  {map[string]string{"a\n": ""}, false},
		"a value with a line feed": {map[string]string{"a": "\n"}, false},
	} {
		if err := CheckMeta(tt.meta); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := &Message{Header: Header{Seq: 1, MetaData: map[string]string{"k": "v"}}, Body: []byte("body")}
	c := m.Clone()
	m.Body[0], m.MetaData["k"] = 'B', "changed"
	if string(c.Body) != "body" || c.MetaData["k"] != "v" || c.Seq != 1 {
		t.Errorf("%+v", c)
	}
	if c := new(Message).Clone(); c.Body != nil || c.MetaData != nil {
		t.Errorf("an empty one: %+v", c)
	}
}
