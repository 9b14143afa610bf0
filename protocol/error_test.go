package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// overTheWire is what a caller gets of an error that a handler returned.
func overTheWire(tb testing.TB, err error, notRun bool) (*Error, Header) {
	tb.Helper()
	h := Header{Seq: 7, MessageType: TypeResponse}
	ToResponse(&h, err, notRun)
	got := FromResponse(new(parseHeader(tb, AppendHeader(nil, &h))))
	var e *Error
	if !errors.As(got, &e) {
		tb.Fatalf("%v arrived as %v", err, got)
	}
	return e, h
}

func TestErrorsAcrossTheWire(t *testing.T) {
	full := &Error{Code: NotFound, Message: "no row", MetaData: map[string]string{"table": "users"}, Elsewhere: true, RetryAfter: 1500 * time.Microsecond}
	tests := []struct {
		name string
		err  error
		want Error
	}{
		{"a plain error", io.ErrUnexpectedEOF, Error{Code: Unknown, Message: "unexpected EOF"}},
		{"an Error", full, Error{Code: NotFound, Message: "no row", Elsewhere: true, RetryAfter: 2 * time.Millisecond}},
		{"an Error that was wrapped", fmt.Errorf("users: %w", full), Error{Code: NotFound, Message: "users: NotFound: no row", Elsewhere: true, RetryAfter: 2 * time.Millisecond}},
		{"code OK", &Error{Message: "odd"}, Error{Code: Unknown, Message: "odd"}},
		{"a code above 16", &Error{Code: 17, Message: "odd"}, Error{Code: Unknown, Message: "odd"}},
		{"a deadline of the handler's own", context.DeadlineExceeded, Error{Code: Unknown, Message: "context deadline exceeded"}},
		{"a nil *Error", (*Error)(nil), Error{Code: Unknown, Message: "nil *protocol.Error"}},
		{"an error whose methods panic", panicking{}, Error{Code: Internal, Message: "a method of the protocol.panicking that the handler returned panicked"}},
		{"a wait of a year", &Error{Code: ResourceExhausted, RetryAfter: 365 * 24 * time.Hour}, Error{Code: ResourceExhausted, RetryAfter: 24 * time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := overTheWire(t, tt.err, false)
			if got.Code != tt.want.Code || got.Message != tt.want.Message || got.Elsewhere != tt.want.Elsewhere || got.RetryAfter != tt.want.RetryAfter {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if OutcomeOf(got) != Ran || !IsRemote(got) || CodeOf(got) != tt.want.Code {
				t.Errorf("outcome %v, remote %v, code %v", OutcomeOf(got), IsRemote(got), CodeOf(got))
			}
		})
	}
}

type panicking struct{}

func (panicking) Error() string { panic("no text") }

func TestErrorMetadataAcrossTheWire(t *testing.T) {
	e, h := overTheWire(t, &Error{Code: NotFound, MetaData: map[string]string{"table": "users", MetaAuth: "secret", MetaRetryAfter: "9"}}, false)
	if len(e.MetaData) != 1 || e.MetaData["table"] != "users" || e.RetryAfter != 0 {
		t.Errorf("%+v", e)
	}
	if _, leaked := h.MetaData[MetaAuth]; leaked {
		t.Error("a handler set a key of the framework")
	}
}

func TestOnlyTheServersRecordSaysNotRun(t *testing.T) {
	called := (&Error{Code: Unavailable, Elsewhere: true}).WithOutcome(Refused)
	refused := FromResponse(&Header{StatusCode: Unavailable, Flags: FlagNotRun | FlagElsewhere | FlagDraining})
	for name, err := range map[string]error{"made": called, "received": refused, "received, wrapped": fmt.Errorf("inner: %w", refused)} {
		e, h := overTheWire(t, err, false)
		if OutcomeOf(e) != Ran || e.Elsewhere || IsDraining(e) || h.Flags != 0 {
			t.Errorf("%s by a call of the handler's own: outcome %v, flags %v", name, OutcomeOf(e), h.Flags)
		}
	}
	e, _ := overTheWire(t, Draining("bye"), true)
	if OutcomeOf(e) != Refused || !e.Elsewhere || !IsDraining(e) || e.Code != Unavailable {
		t.Errorf("a refusal: %+v", e)
	}
	if e, _ := overTheWire(t, Draining("a handler says so"), false); IsDraining(e) || OutcomeOf(e) != Ran {
		t.Errorf("a method that ran says draining: %+v", e)
	}
}

func TestToResponseForgetsOldFlags(t *testing.T) {
	h := Header{Flags: FlagNotRun | FlagElsewhere | FlagDraining | FlagMore}
	ToResponse(&h, io.EOF, false)
	if h.Flags != FlagMore {
		t.Errorf("flags %v", h.Flags)
	}
}

func TestFromResponse(t *testing.T) {
	if err := FromResponse(&Header{Error: "ignored", Flags: FlagNotRun}); err != nil {
		t.Errorf("a success is %v", err)
	}
	err := FromResponse(&Header{StatusCode: 200, MetaData: map[string]string{MetaRetryAfter: "soon"}})
	if CodeOf(err) != Unknown || OutcomeOf(err) != Ran {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]time.Duration{"250": 250 * time.Millisecond, "-1": 0, "99999999999999999999": 0, "86400001": 0, "": 0} {
		var e *Error
		err := FromResponse(&Header{StatusCode: ResourceExhausted, MetaData: map[string]string{MetaRetryAfter: text}})
		if !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("retry after %q: %v, want %v", text, e.RetryAfter, want)
		}
	}
}

