package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Touchy panics where it is told to.
type Touchy struct{}

type explosive struct{ Armed bool }

func (e *explosive) UnmarshalText(b []byte) error { panic("boom while decoding") }
func (e explosive) MarshalText() ([]byte, error) {
	if e.Armed {
		panic("boom while encoding")
	}
	return []byte("calm"), nil
}

type Box struct{ E explosive }

func (Touchy) Panic(context.Context, *AddRequest, *AddReply) error { panic("boom") }
func (Touchy) Decode(_ context.Context, _ *Box, _ *AddReply) error { return nil }
func (Touchy) Encode(_ context.Context, _ *AddRequest, reply *Box) error {
	reply.E.Armed = true
	return nil
}

// panicky panics in the wrapper or in Admit, as the request's metadata says.
type panicky struct{ server.BaseWrapper }

func (panicky) Admit(_ context.Context, h *protocol.Header, _ int) error {
	if h.MetaData["panic"] == "admit" {
		panic("boom")
	}
	return nil
}

func (panicky) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		switch req.MetaData["panic"] {
		case "before":
			panic("boom")
		case "after":
			_ = next(ctx, req, res) // what it said is lost
			panic("boom")
		case "context":
			return next(context.Background(), req, res)
		}
		return next(ctx, req, res)
	}
}

// TestBadRequestsAreAnswered sends what one call should be refused for, and then
// a good request on the same connection.
func TestBadRequestsAreAnswered(t *testing.T) {
	good := marshal(t, &AddRequest{1, 2})
	bomb, err := protocol.Compress(protocol.CompressTypeGzip, nil, make([]byte, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(h *protocol.Header)) protocol.Header {
		h := request(1)
		change(&h)
		return h
	}
	meta := func(k, v string) protocol.Header {
		return with(func(h *protocol.Header) { h.MetaData = map[string]string{k: v} })
	}
	touchy := func(method string) protocol.Header {
		return with(func(h *protocol.Header) { h.ServiceName, h.MethodName = "Touchy", method })
	}
	for _, c := range []struct {
		name   string
		header protocol.Header
		body   []byte
		code   protocol.Code
		ran    bool
		says   string
	}{
		{"unknown service", with(func(h *protocol.Header) { h.ServiceName = "No\nsuch" }), good, protocol.Unimplemented, false, `"No\nsuch"`},
		{"unknown method", with(func(h *protocol.Header) { h.MethodName = strings.Repeat("x", 500) }), good, protocol.Unimplemented, false, `"Arith.xxx`},
		{"unknown serializer", with(func(h *protocol.Header) { h.SerializeType = 99 }), good, protocol.Unimplemented, false, "serializer 99"},
		{"unknown compressor", with(func(h *protocol.Header) { h.CompressType = 99 }), good, protocol.Unimplemented, false, "compressor 99"},
		{"critical flag", with(func(h *protocol.Header) { h.Flags = 1 << 20 }), good, protocol.Unimplemented, false, "0x100000"},
		{"oversized", request(1), make([]byte, 70<<10), protocol.ResourceExhausted, false, "MaxMessageSize"},
		{"inflates too far", with(func(h *protocol.Header) { h.CompressType = protocol.CompressTypeGzip }), bomb, protocol.ResourceExhausted, false, "Arith.Add"},
		{"corrupt compression", with(func(h *protocol.Header) { h.CompressType = protocol.CompressTypeGzip }), good, protocol.InvalidArgument, false, "Arith.Add"},
		{"undecodable body", request(1), []byte{0xc1}, protocol.InvalidArgument, false, "AddRequest"},
		{"bytes after the body", request(1), append(good[:len(good):len(good)], 0), protocol.InvalidArgument, false, "AddRequest"},
		{"too many elements", request(1), marshal(t, make([]int, 200)), protocol.ResourceExhausted, false, "element"},
		{"too much metadata", meta("k", strings.Repeat("v", 17<<10)), good, protocol.InvalidArgument, false, "metadata"},
		{"panic in handler", touchy("Panic"), good, protocol.Internal, true, "Touchy.Panic"},
		{"panic in decoding", touchy("Decode"), marshal(t, map[string]any{"E": "x"}), protocol.InvalidArgument, false, "boom while decoding"},
		{"panic in encoding", touchy("Encode"), good, protocol.Internal, true, "boom while encoding"},
		{"panic in Admit", meta("panic", "admit"), good, protocol.Internal, false, "admission panicked"},
		{"panic before next", meta("panic", "before"), good, protocol.Internal, false, "Arith.Add"},
		{"panic after next", meta("panic", "after"), good, protocol.Internal, true, "Arith.Add"},
		{"wrapper loses the context", meta("panic", "context"), good, protocol.Internal, false, "context"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{MaxMessageSize: 64 << 10, MaxElements: 100, Wrappers: []server.Wrapper{panicky{}}})
				if err := s.Register(Touchy{}); err != nil {
					t.Fatal(err)
				}
				running(t, s)
				conn := dialRaw(t, mem)
				conn.sendFrame(c.header, c.body)
				h, _ := conn.next()
				if h.Seq != 1 || h.StatusCode != c.code || (h.Flags&protocol.FlagNotRun == 0) != c.ran || !strings.Contains(h.Error, c.says) {
					t.Errorf("answer %+v, want %v, ran %v, saying %s", h, c.code, c.ran, c.says)
				}
				if len(h.Error) > 400 {
					t.Errorf("an error of %d bytes: names must be cut", len(h.Error))
				}
				conn.sendFrame(request(2), good)
				if h, body := conn.next(); h.Seq != 2 || h.StatusCode != protocol.OK || len(body) == 0 {
					t.Errorf("the next request got %+v", h)
				}
			})
		})
	}
}

