package transport

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

// Bodies that came with one read are each their request's, for as long as it is
// served, whatever becomes of those beside it and of later reads.
func TestSmallBodiesOfOneRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		cfg := newConfig(&service{method: func(t *serviceTask) {
			if t.h.MethodName == "Hold" {
				<-release
			}
		}})
		peer, _ := rawPeer(t, cfg)
		body := func(seq uint64) string {
			return fmt.Sprint(seq, "/") + strings.Repeat(string(rune('a'+seq%26)), int(seq*7)%(sheafBody+40))
		}
		write := func(from, to uint64, method func(seq uint64) string) {
			var frames []byte
			for seq := from; seq < to; seq++ {
				frames = protocol.AppendFrame(frames, &protocol.Header{Seq: seq, ServiceName: "S", MethodName: method(seq)}, []byte(body(seq)))
			}
			if _, err := peer.Write(frames); err != nil {
				t.Error(err)
			}
		}
		read := func(n int) (held int) {
			for range n {
				m, err := peer.receive()
				if err != nil {
					t.Fatal(err)
				}
				if string(m.Body) != body(m.Seq) {
					t.Errorf("request %d got back %.20q of %d bytes", m.Seq, m.Body, len(m.Body))
				}
				if m.Seq < 1000 && m.Seq%2 == 0 {
					held++
				}
			}
			return held
		}
		write(1, 201, func(seq uint64) string { return []string{"Hold", "Echo"}[seq%2] })
		if held := read(100); held != 0 {
			t.Errorf("%d replies to requests that were held", held)
		}
		write(1000, 1300, func(uint64) string { return "Echo" })
		read(300)
		close(release)
		if held := read(100); held != 100 {
			t.Errorf("%d of 100 held requests were answered", held)
		}
	})
}
