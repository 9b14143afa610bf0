package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// takeover clears a screen, sets a title, and hides what follows, in the ways that
// terminals know.
const takeover = "\x1b[2J\x1b]0;owned\a\u009b31m\r\u202e\x7f"

type Evil struct{}

// Say answers with what it was given.
func (Evil) Say(_ context.Context, in *Passage, out *Passage) error {
	out.Text = in.Text
	return nil
}

// Fail fails with it.
func (Evil) Fail(_ context.Context, in *Passage, _ *Passage) error {
	return protocol.NewError(protocol.Aborted, in.Text)
}

// What a provider says does nothing to the terminal that shows it.
func TestProvidersDoNotReachTheTerminal(t *testing.T) {
	s, err := server.NewSGServer(&server.Option{Tags: map[string]string{"idc": takeover[:10]}, TagsOptional: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Evil{}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("tcp", "127.0.0.1:0", nil) }()
	<-s.Listening()
	defer func() {
		if err := errors.Join(s.Close(), <-served); !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	}()
	body, err := json.Marshal(Passage{takeover})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"call", "Evil.Say", string(body)},
		{"call", "Evil.Fail", string(body)},
		{"call", "Evil.None\x1b[2J", "{}"},
		{"ls"},
		{"watch", "-n", "1"},
	} {
		_, out, errs := play(t, []string{"SINEW_ADDR=" + s.Addr().String()}, "", args...)
		if i := strings.IndexFunc(out+errs, harms); i >= 0 || out+errs == "" {
			t.Errorf("%q: %q", args, out+errs)
		}
		if len(args) > 1 && args[1] == "Evil.Say" {
			var said Passage
			if err := json.Unmarshal([]byte(out), &said); err != nil || said.Text != takeover {
				t.Errorf("the reply is no more what it was: %q, %v", said.Text, err)
			}
		}
	}
}

func TestTableHasOneLineForARow(t *testing.T) {
	lines := table{{"A", "B"}, {"x\ny", "z"}}.lines()
	if len(lines) != 2 || lines[1] != `x\u000ay  z` {
		t.Errorf("%q", lines)
	}
}

func TestScreenKeepsItsOwnControl(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(plain{&out})
	s.live = true
	s.show([]string{"a\x1b[2J"})
	s.show([]string{"b\xff"})
	if got, want := out.String(), wrapOff+"a\\u001b[2J\n"+wrapOn+"\x1b[1A\r\x1b[J"+wrapOff+"b\ufffd\n"+wrapOn; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
}