func TestErrorsOfPackageContext(t *testing.T) {
	for code, want := range map[Code]error{DeadlineExceeded: context.DeadlineExceeded, Canceled: context.Canceled} {
		err := FromResponse(&Header{StatusCode: code})
		if !errors.Is(err, want) || CodeOf(want) != code {
			t.Errorf("%v is not %v", err, want)
		}
	}
	if e := NewError(DeadlineExceeded, ""); !e.Timeout() || errors.Is(e, context.Canceled) || NewError(Internal, "").Timeout() {
		t.Error("Timeout")
	}
}

func TestCodeAndOutcomeOfOtherErrors(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		code    Code
		outcome Outcome
	}{
		{"nil", nil, OK, Ran},
		{"a stranger", io.EOF, Unknown, MaybeRun},
		{"a failure is never OK", &Error{}, Unknown, MaybeRun},
		{"a nil *Error", (*Error)(nil), Unknown, MaybeRun},
		{"an outcome that was set", NewError(Unavailable, "").WithOutcome(NotSent), Unavailable, NotSent},
		{"wrapped", fmt.Errorf("x: %w", NewError(Aborted, "").WithOutcome(Refused)), Aborted, Refused},
	}
	for _, tt := range tests {
		if CodeOf(tt.err) != tt.code || OutcomeOf(tt.err) != tt.outcome {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, CodeOf(tt.err), OutcomeOf(tt.err), tt.code, tt.outcome)
		}
	}
	if IsRemote((*Error)(nil)) || IsDraining((*Error)(nil)) || IsRemote(io.EOF) {
		t.Error("something was read from nothing")
	}
}

func TestErrorfAndWithCauseKeepTheCause(t *testing.T) {
	if e := Errorf(Internal, "writing %d: %w", 3, io.ErrShortWrite); !errors.Is(e, io.ErrShortWrite) || e.Message != "writing 3: short write" {
		t.Errorf("%v", e)
	}
	base := NewError(Unavailable, "gone")
	if e := base.WithCause(io.EOF); !errors.Is(e, io.EOF) || errors.Is(base, io.EOF) || e.Error() != "Unavailable: gone" {
		t.Errorf("%v, %v", e, base)
	}
}

func TestSentinelsKeepTheirIdentity(t *testing.T) {
	errStock, errOther := errors.New("out of stock"), errors.New("other")
	for _, err := range []error{RegisterError("test.stock", errStock), RegisterError("test.stock", errStock)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{"itself": errStock, "wrapped": fmt.Errorf("item 3: %w", errStock), "as cause": Errorf(NotFound, "%w", errStock)} {
		if e, _ := overTheWire(t, err, false); !errors.Is(e, errStock) || errors.Is(e, errOther) {
			t.Errorf("%s: %v lost its identity", name, e)
		}
	}
	if e, _ := overTheWire(t, errOther, false); errors.Is(e, errOther) {
		t.Error("an error that was not registered kept its identity")
	}
	if err := FromResponse(&Header{StatusCode: Unknown, MetaData: map[string]string{MetaErrorID: "test.nobody"}}); errors.Unwrap(err) != nil {
		t.Errorf("an unknown id led to %v", errors.Unwrap(err))
	}
}

func TestRegisterErrorRefuses(t *testing.T) {
	known := errors.New("known")
	if err := RegisterError("test.known", known); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, id string
		err      error
		says     string
	}{
		{"no id", "", known, "1 to 64 bytes"},
		{"a long id", strings.Repeat("x", 65), known, "1 to 64 bytes"},
		{"a line break", "a\nb", known, "without CR, LF"},
		{"no error", "test.nil", nil, "is nil"},
		{"another error's id", "test.known", io.EOF, "already stands for"},
		{"an error that cannot be compared", "test.odd", incomparable{nil}, "register a pointer"},
	}
	for _, tt := range tests {
		if err := RegisterError(tt.id, tt.err); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want one that says %q", tt.name, err, tt.says)
		}
	}
}

type incomparable struct{ parts []string }

func (incomparable) Error() string { return "parts" }

func TestNamesOnTheWire(t *testing.T) {
	for got, want := range map[string]string{
		TypeRequest.String(): "request", TypeHello.String(): "hello", MessageType(9).String(): "type 9",
		OK.String(): "OK", Unauthenticated.String(): "Unauthenticated", Code(17).String(): "Code(17)",
		MaybeRun.String(): "MaybeRun", NotSent.String(): "NotSent", Refused.String(): "Refused", Ran.String(): "Ran", Outcome(9).String(): "Outcome(9)",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
