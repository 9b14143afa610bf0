package transport

import (
	"io"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// A session that is leaving from the start says hello and then goaway, each
// once.
func TestLeavingIsSaidOnceAfterHello(t *testing.T) {
	a, b := pairOf(t, "mem", "")
	var workers Workers
	s, err := NewSession(a, &SessionConfig{Workers: &workers, Hello: map[string]string{protocol.MetaAgent: "x"}, Leaving: "full"})
	if err != nil {
		t.Fatal(err)
	}
	defer workers.Close()
	defer s.Close()
	if s.Usable() {
		t.Error("calls may be opened")
	}
	if err := b.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(b) // until the deadline
	var types []protocol.MessageType
	for len(got) > 0 {
		p, ok, err := protocol.ParsePrefix(got)
		if err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
		var h protocol.Header
		if err := protocol.ParseHeader(got[protocol.PrefixLen:protocol.PrefixLen+p.HeaderLen], &h, nil); err != nil {
			t.Fatal(err)
		}
		types = append(types, h.MessageType)
		got = got[protocol.PrefixLen+p.HeaderLen+p.BodyLen:]
	}
	if len(types) != 2 || types[0] != protocol.TypeHello || types[1] != protocol.TypeGoAway {
		t.Errorf("it said %v", types)
	}
}

// What the peer is told of a goaway is whether the other side serves on.
func TestRenewIsAGoAwayThatSaysToComeAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		leave  func(s *Session)
		renews bool
	}{
		{"goaway", func(s *Session) { s.GoAway("bye") }, false},
		{"renew", func(s *Session) { s.Renew("bye") }, true},
		{"goaway, then renew", func(s *Session) { s.GoAway("bye"); s.Renew("not said") }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := pairOf(t, "mem", "")
			var workers Workers
			defer workers.Close()
			reasons := make(chan string, 2)
			told, err := NewSession(b, &SessionConfig{Workers: &workers, OnGoAway: func(_ *Session, reason string) { reasons <- reason }})
			if err != nil {
				t.Fatal(err)
			}
			defer told.Close()
			tells, err := NewSession(a, &SessionConfig{Workers: &workers})
			if err != nil {
				t.Fatal(err)
			}
			defer tells.Close()
			test.leave(tells)
			if reason := <-reasons; reason != "bye" {
				t.Errorf("the reason is %q", reason)
			}
			if left, _ := told.PeerLeft(); !left || told.PeerRenews() != test.renews || tells.Usable() {
				t.Errorf("left %v, renews %v", left, told.PeerRenews())
			}
		})
	}
}
