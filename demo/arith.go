package main

import (
	"context"

	"github.com/sinew-rpc/sinew/protocol"
)

// arithService is served as "ArithService".
type arithService struct{}

// operands are what every method of ArithService takes.
type operands struct{ A, B int64 }

// result is what every method of ArithService answers.
type result struct{ C int64 }

// Add adds.
func (arithService) Add(_ context.Context, in *operands, out *result) error {
	out.C = in.A + in.B
	return nil
}

// Multiply multiplies.
func (arithService) Multiply(_ context.Context, in *operands, out *result) error {
	out.C = in.A * in.B
	return nil
}

// Divide divides, and shows how a method fails: its error reaches the caller
// with its code and text.
func (arithService) Divide(_ context.Context, in *operands, out *result) error {
	if in.B == 0 {
		return protocol.NewError(protocol.InvalidArgument, "division by zero: B must not be 0")
	}
	out.C = in.A / in.B
	return nil
}
