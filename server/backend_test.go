package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// do calls without a socket, as a gateway beside the server does.
func do(ctx context.Context, t testing.TB, s *server.SGServer, service, method string, meta map[string]string) (*AddReply, map[string]string, error) {
	t.Helper()
	m := &protocol.Message{
		Header: protocol.Header{Seq: 77, ServiceName: service, MethodName: method, MetaData: meta},
		Body:   marshal(t, &AddRequest{1, 2}),
	}
	res, err := s.Do(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	if res.Seq != 77 || res.MessageType != protocol.TypeResponse {
		t.Errorf("answer %+v", res.Header)
	}
	reply := new(AddReply)
	if err := protocol.Unmarshal(res.SerializeType, res.Body, reply, 0); err != nil {
		t.Fatal(err)
	}
	return reply, res.MetaData, nil
}

type key struct{}

func TestDoIsACallWithoutASocket(t *testing.T) {
	s, _ := on(t, server.Option{Tags: map[string]string{"idc": "lf"}, TagsOptional: true, Wrappers: []server.Wrapper{panicky{}}})
	defer s.Close()
	if err := server.Handle(s, "Ctx.Look", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		if ctx.Value(key{}) != nil || server.PeerFrom(ctx) != nil {
			return nil, errors.New("the handler sees what a socket would not carry")
		}
		k, _ := protocol.MetaValue(ctx, "k")
		return &AddReply{}, server.SetReplyMeta(ctx, "k", k)
	}); err != nil {
		t.Fatal(err)
	}
	sentinel := errors.New("no")
	if err := server.Handle(s, "Ctx.Fail", func(context.Context, *AddRequest) (*AddReply, error) { return nil, sentinel }); err != nil {
		t.Fatal(err)
	}
	reply, _, err := do(t.Context(), t, s, "Arith", "Add", nil)
	if err != nil || reply.Sum != 3 {
		t.Errorf("%v, %v", reply, err)
	}
	ctx := context.WithValue(t.Context(), key{}, "gateway's")
	if _, meta, err := do(ctx, t, s, "Ctx", "Look", map[string]string{"k": "v"}); err != nil || meta["k"] != "v" {
		t.Errorf("metadata %v, %v", meta, err)
	}
	for _, c := range []struct {
		name, service, method string
		meta                  map[string]string
		code                  protocol.Code
		outcome               protocol.Outcome
	}{
		{"handler's error", "Ctx", "Fail", nil, protocol.Unknown, protocol.Ran},
		{"unknown service", "No", "Such", nil, protocol.Unimplemented, protocol.Refused},
		{"tags", "Arith", "Add", map[string]string{"sinew-tag-idc": "hl"}, protocol.FailedPrecondition, protocol.Refused},
		{"panic in Admit", "Arith", "Add", map[string]string{"panic": "admit"}, protocol.Internal, protocol.Refused},
		{"panic after", "Arith", "Add", map[string]string{"panic": "after"}, protocol.Internal, protocol.Ran},
	} {
		_, _, err := do(t.Context(), t, s, c.service, c.method, c.meta)
		if protocol.CodeOf(err) != c.code || protocol.OutcomeOf(err) != c.outcome {
			t.Errorf("%s: %v (%v)", c.name, err, protocol.OutcomeOf(err))
		}
	}
	_, err = s.Do(t.Context(), &protocol.Message{Header: protocol.Header{MessageType: protocol.TypeGoAway}})
	wantError(t, err, protocol.InvalidArgument, protocol.Refused)
	s.Close()
	_, _, err = do(t.Context(), t, s, "Arith", "Add", nil)
	wantError(t, err, protocol.Unavailable, protocol.Refused)
}

func TestDoEndsWithItsCallerAndWithTheServer(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *server.SGServer, cancel context.CancelFunc)
	}{
		{"caller", func(_ *server.SGServer, cancel context.CancelFunc) { cancel() }},
		{"server", func(s *server.SGServer, _ context.CancelFunc) { s.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := on(t, server.Option{})
				entered, ended := stuck(t, s)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() {
					_, _, err := do(ctx, t, s, "Stuck", "Wait", nil)
					done <- err
				}()
				<-entered
				c.end(s, cancel)
				if end := <-ended; !errors.Is(end.err, context.Canceled) {
					t.Errorf("the handler's context ended with %v", end.err)
				}
				if err := <-done; protocol.OutcomeOf(err) != protocol.Ran {
					t.Errorf("Do returned %v (%v)", err, protocol.OutcomeOf(err))
				}
				s.Close()
			})
		})
	}
}

// TestDrainWaitsForDo and lets no more in.
func TestDrainWaitsForDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := on(t, server.Option{})
		served := slow(t, s, 2*time.Second)
		done := make(chan error, 1)
		go func() {
			_, _, err := do(context.Background(), t, s, "Slow", "Do", nil)
			done <- err
		}()
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		if _, _, err := do(t.Context(), t, s, "Arith", "Add", nil); !protocol.IsDraining(err) {
			t.Errorf("Do during the drain: %v", err)
		}
		if err := <-drained; err != nil || served.Load() != 1 {
			t.Errorf("drained with %v, %d served", err, served.Load())
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDoHeedsTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := on(t, server.Option{MaxRequestsInFlight: 1})
		entered, _ := stuck(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(ctx, t, s, "Stuck", "Wait", nil)
		}()
		<-entered
		_, _, err := do(t.Context(), t, s, "Arith", "Add", nil)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		cancel()
		<-done
		if _, _, err := do(t.Context(), t, s, "Arith", "Add", nil); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// Wide is a request whose schema is long.
type Wide struct {
	Field0, Field1, Field2, Field3, Field4, Field5, Field6, Field7, Field8, Field9 string
}

func TestOnlySomeSchemasAreRegistered(t *testing.T) {
	const methods = 64
	r := memory.NewRegistry("app")
	defer r.Close()
	s, _ := on(t, server.Option{Registry: r})
	defer s.Close()
	for i := range methods {
		if err := server.Handle(s, fmt.Sprintf("Many.M%02d", i), func(context.Context, *Wide) (*AddReply, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := s.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		for _, m := range info.Methods {
			if m.RequestSchema == "" || m.ResponseSchema == "" {
				t.Errorf("%s.%s is listed without a schema beside the server", info.Name, m.Name)
			}
		}
	}
	watcher, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	running(t, s)
	var snapshot registry.Snapshot
	for len(snapshot.Providers) == 0 {
		if snapshot, err = watcher.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	size, with, without := 0, 0, 0
	for _, service := range snapshot.Providers[0].Services {
		for _, m := range service.Methods {
			size += len(m.RequestSchema) + len(m.ResponseSchema)
			if m.RequestSchema == "" {
				without++
			} else {
				with++
			}
		}
	}
	if size > 8<<10 || with == 0 || without == 0 {
		t.Errorf("%d bytes of schemas are registered, for %d methods and not for %d: at most 8 KiB may be", size, with, without)
	}
}
