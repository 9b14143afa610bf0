package protocol

import (
	"errors"
	"strings"
	"testing"
)

func TestJSONAppend(t *testing.T) {
	dst := make([]byte, 0, 64)
	got, err := Marshal(SerializeTypeJSON, append(dst, "a"...), map[string]string{"k": "<&>"})
	if err != nil || string(got) != `a{"k":"<&>"}` {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := Marshal(SerializeTypeJSON, nil, func() {}); err == nil {
		t.Error("a func has a JSON form")
	}
}

func TestJSONCheck(t *testing.T) {
	nest := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	tests := []struct {
		name string
		body string
		max  int
		v    any
		want error // nil with fails: some error
		fail bool
	}{
		{"brackets in strings", `{"a":"[[[{\"]\\","b":["\\\\","}"]}`, 0, new(any), nil, false},
		{"as deep as allowed", nest(MaxDepth), 0, new(any), nil, false},
		{"too deep", nest(MaxDepth + 1), 0, new(any), ErrTooDeep, true},
		{"too many elements", `[1,2,3]`, 2, new([]int), ErrTooManyElements, true},
		{"as many as allowed", `[1,2,3]`, 3, new([]int), nil, false},
		{"too many members", `{"a":1,"b":2}`, 3, new(map[string]int), ErrTooManyElements, true},
		{"no limit", `[1,2,3]`, -1, new([]int), nil, false},
		{"large elements", `[` + strings.Repeat("0,", 1<<17) + `0]`, 0, new([]bigStruct), ErrTooManyElements, true},
		{"open string", `["a`, 0, new(any), errTruncated, true},
		{"open array", `[1`, 0, new(any), errTruncated, true},
		{"crossed brackets", `[{]}`, 0, new(any), errUnbalanced, true},
		{"closed too often", `[]]`, 0, new(any), errUnbalanced, true},
		{"two values", `1 2`, 0, new(any), nil, true},
		{"a comma alone", `,`, 0, new(any), nil, true},
		{"nothing", ``, 0, new(any), nil, true},
		{"not a pointer", `1`, 0, 7, nil, true},
		{"nil", `1`, 0, nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Unmarshal(SerializeTypeJSON, []byte(test.body), test.v, test.max)
			if (err != nil) != test.fail || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
