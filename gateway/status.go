package gateway

import (
	"errors"
	"net/http"

	"github.com/sinew-rpc/sinew/protocol"
)

// statusClientClosed is what proxies log for a caller that left.
const statusClientClosed = 499

// codes is the one table of what a code is in HTTP: its name and its status, as
// the Connect protocol has them
// (https://connectrpc.com/docs/protocol#error-codes).
var codes = [...]struct {
	name   string
	status int
}{
	protocol.OK:                 {"ok", http.StatusOK},
	protocol.Canceled:           {"canceled", statusClientClosed},
	protocol.Unknown:            {"unknown", http.StatusInternalServerError},
	protocol.InvalidArgument:    {"invalid_argument", http.StatusBadRequest},
	protocol.DeadlineExceeded:   {"deadline_exceeded", http.StatusGatewayTimeout},
	protocol.NotFound:           {"not_found", http.StatusNotFound},
	protocol.AlreadyExists:      {"already_exists", http.StatusConflict},
	protocol.PermissionDenied:   {"permission_denied", http.StatusForbidden},
	protocol.ResourceExhausted:  {"resource_exhausted", http.StatusTooManyRequests},
	protocol.FailedPrecondition: {"failed_precondition", http.StatusBadRequest},
	protocol.Aborted:            {"aborted", http.StatusConflict},
	protocol.OutOfRange:         {"out_of_range", http.StatusBadRequest},
	protocol.Unimplemented:      {"unimplemented", http.StatusNotImplemented},
	protocol.Internal:           {"internal", http.StatusInternalServerError},
	protocol.Unavailable:        {"unavailable", http.StatusServiceUnavailable},
	protocol.DataLoss:           {"data_loss", http.StatusInternalServerError},
	protocol.Unauthenticated:    {"unauthenticated", http.StatusUnauthorized},
}

// CodeName returns c as errors in JSON name it, such as "not_found"; "unknown"
// for a number that is no code.
func CodeName(c protocol.Code) string {
	if int(c) < len(codes) {
		return codes[c].name
	}
	return codes[protocol.Unknown].name
}

// StatusOf returns the HTTP status of what a call came to: 200 for nil, that of
// the error's code otherwise. A request that never became a call can have one
// of its own, such as 413 or 415.
func StatusOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return codes[protocol.CodeOf(err)].status
}

// refusal is a request that never became a call, for a reason that HTTP has a
// status of its own for.
type refusal struct {
	err    *protocol.Error
	status int
}

// refuse makes the error of a request that was not passed on.
func refuse(status int, code protocol.Code, format string, args ...any) error {
	return &refusal{err: notSent(code, format, args...), status: status}
}

// Error is that of the *protocol.Error within.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the *protocol.Error.
func (r *refusal) Unwrap() error { return r.err }

// notSent is an error of the gateway itself: the backend was not asked.
func notSent(code protocol.Code, format string, args ...any) *protocol.Error {
	return protocol.Errorf(code, format, args...).WithOutcome(protocol.NotSent)
}
