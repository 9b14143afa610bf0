package libkv

import (
	"errors"
	"fmt"
	"time"
)

// OptionError says which setting a constructor refused.
type OptionError struct {
	// Field is the name of the setting, or of the argument.
	Field string
	// Reason says what is wrong and what to do.
	Reason string
}

// Error implements error.
func (e *OptionError) Error() string { return fmt.Sprintf("libkv: %s %s", e.Field, e.Reason) }

// StoreError says that the store failed a call, or did not answer it in time.
// Unwrap returns the store's own error, or [ErrHung].
type StoreError struct {
	// Op is the call: get, put, list, delete, watch or open.
	Op string
	// Key is what it was about; empty for open.
	Key string
	// After is how long it took.
	After time.Duration

	Err error
}

// Error implements error.
func (e *StoreError) Error() string {
	return fmt.Sprintf("libkv: %s %s failed after %v: %v", e.Op, e.Key, e.After.Round(time.Millisecond), e.Err)
}

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// ErrHung is the cause when a store did not answer within the limit. The call
// is left behind; whether it will take effect is not known.
var ErrHung = errors.New("the store does not answer")
