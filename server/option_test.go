package server_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

func TestBadOptionsNameTheirField(t *testing.T) {
	r := memory.NewRegistry("shop")
	defer r.Close()
	for field, o := range map[string]server.Option{
		"ProtocolType":             {ProtocolType: 9},
		"SerializeType":            {SerializeType: 99},
		"CompressType":             {CompressType: 99},
		"TransportType":            {TransportType: "pigeon"},
		"MaxMessageSize":           {MaxMessageSize: -1},
		"Tags":                     {Tags: map[string]string{"Not lower": "x"}},
		"Wrappers[1]":              {Wrappers: []server.Wrapper{server.BaseWrapper{}, nil}},
		"RegisterOption.AppKey":    {Registry: r, RegisterOption: registry.RegisterOption{AppKey: "other"}},
		"RegisterOption.Advertise": {RegisterOption: registry.RegisterOption{Advertise: ":9000"}},
		"Registry":                 {Registry: registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{})},
	} {
		s, err := server.NewSGServer(&o)
		if err == nil || s != nil || !strings.Contains(err.Error(), "Option."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	local := server.Option{TransportType: "unix", RegisterOption: registry.RegisterOption{Advertise: ":9000"}}
	if _, err := server.NewSGServer(&local); err != nil {
		t.Errorf("Advertise of a network without hosts: %v", err)
	}
}

func TestOptionIsNeitherChangedNorKept(t *testing.T) {
	o := server.Option{Tags: map[string]string{"idc": "lf"}, Wrappers: []server.Wrapper{server.BaseWrapper{}}}
	before := server.Option{Tags: map[string]string{"idc": "lf"}, Wrappers: []server.Wrapper{server.BaseWrapper{}}}
	s, err := server.NewSGServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !reflect.DeepEqual(o, before) {
		t.Errorf("the option was changed into %+v", o)
	}
	if err := s.Register(Arith{}); err != nil {
		t.Fatal(err)
	}
	o.Tags["idc"] = "hl"
	m := &protocol.Message{Header: request(1), Body: marshal(t, &AddRequest{})}
	m.MetaData = map[string]string{"sinew-tag-idc": "lf"}
	if _, err := s.Do(t.Context(), m); err != nil {
		t.Errorf("the server's tags changed with the caller's map: %v", err)
	}
}

// TestEverythingOff serves with every limit switched off.
func TestEverythingOff(t *testing.T) {
	s, mem := on(t, server.Option{
		CompressThreshold: -1, ShutDownWait: -1, HandshakeTimeout: -1, FrameTimeout: -1, WriteTimeout: -1, ReadPause: -1,
		RequestTimeout: -1, MaxElements: -1, MaxConnections: -1, MaxRequestsInFlight: -1, MaxRequestsPerConnection: -1, MaxBytesInFlight: -1,
	})
	running(t, s)
	dial(t, mem, nil).add(t)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

type methodless struct{ X int }

func (methodless) Wrong(int) {}

func TestRegisterErrors(t *testing.T) {
	s, _ := on(t, server.Option{})
	defer s.Close()
	typed := func(context.Context, *AddRequest) (*AddReply, error) { return nil, nil }
	for _, c := range []struct {
		name, says string
		err        error
	}{
		{"no handler", "Wrong", s.RegisterName("M", methodless{})},
		{"twice", "Arith", s.Register(Arith{})},
		{"nil", "nil", s.RegisterName("N", (*Arith)(nil))},
		{"reserved", "sinew.", s.RegisterName("sinew.X", Arith{})},
		{"bad name", "a b", s.RegisterName("a b", Arith{})},
		{"Handle without a method", "Service.Method", server.Handle(s, "Lonely", typed)},
		{"Handle twice", "Arith.Add", server.Handle(s, "Arith.Add", typed)},
		{"Handle of nil", "nil", server.Handle[AddRequest, AddReply](s, "X.Y", nil)},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	if infos, err := s.Services(t.Context()); err != nil || len(infos) != 2 || infos[0].Name != "Arith" || infos[1].Name != "sinew.Introspect" {
		t.Errorf("what failed is served: %v, %v", infos, err)
	}
}

func TestNilReplyOfATypedHandlerIsAnError(t *testing.T) {
	s, mem := on(t, server.Option{})
	if err := server.Handle(s, "Nil.Reply", func(context.Context, *AddRequest) (*AddReply, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	running(t, s)
	err := dial(t, mem, nil).call(t.Context(), "Nil", "Reply", &AddRequest{}, nil)
	wantError(t, err, protocol.Internal, protocol.Ran)
}

func TestAddressInUse(t *testing.T) {
	s, mem := on(t, server.Option{})
	running(t, s)
	other, _ := on(t, server.Option{Mem: mem})
	defer other.Close()
	if err := other.Serve("mem", "server", nil); err == nil || errors.Is(err, server.ErrServerClosed) {
		t.Errorf("a second Serve on one address returned %v", err)
	}
}
