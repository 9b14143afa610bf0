package bind

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
	"github.com/gorilla/schema"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// Error is a request whose fields are at fault. Its code is InvalidArgument.
type Error struct {
	Fields []gateway.FieldError // in order of their names, each at least once
}

var _ gateway.FieldErrors = (*Error)(nil)

func newError(fields []gateway.FieldError) *Error {
	slices.SortFunc(fields, func(a, b gateway.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return &Error{Fields: fields}
}

// Error names the fields and says what is wrong with each.
func (e *Error) Error() string { return e.coded().Error() }

// Unwrap returns the *protocol.Error that travels.
func (e *Error) Unwrap() error { return e.coded() }

// FieldErrors implements gateway.FieldErrors.
func (e *Error) FieldErrors() []gateway.FieldError { return e.Fields }

func (e *Error) coded() *protocol.Error {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + " " + f.Message
	}
	return protocol.NewError(protocol.InvalidArgument, strings.Join(texts, "; ")).WithOutcome(protocol.NotSent)
}

// formError says which values of a form, query or path do not fit.
func formError(err error) error {
	var faults schema.MultiError
	var told *protocol.Error
	switch {
	case errors.As(err, &told):
		return told
	case !errors.As(err, &faults):
		return protocol.Errorf(protocol.Internal, "nothing can be bound: %w", err) // v is no pointer to a struct
	}
	fields := make([]gateway.FieldError, 0, len(faults))
	for name, fault := range faults {
		fields = append(fields, gateway.FieldError{Field: name, Message: faultText(fault)})
	}
	return newError(fields)
}

func faultText(fault error) string {
	var wrongType schema.ConversionError
	switch {
	case !errors.As(fault, &wrongType) || wrongType.Type == nil:
		return "does not fit: " + fault.Error()
	case wrongType.Index >= 0:
		return "element " + strconv.Itoa(wrongType.Index) + " must be " + kindName(wrongType.Type)
	}
	return "must be " + kindName(wrongType.Type)
}

// validationError says which fields break a rule; nil for nil.
func validationError(err error) error {
	if err == nil {
		return nil
	}
	var faults validator.ValidationErrors
	if !errors.As(err, &faults) {
		return protocol.Errorf(protocol.Internal, "nothing can be checked: %w", err)
	}
	fields := make([]gateway.FieldError, len(faults))
	for i, fault := range faults {
		_, name, _ := strings.Cut(fault.Namespace(), ".") // without the type
		fields[i] = gateway.FieldError{Field: indexes.Replace(name), Message: ruleText(fault)}
	}
	return newError(fields)
}

// indexes writes the elements of lists as forms do: items.0 for items[0].
var indexes = strings.NewReplacer("[", ".", "]", "")

// ruleText is what a rule of the tag "validate" asks for.
func ruleText(fault validator.FieldError) string {
	counted := ""
	switch fault.Kind() {
	case reflect.String:
		counted = " characters long"
	case reflect.Slice, reflect.Array, reflect.Map:
		counted = " elements long"
	}
	switch fault.Tag() {
	case "required":
		return "is required"
	case "min", "gte":
		return "must be at least " + fault.Param() + counted
	case "max", "lte":
		return "must be at most " + fault.Param() + counted
	case "oneof":
		return "must be one of " + fault.Param()
	}
	if fault.Param() == "" {
		return "must be as the rule " + fault.Tag() + " asks"
	}
	return "must be as the rule " + fault.Tag() + "=" + fault.Param() + " asks"
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "an integer"
}
