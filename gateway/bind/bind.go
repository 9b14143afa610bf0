// Package bind fills a struct from an HTTP request, for handlers of routes: from
// its body in JSON or its form, its query and the parts of its path, and says
// which fields are at fault.
//
//	type update struct {
//		ID    int64    `json:"id" validate:"required"`
//		Notes []string `json:"notes" validate:"max=10,dive,max=200"`
//	}
//
//	err := gw.Handle("POST /orders/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		var u update
//		if err := bind.Request(r, &u); err != nil {
//			gateway.WriteError(w, err)
//			return
//		}
//		…
//	}))
//
// It is a package of its own for its libraries: github.com/gorilla/schema puts
// texts into fields, github.com/go-playground/validator knows the rules of the tag
// "validate".
package bind

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"
	"github.com/gorilla/schema"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/internal/params"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// MaxBody bounds the bodies that Request reads, in bytes. For less, put
// middleware.BodyLimit round the handler.
const MaxBody = 16 << 20

// Request fills v, a pointer to a struct, from r and checks it. The name of a
// field is that of its json tag, in the body, the form, the query and the path
// alike ("items.0.count" within); values of the path win over those of the form,
// these over the query's, these over the body's. Path values are those that
// r.Pattern names. Then v is held against its tags "validate".
//
// A list is as long as the greatest number in a name asks for; over all lists, names
// may leave out 1000 elements. A name goes at most 256 levels deep.
//
// The error has code InvalidArgument and names every field that is at fault, for
// gateway.WriteError to tell; or it is that of gateway.ReadBody, or one of status
// 415 for a body that is neither JSON nor a form. It may run concurrently.
func Request(r *http.Request, v any) error {
	body, err := gateway.ReadBody(r, MaxBody)
	if err != nil {
		return err
	}
	contentType := r.Header.Get("Content-Type")
	var sent url.Values
	switch {
	case params.IsForm(contentType):
		if sent, err = params.Form(contentType, body); err != nil {
			return protocol.Errorf(protocol.InvalidArgument, "the form cannot be read: %w", err)
		}
	case len(body) > 0:
		if err := gateway.CheckJSON(r); err != nil {
			return err
		}
		if err := json.Unmarshal(body, v); err != nil {
			return jsonError(err)
		}
	}
	names := params.Names(r.Pattern)
	values, err := params.Collect(r, names, sent)
	if err != nil {
		return protocol.Errorf(protocol.InvalidArgument, "the query cannot be read: %w", err)
	}
	if err := checkNames(v, values); err != nil {
		return err
	}
	if err := decode(v, values); err != nil {
		return formError(err)
	}
	if err := decodeWinners(v, values, sent, names); err != nil {
		return formError(err)
	}
	return validationError(validate().Struct(v))
}

// decode puts values into v. What the decoder panics with, as with an empty value in
// a list of pointers, is the fault of a value too.
func decode(v any, values url.Values) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.V(1).Infof("sinew: gateway: binding a %T panicked: %v", v, p)
			err = protocol.NewError(protocol.InvalidArgument, "a value does not fit").WithCause(fmt.Errorf("binding panicked: %v", p)).WithOutcome(protocol.NotSent)
		}
	}()
	return decoder().Decode(v, values)
}

// decodeWinners puts those of values into v once more that win over others, the
// path's last. A field has more names than one, such as "id" and "Key.id" where a Key
// is embedded, and the decoder takes them in the order of a map.
func decodeWinners(v any, values, form url.Values, path []string) error {
	if len(values) == len(path) {
		return nil // there is nothing to win over
	}
	for _, names := range []iter.Seq[string]{maps.Keys(form), slices.Values(path)} {
		winners := make(url.Values)
		for name := range names {
			if value, ok := values[name]; ok {
				winners[name] = value
			}
		}
		if len(winners) == 0 {
			continue
		}
		if err := decode(v, winners); err != nil && !isLack(err) {
			return err
		}
	}
	return nil
}

// isLack tells that values were asked for that are not there, and nothing else.
func isLack(err error) bool {
	var faults schema.MultiError
	if !errors.As(err, &faults) {
		return false
	}
	for _, fault := range faults {
		if !errors.As(fault, new(schema.EmptyFieldError)) {
			return false
		}
	}
	return true
}

var decoder = sync.OnceValue(func() *schema.Decoder {
	d := schema.NewDecoder()
	d.SetAliasTag("json")
	d.IgnoreUnknownKeys(true)
	d.ZeroEmpty(true)
	return d
})

var validate = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(nameOf)
	return v
})

// nameOf is how requests call a field.
func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, f.Name)
}

// jsonError says which field a body in JSON got wrong.
func jsonError(err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return newError([]gateway.FieldError{{Field: wrongType.Field, Message: "must be " + kindName(wrongType.Type) + ", not a " + wrongType.Value}})
	}
	return protocol.Errorf(protocol.InvalidArgument, "the body is no JSON for this: %w", err)
}
