package transport

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// endsWithBytes is a connection that says with the last bytes that they are the last,
// as io.Reader allows and crypto/tls does.
type endsWithBytes struct{ net.Conn }

func (c endsWithBytes) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = c.Conn.Read(p[n:])
		n += more
	}
	return n, err
}

func TestBytesThatComeWithTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, size := range []int{10, 40_000} {
			n := NewMemNetwork()
			ln, err := n.Listen("s")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := n.Dial(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			cfg := newConfig(&service{})
			cfg.OnEnd = func(_ *Session, err error) { ended <- err }
			s := start(t, endsWithBytes{conn}, cfg)
			go func() {
				r := &raw{accepted, t}
				m, err := r.receive()
				if err != nil {
					t.Error(err)
				}
				r.send(protocol.Header{Seq: m.Seq, MessageType: protocol.TypeResponse}, string(make([]byte, size)))
				_ = r.Close()
			}()
			if got, err := ask(s, "M", "", time.Second); err != nil || len(got) != size {
				t.Errorf("%d of %d bytes of the answer, %v", len(got), size, err)
			}
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("the session ended with %v", err)
			}
			_ = s.Close()
			cfg.Workers.Close()
		}
	})
}
