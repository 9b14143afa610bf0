package server_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

func TestServersTellWhatTheyDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{
			MaxConnections: 12, MaxConnectionAge: time.Hour, ShutDownWait: -1,
			Tags: map[string]string{"idc": "lf"}, TagsOptional: true,
		})
		slow(t, s, time.Minute)
		made := time.Now()
		running(t, s)
		c := dial(t, mem, nil)
		c.add(t)
		_ = c.call(t.Context(), "Arith", "Subtract", &AddRequest{}, nil) // is refused
		call := make(chan error, 1)
		go func() { call <- c.call(t.Context(), "Slow", "Do", &AddRequest{}, &AddReply{}) }()
		synctest.Wait()

		var status protocol.ServerStatus
		if err := c.call(t.Context(), "sinew.Introspect", "Status", &protocol.StatusRequest{}, &status); err != nil {
			t.Fatal(err)
		}
		if status.Connections != 1 || status.RequestsInFlight != 2 || status.Requests != 3 || status.Refused != 1 || status.Draining {
			t.Errorf("status %+v: want a connection, Slow.Do and this request in flight, three served, one refused", status)
		}
		if !status.Started.Equal(made) || status.Tags["idc"] != "lf" || status.Versions.Go != runtime.Version() || status.Versions.Sinew == "" {
			t.Errorf("status %+v", status)
		}
		want := protocol.ServerLimits{
			MaxConnections: 12, MaxRequestsInFlight: server.DefaultMaxRequestsInFlight, MaxBytesInFlight: server.DefaultMaxBytesInFlight,
			MaxMessageSize: protocol.DefaultMaxMessageSize, MaxElements: status.Limits.MaxElements, MaxConnectionAge: time.Hour,
		}
		if status.Limits != want {
			t.Errorf("limits %+v, want %+v", status.Limits, want)
		}
		<-call

		var list protocol.ServiceList
		if err := c.call(t.Context(), "sinew.Introspect", "Services", &protocol.ServicesRequest{}, &list); err != nil {
			t.Fatal(err)
		}
		names := make([]string, len(list.Services))
		for i, service := range list.Services {
			names[i] = service.Name
		}
		if !slices.Equal(names, []string{"Arith", "Slow", "sinew.Introspect"}) {
			t.Errorf("services %v", names)
		}
		if m := list.Services[0].Methods; len(m) != 1 || m[0].Name != "Add" || m[0].Request != "server_test.AddRequest" || m[0].Response != "server_test.AddReply" {
			t.Errorf("methods %+v", m)
		}
	})
}

// guard lets no request pass, by whatever name.
type guard struct{ server.BaseWrapper }

func (guard) Admit(context.Context, *protocol.Header, int) error {
	return protocol.NewError(protocol.Unauthenticated, "who are you?")
}

func TestIntrospectionPassesTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{Wrappers: []server.Wrapper{guard{}}})
		running(t, s)
		c := dial(t, mem, nil)
		for _, method := range []string{"Status", "Services"} {
			err := c.call(t.Context(), "sinew.Introspect", method, &protocol.StatusRequest{}, nil)
			wantError(t, err, protocol.Unauthenticated, protocol.Refused)
		}
	})
}

// What every server has is not registered for each.
func TestRegistryListsNoServiceOfTheFramework(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegistry("app")
		s, _ := on(t, server.Option{Registry: r, AdminAuthorize: func(context.Context, string) error { return nil }})
		running(t, s)
		synctest.Wait()
		providers, _, err := r.Providers(t.Context())
		if err != nil || len(providers) != 1 {
			t.Fatalf("%v, %v", providers, err)
		}
		if got := providers[0].Services; len(got) != 1 || got[0].Name != "Arith" {
			t.Errorf("registered services %+v", got)
		}
	})
}

func TestDrainOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegistry("app")
		var asked []string
		s, mem := on(t, server.Option{Registry: r, AdminAuthorize: func(ctx context.Context, method string) error {
			if server.PeerFrom(ctx) == nil {
				t.Error("the authoriser does not learn who asks")
			}
			asked = append(asked, method)
			switch len(asked) {
			case 1:
				return errors.New("not you")
			case 2:
				return protocol.NewError(protocol.Unauthenticated, "who are you?")
			case 3:
				return (*protocol.Error)(nil)
			}
			return nil
		}})
		slow(t, s, time.Minute)
		ended := make(chan error, 1)
		go func() { ended <- s.Serve("mem", "server", nil) }()
		<-s.Listening()
		admin, user := dial(t, mem, nil), dial(t, mem, nil)
		drain := func() (reply protocol.DrainReply, err error) {
			err = admin.call(t.Context(), "sinew.Admin", "Drain", &protocol.DrainRequest{}, &reply)
			return reply, err
		}

		_, err := drain()
		wantError(t, err, protocol.PermissionDenied, protocol.Ran)
		_, err = drain()
		wantError(t, err, protocol.Unauthenticated, protocol.Ran)
		_, err = drain()
		wantError(t, err, protocol.PermissionDenied, protocol.Ran)
		user.add(t)

		call := make(chan error, 1)
		go func() {
			call <- user.caller.Call(t.Context(), user.Session, "Slow", "Do", &AddRequest{}, &AddReply{}, nil)
		}()
		synctest.Wait()
		begun := time.Now()
		reply, err := drain()
		if err != nil || reply.Connections != 2 || reply.RequestsInFlight != 2 {
			t.Errorf("drain: %+v, %v; want two connections, Slow.Do and this request", reply, err)
		}
		<-user.away
		synctest.Wait()
		if providers, _, _ := r.Providers(t.Context()); slices.ContainsFunc(providers, func(p registry.Provider) bool { return !p.Draining }) {
			t.Errorf("the registry still lists %+v", providers)
		}
		err = <-call
		if drained := time.Since(begun); drained > server.DefaultShutDownWait {
			t.Errorf("the drain took %v", drained)
		}
		wantError(t, err, protocol.Unavailable, protocol.MaybeRun) // a minute is beyond ShutDownWait
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if !slices.Equal(asked, slices.Repeat([]string{protocol.MethodDrain}, 4)) {
			t.Errorf("the authoriser was asked about %v", asked)
		}
	})
}

func TestNobodyAdministersByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		running(t, s)
		c := dial(t, mem, nil)
		err := c.call(t.Context(), "sinew.Admin", "Drain", &protocol.DrainRequest{}, nil)
		wantError(t, err, protocol.Unimplemented, protocol.Refused)
	})
}
