package endpoint

import (
	"fmt"
	"go/token"
	"reflect"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// Register registers the handlers of rcvr: its exported methods of the form
//
//	func(ctx context.Context, req *Req, reply *Resp) error
//
// for any types Req and Resp, embedded ones' methods included. Other methods are
// passed over, as long as there is one handler. An empty name means the name of
// rcvr's type, which must then be exported. A service has at most one receiver;
// typed funcs may be added to it before or after with Handle.
//
// A pointer is kept: its methods see what becomes of it. A value is copied, and
// is refused if it would lose handlers because they have pointer receivers. A
// nil pointer is refused; a nil embedded in rcvr is not noticed before a call
// panics on it.
//
// The error is a *RegisterError, and then nothing was registered.
func (t *Table) Register(name string, rcvr any) error { return t.add(name, rcvr, false) }

// RegisterInternal is Register for the framework's own services, whose names
// begin with "sinew.".
func (t *Table) RegisterInternal(name string, rcvr any) error { return t.add(name, rcvr, true) }

func (t *Table) add(name string, rcvr any, internal bool) error {
	refuse := func(err error, c []Candidate) error {
		return &RegisterError{Name: name, Type: fmt.Sprintf("%T", rcvr), Candidates: c, Err: err}
	}
	r, err := newReceiver(rcvr)
	if err != nil {
		return refuse(err, nil)
	}
	if name == "" {
		if name = r.elem().Name(); !token.IsExported(name) {
			return refuse(fmt.Errorf("%w: its type has no exported name: register it under a name", ErrBadName), nil)
		}
	}
	if err := checkNewService(name, internal); err != nil {
		return refuse(err, nil)
	}
	methods, err := r.methods()
	switch {
	case err != nil:
		return refuse(err, nil)
	case len(methods.missed) > 0:
		return refuse(ErrByValue, methods.missed)
	case len(methods.handlers) == 0:
		return refuse(ErrNoHandler, methods.rejected)
	}
	if err := t.checkTypes(methods.handlers); err != nil {
		return refuse(err, nil)
	}
	if err := t.insert(strings.Clone(name), true, methods.handlers); err != nil {
		return refuse(err, nil)
	}
	return nil
}

// Handle registers a copy of m, which NewTyped made, as name: "Service.Method",
// where the service is what stands before the last dot. The error is a
// *RegisterError.
func (t *Table) Handle(name string, m *Method) error { return t.handle(name, m, false) }

// HandleInternal is Handle for the framework's own methods, whose names begin
// with "sinew.".
func (t *Table) HandleInternal(name string, m *Method) error { return t.handle(name, m, true) }

func (t *Table) handle(name string, m *Method, internal bool) error {
	if !m.callable() {
		return &RegisterError{Name: name, Type: "nil", Err: ErrNilHandler}
	}
	refuse := func(err error) error {
		typ := fmt.Sprintf("func(context.Context, *%s) (*%s, error)", m.req, m.reply)
		return &RegisterError{Name: name, Type: typ, Err: err}
	}
	serviceName, methodName, ok := protocol.SplitName(name)
	if !ok {
		return refuse(fmt.Errorf(`%w: want "Service.Method"`, ErrBadName))
	}
	if err := checkNewService(serviceName, internal); err != nil {
		return refuse(err)
	}
	if err := protocol.CheckMethodName(methodName); err != nil {
		return refuse(fmt.Errorf("%w: %w", ErrBadName, err))
	}
	if err := t.checkTypes([]*Method{m}); err != nil {
		return refuse(err)
	}
	named := *m
	named.Name = strings.Clone(methodName)
	if err := t.insert(strings.Clone(serviceName), false, []*Method{&named}); err != nil {
		return refuse(err)
	}
	return nil
}

func checkNewService(name string, internal bool) error {
	if !internal && protocol.IsFrameworkService(name) {
		return ErrReserved
	}
	if err := protocol.CheckServiceName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrBadName, err)
	}
	return nil
}

// checkTypes asks CheckType about the types of all methods.
func (t *Table) checkTypes(methods []*Method) error {
	if t.CheckType == nil {
		return nil
	}
	for _, m := range methods {
		for _, typ := range []reflect.Type{m.req, m.reply} {
			if err := t.CheckType(typ); err != nil {
				return fmt.Errorf("type %s: %w", typ, err)
			}
		}
	}
	return nil
}
