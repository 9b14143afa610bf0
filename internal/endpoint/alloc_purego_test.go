//go:build !gc || sinew_purego

package endpoint

// callAllocs is what Method.Call may allocate for a struct's method: reflect's
// own.
const callAllocs = 4
