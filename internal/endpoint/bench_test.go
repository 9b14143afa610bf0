package endpoint

import (
	"fmt"
	"testing"
)

func BenchmarkCall(b *testing.B) {
	var table Table
	if err := table.Handle("S.Typed", NewTyped(addTyped)); err != nil {
		b.Fatal(err)
	}
	typed, _ := table.Lookup("S", "Typed")
	tests := []struct {
		name string
		m    *Method
	}{
		{"pointer receiver", mustRegister(b, &pointerRecv{}, "Add")},
		{"value receiver", mustRegister(b, valueRecv{}, "Add")},
		{"big value receiver", mustRegister(b, bigRecv{}, "Add")},
		{"embedded interface", mustRegister(b, embedsInterface{adder: valueRecv{}}, "Add")},
		{"typed", typed},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			ctx := b.Context()
			var req, reply any = &addRequest{1, 2}, &addReply{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tt.m.Call(ctx, req, reply); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewRequest(b *testing.B) {
	for name, m := range map[string]*Method{
		"struct": mustRegister(b, valueRecv{}, "Add"),
		"typed":  NewTyped(addTyped),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = m.NewRequest()
			}
		})
	}
}

var sink any

func BenchmarkLookup(b *testing.B) {
	for _, services := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			var table Table
			for i := range services {
				if err := table.Register(fmt.Sprintf("ArithService%d", i), valueRecv{}); err != nil {
					b.Fatal(err)
				}
			}
			service, method := []byte("ArithService0"), []byte("Add")
			b.ReportAllocs()
			for b.Loop() {
				if _, state := table.Lookup(table.Intern(service), table.Intern(method)); state != Found {
					b.Fatal(state)
				}
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	var table Table
	for _, err := range []error{
		table.Register("S", valueRecv{}),
		table.Handle("S.Typed", NewTyped(addTyped)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m, _ := table.Lookup("S", "Add")
	typed, _ := table.Lookup("S", "Typed")
	ctx, req, reply := t.Context(), m.NewRequest(), m.NewReply()
	tests := []struct {
		name string
		want float64
		run  func()
	}{
		{"Lookup", 0, func() { table.Lookup("S", "Add") }},
		{"NewRequest", 1, func() { sink = m.NewRequest() }},
		{"NewReply", 1, func() { sink = m.NewReply() }},
		{"Call of a struct's method", callAllocs, func() { _, _ = m.Call(ctx, req, reply) }},
		{"Call of a typed func, its reply", 1, func() { _, _ = typed.Call(ctx, req, nil) }},
	}
	for _, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.want)
		}
	}
}
