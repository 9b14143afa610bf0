package protocol

import "strconv"

// Outcome tells what is known of a failed call's method: the one question that
// decides whether calling again can do harm.
type Outcome uint8

const (
	// MaybeRun: bytes of the request were given to the socket and no answer
	// came. It is the zero value, because it is what must be assumed.
	MaybeRun Outcome = iota
	// NotSent: no byte of the request was given to the socket.
	NotSent
	// Refused: the peer said that the method was not entered.
	Refused
	// Ran: the method answered, with an error or with a reply that could not
	// be used.
	Ran
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case MaybeRun:
		return "MaybeRun"
	case NotSent:
		return "NotSent"
	case Refused:
		return "Refused"
	case Ran:
		return "Ran"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// OutcomeOf tells which of the four holds for the error of a call. A nil error
// is Ran; an error that no call of this framework returned is MaybeRun.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Ran
	}
	if e, ok := asError(err); ok {
		return e.outcome
	}
	return MaybeRun
}
