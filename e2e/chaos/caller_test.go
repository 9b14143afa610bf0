package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Each of these once passed for the answer to call 5, or for a failure of which
// nobody knows whether it ran.
func TestTheAnswerOfAnotherCallIsKnown(t *testing.T) {
	for body, wrong := range map[string]bool{
		`{"ID":5,"Data":null}`: false,
		`{"ID":50}`:            true,
		`{"ID":6}`:             true,
		`{}`:                   true,
		`nothing`:              true,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		err := post(t.Context(), server.Client(), server.URL, 5)
		server.Close()
		var answer *wrongAnswer
		if errors.As(err, &answer) != wrong {
			t.Errorf("%s to call 5: %v", body, err)
		}
	}
}
