package server_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

func TestTags(t *testing.T) {
	for _, c := range []struct {
		name     string
		optional bool
		meta     map[string]string
		served   bool
	}{
		{"all agree", false, map[string]string{"sinew-tag-idc": "lf", "sinew-tag-env": "prod"}, true},
		{"one differs", false, map[string]string{"sinew-tag-idc": "hl", "sinew-tag-env": "prod"}, false},
		{"one is missing", false, map[string]string{"sinew-tag-idc": "lf"}, false},
		{"none", false, nil, false},
		{"one is missing, optional", true, map[string]string{"sinew-tag-idc": "lf"}, true},
		{"one differs, optional", true, map[string]string{"sinew-tag-idc": "hl"}, false},
		{"others do not matter", false, map[string]string{"sinew-tag-idc": "lf", "sinew-tag-env": "prod", "sinew-tag-x": "y"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, mem := on(t, server.Option{Tags: map[string]string{"idc": "lf", "env": "prod"}, TagsOptional: c.optional})
			running(t, s)
			conn := dialRaw(t, mem)
			h := request(1)
			h.MetaData = c.meta
			conn.sendFrame(h, marshal(t, &AddRequest{1, 2}))
			answer, _ := conn.next()
			if c.served != (answer.StatusCode == protocol.OK) {
				t.Errorf("answer %+v", answer)
			}
			want := protocol.FlagNotRun | protocol.FlagElsewhere
			if !c.served && (answer.StatusCode != protocol.FailedPrecondition || answer.Flags&want != want || !strings.Contains(answer.Error, "tag")) {
				t.Errorf("refused by %+v", answer)
			}
		})
	}
}

// tracer notes when it is passed.
type tracer struct {
	name   string
	log    func(string)
	refuse bool
}

func (w tracer) WrapServe(_ *server.SGServer, next server.ServeFunc) server.ServeFunc {
	return func(network, addr string, meta map[string]string) error {
		w.log("serve " + w.name)
		return next(network, addr, meta)
	}
}

func (w tracer) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	w.log("compose " + w.name)
	return func(ctx context.Context, req, res *protocol.Message) error {
		w.log("handle " + w.name)
		return next(ctx, req, res)
	}
}

func (w tracer) Admit(ctx context.Context, h *protocol.Header, bodyLen int) error {
	w.log("admit " + w.name)
	if w.refuse && h.MetaData["refuse"] != "" {
		return protocol.Errorf(protocol.Unauthenticated, "%s of %d bytes refused for %v", h.MethodName, bodyLen, server.PeerFrom(ctx) != nil)
	}
	return nil
}

// TestWrappersRunInOrder also has one refuse a request by its header; the
// others are not asked then.
func TestWrappersRunInOrder(t *testing.T) {
	var mu sync.Mutex
	var passed []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		passed = append(passed, what)
	}
	s, mem := on(t, server.Option{Wrappers: []server.Wrapper{
		tracer{name: "a", log: note},
		server.BaseWrapper{},
		tracer{name: "b", log: note, refuse: true},
		tracer{name: "c", log: note},
	}})
	running(t, s)
	c := dial(t, mem, nil)
	c.add(t)
	err := c.call(protocol.WithMeta(t.Context(), "refuse", "yes"), "Arith", "Add", &AddRequest{}, nil)
	wantError(t, err, protocol.Unauthenticated, protocol.Refused)
	if !strings.Contains(err.Error(), "Add of 7 bytes refused for true") {
		t.Errorf("Admit did not see what it should: %v", err)
	}
	want := []string{
		"compose c", "compose b", "compose a", "serve a", "serve b", "serve c",
		"admit a", "admit b", "admit c", "handle a", "handle b", "handle c",
		"admit a", "admit b",
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(passed, want) {
		t.Errorf("passed\n%v, want\n%v", passed, want)
	}
}
