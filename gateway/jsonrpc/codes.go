package jsonrpc

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// serverError is the first code that the specification leaves to servers: those
// of package protocol are counted down from it.
const serverError = -32000

// errorData is what the member data of an error says.
type errorData struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	Outcome      string `json:"outcome"`
	RetryAfterMs int64  `json:"retryAfterMs,omitempty"`
}

// fromProtocol returns how a call failed as the error object of a response.
func fromProtocol(err error) *Error {
	code, outcome := protocol.CodeOf(err), protocol.OutcomeOf(err)
	data := errorData{Code: gateway.CodeName(code), Message: messageOf(err), Outcome: outcome.String()}
	if wait := retryAfter(err); wait > 0 {
		data.RetryAfterMs = max(1, wait.Milliseconds())
	}
	number := numberOf(code, outcome)
	message, isReserved := reserved[number]
	if !isReserved {
		message = data.Message
	}
	return &Error{Code: number, Message: message, Data: marshal(data)}
}

// fromBody returns why a body could not be read as an error object.
func fromBody(err error) *Error {
	return &Error{Code: InvalidRequest, Message: reserved[InvalidRequest], Data: fromProtocol(err).Data}
}

// numberOf is the table of codes.
func numberOf(code protocol.Code, outcome protocol.Outcome) int {
	switch {
	case code == protocol.Unimplemented && (outcome == protocol.Refused || outcome == protocol.NotSent):
		return MethodNotFound
	case code == protocol.InvalidArgument:
		return InvalidParams
	case code == protocol.Internal:
		return InternalError
	}
	return serverError - int(code)
}

func messageOf(err error) string {
	if e, ok := asProtocol(err); ok {
		return e.Message // the code has a place of its own
	}
	return err.Error()
}

func retryAfter(err error) time.Duration {
	if e, ok := asProtocol(err); ok {
		return e.RetryAfter
	}
	return 0
}

func asProtocol(err error) (e *protocol.Error, ok bool) {
	ok = errors.As(err, &e) && e != nil
	return e, ok
}

// toProtocol returns what a server said as the error of a call. A server of
// sinew's tells code and outcome in data, others are taken at their number.
func toProtocol(e *Error) *protocol.Error {
	code, outcome := canonical(e.Code)
	err := protocol.NewError(code, e.Message)
	var data errorData
	// data is the server's own affair: what does not decode says nothing.
	if json.Unmarshal(e.Data, &data) == nil {
		if named, ok := codeNamed(data.Code); ok {
			err.Code, err.Message = named, data.Message
			outcome = outcomeNamed(data.Outcome)
		}
		const longest = int64(24 * time.Hour / time.Millisecond)
		err.RetryAfter = time.Duration(min(max(data.RetryAfterMs, 0), longest)) * time.Millisecond
	}
	return err.WithCause(e).WithOutcome(outcome)
}

// canonical returns what the number alone says.
func canonical(number int) (protocol.Code, protocol.Outcome) {
	switch number {
	case ParseError, InvalidRequest:
		return protocol.InvalidArgument, protocol.Refused
	case MethodNotFound:
		return protocol.Unimplemented, protocol.Refused
	case InvalidParams:
		return protocol.InvalidArgument, protocol.Ran // the method may be who says so
	case InternalError:
		return protocol.Internal, protocol.Ran
	}
	return protocol.Unknown, protocol.Ran
}

// codeNamed returns the failure that has this name.
func codeNamed(name string) (protocol.Code, bool) {
	for c := protocol.Canceled; c <= protocol.Unauthenticated; c++ {
		if gateway.CodeName(c) == name {
			return c, true
		}
	}
	return 0, false
}

// outcomeNamed returns the outcome as it is for the client of a gateway: what the
// gateway did not send on was refused by it.
func outcomeNamed(name string) protocol.Outcome {
	switch name {
	case protocol.NotSent.String(), protocol.Refused.String():
		return protocol.Refused
	case protocol.Ran.String():
		return protocol.Ran
	}
	return protocol.MaybeRun
}
