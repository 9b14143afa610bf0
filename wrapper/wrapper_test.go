package wrapper_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

type Word struct{ Text string }

// Words is what the tests call.
type Words struct{}

// Meta answers with the value of a metadata key of the request.
func (Words) Meta(ctx context.Context, req, res *Word) error {
	res.Text, _ = protocol.MetaValue(ctx, req.Text)
	return nil
}

func (Words) Panic(context.Context, *Word, *Word) error { panic("spilt ink") }

func (Words) Fail(context.Context, *Word, *Word) error { return errors.New("out of paper") }

// pair is a server of Words and a client of it, with wrappers on both.
func pair(t *testing.T, onServer []server.Wrapper, onClient []client.Wrapper) client.RPCClient {
	t.Helper()
	_, network := serve(t, server.Option{Wrappers: onServer})
	return dial(t, network, client.Option{Wrappers: onClient})
}

// serve is a server of Words on a network of its own.
func serve(t *testing.T, o server.Option) (*server.SGServer, *transport.MemNetwork) {
	t.Helper()
	o.Mem = transport.NewMemNetwork()
	s, err := server.NewSGServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	serveWords(t, s)
	return s, o.Mem
}

// serveWords has s serve Words at "words" until the test ends.
func serveWords(t *testing.T, s *server.SGServer) {
	t.Helper()
	if err := s.Register(Words{}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "words", nil) }()
	<-s.Listening()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// dial is a client of it.
