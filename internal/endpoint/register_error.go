package endpoint

import (
	"errors"
	"strings"
)

// What a *RegisterError wraps, for errors.Is.
var (
	// ErrBadName: a name is outside its grammar or length, or there is none.
	ErrBadName = errors.New("name is not allowed")
	// ErrReserved: the name begins with "sinew.", as only the framework's do.
	ErrReserved = errors.New(`names under "sinew." are kept for the framework`)
	// ErrDuplicate: the service has a receiver already, or the method exists.
	ErrDuplicate = errors.New("already registered")
	// ErrNilReceiver: nil, or a nil pointer, was registered.
	ErrNilReceiver = errors.New("nil receiver")
	// ErrNilHandler: Handle got no func.
	ErrNilHandler = errors.New("nil handler")
	// ErrNoHandler: no method is a handler; Candidates says why each is not.
	ErrNoHandler = errors.New("no exported method of the form func(ctx context.Context, req *Req, reply *Resp) error")
	// ErrByValue: a value was registered, and only a pointer to it has all its
	// handlers; Candidates names those that would be missed.
	ErrByValue = errors.New("registered by value, which would leave out handlers")
)

// RegisterError says why something could not be registered. Nothing of it was.
type RegisterError struct {
	Name       string      // the name asked for, "Service" or "Service.Method"; empty when the type has none
	Type       string      // the Go type of what was registered
	Candidates []Candidate // exported methods that are no handlers; nil where they are not the reason
	Err        error       // the cause: one of the errors above, or what Table.CheckType said
}

// Candidate is an exported method that is not a handler.
type Candidate struct {
	Method  string
	Problem string // what is wrong with it, to be read after the method's name
}

// Error names what was registered, the cause, and each candidate.
func (e *RegisterError) Error() string {
	var b strings.Builder
	b.WriteString("sinew: cannot register ")
	if e.Name != "" {
		b.WriteString(e.Name)
		b.WriteString(" ")
	}
	b.WriteString("(")
	b.WriteString(e.Type)
	b.WriteString("): ")
	b.WriteString(e.Err.Error())
	for _, c := range e.Candidates {
		b.WriteString("; ")
		b.WriteString(c.Method)
		b.WriteString(" ")
		b.WriteString(c.Problem)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *RegisterError) Unwrap() error { return e.Err }
