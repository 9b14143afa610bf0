package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// kind is a way of calling.
type kind string

// The kinds of call.
const (
	kindFast   kind = "fast"   // FailFast, not idempotent
	kindRetry  kind = "retry"  // FailRetry with retries, not idempotent
	kindOver   kind = "over"   // FailOver, idempotent
	kindOneway kind = "oneway" // Notify
	kindLarge  kind = "large"  // FailOver, not idempotent, 256 KiB there and back
	kindCancel kind = "cancel" // its caller goes before the method ends
	kindHTTP   kind = "http"   // through the gateway, not idempotent
)

// record is what a caller was told of one call.
type record struct {
	ID      int64
	Kind    kind
	Began   time.Time
	Ended   time.Time
	Code    protocol.Code `json:",omitempty"`
	Outcome string        `json:",omitempty"` // of a call that failed
	Error   string        `json:",omitempty"`
	Wrong   bool          `json:",omitempty"` // it was given the answer of another call
	Gone    time.Time     `json:",omitzero"`  // when the caller cancelled it
}

// wrongAnswer is an answer that is another call's. No fault explains one.
type wrongAnswer struct {
	id     int64
	answer string
}

func (e *wrongAnswer) Error() string { return fmt.Sprintf("the answer to %d is %s", e.id, e.answer) }

// fill takes the result of the call.
func (r *record) fill(err error) {
	r.Ended = time.Now()
	if err != nil {
		r.Code, r.Outcome, r.Error = protocol.CodeOf(err), protocol.OutcomeOf(err).String(), err.Error()
	}
	var wrong *wrongAnswer
	r.Wrong = errors.As(err, &wrong) || r.failsAsAnother()
}

// failsAsAnother reports whether the call failed in a way in which its method fails
// on purpose, and not for this call.
func (r *record) failsAsAnother() bool {
	for _, reason := range []string{busy, noSuch} {
		if strings.Contains(r.Error, reason) && (!r.enters() || failure(r.ID) != reason) {
			return true
		}
	}
	return false
}

// enters reports whether the call is one of the method that fails for some IDs.
func (r *record) enters() bool {
	return r.Kind == kindFast || r.Kind == kindRetry || r.Kind == kindOver || r.Kind == kindHTTP
}

// asked reports whether the call failed because it was meant to.
func (r *record) asked() bool {
	return failure(r.ID) != "" || r.Kind == kindCancel
}

// caller names the host that made the call.
func (r *record) caller() string { return fmt.Sprintf("c%d", r.ID>>32) }

// bad reports whether the call failed though nobody asked it to.
func (r *record) bad() bool {
	if r.Code == protocol.OK || r.Kind == kindCancel && r.Code == protocol.Canceled {
		return false
	}
	return !r.asked() || r.Outcome != protocol.Ran.String()
}

// readLines hands each line of a file to take.
func readLines(path string, take func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		if err := take(lines.Bytes()); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	return lines.Err()
}

// readJSON reads a file of one value a line.
func readJSON[T any](path string) (all []T, err error) {
	err = readLines(path, func(line []byte) error {
		var v T
		err := json.Unmarshal(line, &v)
		all = append(all, v)
		return err
	})
	return all, err
}

// execution is what the journals have of one ID.
type execution struct {
	ran       int
	cancelled time.Time // when the method was told that its caller has gone
}

// readJournal adds what one provider wrote.
func readJournal(path string, into map[int64]*execution, ranAt func(time.Time)) error {
	err := readLines(path, func(line []byte) error {
		var word string
		var id, micros int64
		if _, err := fmt.Sscanf(string(line), "%s %d %d", &word, &id, &micros); err != nil {
			return err
		}
		e := into[id]
		if e == nil {
			e = new(execution)
			into[id] = e
		}
		at := time.UnixMicro(micros)
		switch word {
		case wordRan:
			e.ran++
			ranAt(at)
		case wordCancelled:
			e.cancelled = at
		default:
			return fmt.Errorf("unknown word %q", word)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
