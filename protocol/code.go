package protocol

import "strconv"

// Code says how a call ended. The values are the canonical codes of gRPC
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md), so gateways
// and dashboards need no second table.
type Code uint8

// The codes, with who sets them here. What is said of the framework is all it
// ever sets; handlers may return any but OK.
const (
	OK                 Code = 0
	Canceled           Code = 1  // the caller's context was cancelled
	Unknown            Code = 2  // a handler's plain error
	InvalidArgument    Code = 3  // a body, name or metadata that is not well formed
	DeadlineExceeded   Code = 4  // a context or a timeout of the call ran out
	NotFound           Code = 5  // handlers only
	AlreadyExists      Code = 6  // handlers only
	PermissionDenied   Code = 7  // handlers and authorisers
	ResourceExhausted  Code = 8  // a bound was met: size, requests or bytes in flight, rate
	FailedPrecondition Code = 9  // the tags of server and request disagree
	Aborted            Code = 10 // handlers only
	OutOfRange         Code = 11 // handlers only
	Unimplemented      Code = 12 // unknown service, method, serializer, compressor or critical flag
	Internal           Code = 13 // a panic, or a reply that could not be encoded or decoded
	Unavailable        Code = 14 // no connection, a lost one, or a peer that is going away
	DataLoss           Code = 15 // handlers only
	Unauthenticated    Code = 16 // missing or wrong credentials
)

var codeNames = [...]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
	"AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
	"Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
	"Unauthenticated",
}

// String returns the code's name, or "Code(n)" for a number without one.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "Code(" + strconv.Itoa(int(c)) + ")"
}

// ofFailure returns c, or Unknown where c is no code that a failure can have:
// OK, and numbers that are not canonical.
func (c Code) ofFailure() Code {
	if c == OK || c > Unauthenticated {
		return Unknown
	}
	return c
}