func dial(t *testing.T, network *transport.MemNetwork, o client.Option) client.RPCClient {
	t.Helper()
	o.Mem = network
	c, err := client.NewRPCClient("mem", "words", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(c client.RPCClient, ctx context.Context, method, text string) (string, error) {
	var res Word
	err := c.Call(ctx, "Words."+method, &Word{text}, &res)
	return res.Text, err
}

func TestRecoverOnTheServer(t *testing.T) {
	var told sync.Map
	r := &wrapper.Recover{OnPanic: func(method string, value any, stack []byte) {
		told.Store(method, value)
		if !bytes.Contains(stack, []byte("Words.Panic")) {
			t.Errorf("the stack does not show where:\n%s", stack)
		}
	}}
	c := pair(t, []server.Wrapper{r}, nil)
	_, err := call(c, t.Context(), "Panic", "")
	if protocol.CodeOf(err) != protocol.Internal || protocol.OutcomeOf(err) != protocol.Ran {
		t.Errorf("%v, outcome %v", err, protocol.OutcomeOf(err))
	}
	if value, _ := told.Load("Words.Panic"); value != "spilt ink" || r.Panics() != 1 {
		t.Errorf("told %v, %d panics", value, r.Panics())
	}
	if _, err := call(c, t.Context(), "Meta", "x"); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

// panicking is a client wrapper with a bug.
type panicking struct{}

func (panicking) WrapCall(*client.SGOption, client.CallFunc) client.CallFunc {
	return func(context.Context, string, any, any) error { panic("a bug in a wrapper") }
}

func TestRecoverOnTheClient(t *testing.T) {
	r := &wrapper.Recover{OnPanic: func(string, any, []byte) {}}
	c := pair(t, nil, []client.Wrapper{r, panicking{}})
	_, err := call(c, t.Context(), "Meta", "")
	if protocol.CodeOf(err) != protocol.Internal || protocol.OutcomeOf(err) != protocol.MaybeRun {
		t.Errorf("%v, outcome %v", err, protocol.OutcomeOf(err))
	}
}

func TestMetaData(t *testing.T) {
	c := pair(t, nil, []client.Wrapper{&wrapper.MetaData{Set: map[string]string{"region": "eu", "team": "a"}, Forward: []string{"trace"}}})
	for name, test := range map[string]struct {
		ctx  context.Context
		key  string
		want string
	}{
		"set":                           {t.Context(), "region", "eu"},
		"the context has the last word": {protocol.WithMeta(t.Context(), "team", "b"), "team", "b"},
		"forwarded by name":             {protocol.WithIncomingMeta(t.Context(), map[string]string{"trace": "7", "secret": "s"}), "trace", "7"},
		"received, and not sent on":     {protocol.WithIncomingMeta(t.Context(), map[string]string{"trace": "7", "secret": "s"}), "secret", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := call(c, test.ctx, "Meta", test.key); err != nil || got != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// lines collects what is logged at any level from min.
type lines struct {
	slog.Handler
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func collect(t *testing.T, min slog.Level) *lines {
	t.Helper()
	l := &lines{}
	l.Handler = slog.NewTextHandler(l, &slog.HandlerOptions{Level: min})
	sinew.SetLogger(l.Handler)
	t.Cleanup(func() { sinew.SetLogger(nil) })
	return l
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestLog(t *testing.T) {
	out := collect(t, slog.LevelDebug-1) // V(2)
	c := pair(t, []server.Wrapper{&wrapper.Log{}}, []client.Wrapper{&wrapper.Log{}})
	if _, err := call(c, t.Context(), "Meta", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := call(c, t.Context(), "Fail", "x"); err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"call Words.Meta: OK in", "serve Words.Meta: OK in", "call Words.Fail: Unknown: out of paper", "outcome Ran", "serve Words.Fail: out of paper"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// plainLines is a handler that writes messages as they are, as glog does.
type plainLines struct{ *lines }

// Handle implements slog.Handler.
func (p plainLines) Handle(_ context.Context, r slog.Record) error {
	_, err := p.Write([]byte(r.Message + "\n"))
	return err
}

// Neither a name nor an error begins a line of its own.
func TestLogHasOneLineForACall(t *testing.T) {
	out := collect(t, slog.LevelDebug-1)
	sinew.SetLogger(plainLines{out})
	failure := errors.New("no such word\r\nE0918 the disk is full\u2028\x1b[2K")
	failing := (&wrapper.Log{}).WrapCall(nil, func(context.Context, string, any, any) error { return failure })
	handling := (&wrapper.Log{}).WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return failure })
	for range 2 {
		_ = failing(t.Context(), "Words\nE0918 the disk is full.Meta", nil, nil)
		_ = handling(t.Context(), &protocol.Message{Header: protocol.Header{ServiceName: "Words", MethodName: "Meta\n"}}, nil)
		failure = nil
	}
	if text := out.String(); strings.Count(text, "\n") != 4 || strings.ContainsAny(text, "\r\x1b\u2028") || !strings.Contains(text, `no such word\r\nE0918`) {
		t.Errorf("logged\n%s", text)
	}
}

func TestLogThatIsOffCostsNothing(t *testing.T) {
	out := collect(t, slog.LevelInfo)
	next := (&wrapper.Log{}).WrapCall(nil, func(context.Context, string, any, any) error { return nil })
	ctx := context.Background()
	if allocs := testing.AllocsPerRun(100, func() { _ = next(ctx, "Words.Meta", nil, nil) }); allocs != 0 {
		t.Errorf("%v allocations for a call that is not logged", allocs)
	}
	if out.String() != "" {
		t.Errorf("logged\n%s", out)
	}
}

// Every wrapper is composed without a client or server at hand.
func TestWrappersWorkWithoutTheirSide(t *testing.T) {
	ctx := context.Background()
	call := func(context.Context, string, any, any) error { return nil }
	handle := func(context.Context, *protocol.Message, *protocol.Message) error { return nil }
	attempt := func(context.Context, *client.Attempt) error { return nil }
	header := protocol.Header{ServiceName: "A", MethodName: "B", MetaData: map[string]string{protocol.MetaAuth: secret}}
	for _, w := range []any{
		&wrapper.Recover{}, &wrapper.Log{}, &wrapper.MetaData{}, &wrapper.RequestID{},
		&wrapper.RateLimit{}, &wrapper.Breaker{}, &wrapper.ConcurrencyLimit{},
		&wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"})},
		&wrapper.TokenSource{}, &wrapper.TokenSource{Token: wrapper.KeepToken((&mint{}).fetch)},
		&wrapper.Metrics{}, &wrapper.Metrics{Recorder: mute{}},
		&wrapper.AttemptMetrics{}, &wrapper.AttemptMetrics{Recorder: mute{}},
	} {
		if c, ok := w.(client.Wrapper); ok {
			if err := c.WrapCall(nil, call)(ctx, "A.B", nil, nil); err != nil {
				t.Errorf("%T: %v", w, err)
			}
		}
		if a, ok := w.(client.AttemptWrapper); ok {
			if err := a.WrapAttempt(nil, attempt)(ctx, &client.Attempt{ServiceMethod: "A.B"}); err != nil {
				t.Errorf("%T: %v", w, err)
			}
		}
		if a, ok := w.(server.Admitter); ok {
			if err := a.Admit(ctx, &header, 0); err != nil {
				t.Errorf("%T: %v", w, err)
			}
		}
		if s, ok := w.(server.Wrapper); ok {
			if err := s.WrapHandleRequest(nil, handle)(ctx, &protocol.Message{Header: header}, &protocol.Message{}); err != nil {
				t.Errorf("%T: %v", w, err)
			}
			if err := s.WrapServe(nil, func(string, string, map[string]string) error { return nil })("", "", nil); err != nil {
				t.Errorf("%T: %v", w, err)
			}
		}
	}
}
