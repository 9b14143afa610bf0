package server

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
)

// tag is one pair that a request must have.
type tag struct {
	key  string // as in Option.Tags
	meta string // as it travels
	want string
}

// admission is what is asked about a request by its header.
type admission struct {
	tags      []tag // sorted by key, so that the same request gets the same answer
	optional  bool
	admitters []Admitter
	untagged  atomic.Uint64 // refused for their tags
	denied    atomic.Uint64 // refused by an admitter
}

func newAdmission(o *Option) *admission {
	a := &admission{optional: o.TagsOptional}
	for k, v := range o.Tags {
		a.tags = append(a.tags, tag{key: k, meta: protocol.MetaTagPrefix + k, want: v})
	}
	slices.SortFunc(a.tags, func(x, y tag) int { return strings.Compare(x.key, y.key) })
	for _, w := range o.Wrappers {
		if admitter, ok := w.(Admitter); ok {
			a.admitters = append(a.admitters, admitter)
		}
	}
	return a
}

// ask refuses a request by an error. It is endpoint.Dispatcher's Admission.
func (a *admission) ask(ctx context.Context, h *protocol.Header, bodyLen int) error {
	if err := a.checkTags(h.MetaData); err != nil {
		a.untagged.Add(1)
		return err
	}
	for _, admitter := range a.admitters {
		if err := admitter.Admit(ctx, h, bodyLen); err != nil {
			a.denied.Add(1)
			return err
		}
	}
	return nil
}

// hook returns ask, or nil when it would never refuse.
func (a *admission) hook() func(context.Context, *protocol.Header, int) error {
	if len(a.tags) == 0 && len(a.admitters) == 0 {
		return nil
	}
	return a.ask
}

func (a *admission) checkTags(meta map[string]string) error {
	for _, t := range a.tags {
		got, has := meta[t.meta]
		if got == t.want && has || !has && a.optional {
			continue
		}
		e := protocol.Errorf(protocol.FailedPrecondition, "tag %q is %q here; the request has %.64q", t.key, t.want, got)
		if !has {
			e = protocol.Errorf(protocol.FailedPrecondition, "tag %q is %q here; the request has none", t.key, t.want)
		}
		e.Elsewhere = true
		return e
	}
	return nil
}