// TestBrokenConnectionsEnd sends what ends a connection, and looks at another.
func TestBrokenConnectionsEnd(t *testing.T) {
	frame := protocol.AppendFrame(nil, new(request(1)), nil)
	version := append([]byte(nil), frame...)
	version[2] = 9
	length := append([]byte(nil), frame...)
	length[7], length[8] = 0xff, 0xff
	hello := protocol.AppendFrame(nil, &protocol.Header{MessageType: protocol.TypeHello}, nil)
	for _, c := range []struct {
		name   string
		bytes  []byte
		goaway bool
		after  time.Duration
	}{
		{"wrong magic", []byte("GET / HTTP/1.1\r\n\r\n"), false, 0},
		{"wrong version", version, true, 0},
		{"header beyond the frame", length, true, 0},
		{"half a frame", frame[:5], false, 10 * time.Second},
		{"two hellos", append(hello[:len(hello):len(hello)], hello...), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{})
				running(t, s)
				other := dial(t, mem, nil)
				other.add(t)
				begun := time.Now()
				conn := dialRaw(t, mem)
				conn.send(c.bytes)
				last := conn.wantEnd()
				if took := time.Since(begun); took < c.after || took > c.after+time.Second {
					t.Errorf("the connection ended after %v, want %v", took, c.after)
				}
				if got := last.MessageType == protocol.TypeGoAway && last.Error != ""; got != c.goaway {
					t.Errorf("last frame %+v; a goaway with a reason: %v, want %v", last, got, c.goaway)
				}
				other.add(t)
			})
		})
	}
}

func TestErrorsOfHandlersKeepTheirMeaning(t *testing.T) {
	s, mem := on(t, server.Option{})
	for name, err := range map[string]error{
		"Plain":   errors.New("the disk is full"),
		"Typed":   &protocol.Error{Code: protocol.NotFound, Message: "no such user", Elsewhere: true, RetryAfter: time.Second, MetaData: map[string]string{"k": "v"}},
		"Success": protocol.NewError(protocol.OK, "not an error?"),
	} {
		if err := server.Handle(s, "Fail."+name, func(context.Context, *AddRequest) (*AddReply, error) { return nil, err }); err != nil {
			t.Fatal(err)
		}
	}
	running(t, s)
	c := dial(t, mem, nil)
	call := func(name string) error { return c.call(t.Context(), "Fail", name, &AddRequest{}, nil) }

	err := call("Plain")
	wantError(t, err, protocol.Unknown, protocol.Ran)
	if !protocol.IsRemote(err) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a plain error arrived as %v", err)
	}
	wantError(t, call("Success"), protocol.Unknown, protocol.Ran)
	err = call("Typed")
	wantError(t, err, protocol.NotFound, protocol.Ran)
	var e *protocol.Error
	if !errors.As(err, &e) || !e.Elsewhere || e.RetryAfter != time.Second || e.MetaData["k"] != "v" {
		t.Errorf("a typed error arrived as %+v", e)
	}
}
