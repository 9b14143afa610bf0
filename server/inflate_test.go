package server_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// bomb is a request whose body inflates to size bytes, and a little more.
func bomb(t *testing.T, compress protocol.CompressType, size int) *protocol.Message {
	t.Helper()
	body, err := protocol.Compress(compress, nil, marshal(t, map[string]any{"X": make([]byte, size)}))
	if err != nil {
		t.Fatal(err)
	}
	return &protocol.Message{
		Header: protocol.Header{ServiceName: "Stuck", MethodName: "Wait", CompressType: compress},
		Body:   body,
	}
}

// What bodies inflate to is in the bound of bytes in flight, until their handlers
// have returned.
func TestInflatedBytesAreBounded(t *testing.T) {
	for _, compress := range []protocol.CompressType{protocol.CompressTypeGzip, protocol.CompressTypeSnappy, protocol.CompressTypeZstd} {
		t.Run(compress.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, bound = 300 << 10, 1100 << 10 // three, and ten as they travel
				s, mem := on(t, server.Option{MaxBytesInFlight: bound})
				entered, _ := stuck(t, s)
				running(t, s)
				conn := dialRaw(t, mem)
				m := bomb(t, compress, size)
				for seq := range uint64(10) {
					m.Seq = seq
					conn.sendFrame(m.Header, m.Body)
				}
				var refused []uint64
				for range 7 {
					h, _ := conn.next()
					if h.StatusCode != protocol.ResourceExhausted || h.Flags&(protocol.FlagNotRun|protocol.FlagElsewhere) != protocol.FlagNotRun|protocol.FlagElsewhere {
						t.Fatalf("answer %+v", h)
					}
					refused = append(refused, h.Seq)
				}
				synctest.Wait()
				stats := s.Stats()
				if len(entered) != 3 || stats.Refused.Room != 7 || stats.Refused.Unreadable != 0 {
					t.Errorf("%d run, refused %+v", len(entered), stats.Refused)
				}
				if stats.BytesInFlight < 3*size || stats.BytesInFlight > bound {
					t.Errorf("%d bytes in flight", stats.BytesInFlight)
				}
				for seq := range uint64(10) {
					if !slices.Contains(refused, seq) {
						conn.sendFrame(protocol.Header{Seq: seq, MessageType: protocol.TypeCancel}, nil)
						conn.next()
					}
				}
				if left := s.Stats().BytesInFlight; left != 0 {
					t.Errorf("%d bytes in flight, and no request", left)
				}
			})
		})
	}
}

// So is what comes from a gateway beside the server.
func TestInflatedBytesOfAGatewayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := on(t, server.Option{MaxBytesInFlight: 1 << 20})
		defer s.Close()
		entered, _ := stuck(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := s.Do(ctx, bomb(t, protocol.CompressTypeZstd, 300<<10))
				ended <- err
			}()
		}
		for range 7 {
			err := <-ended
			var refusal *protocol.Error
			wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
			if errors.As(err, &refusal); !refusal.Elsewhere {
				t.Errorf("%v, and not elsewhere", err)
			}
		}
		synctest.Wait()
		if len(entered) != 3 {
			t.Errorf("%d run", len(entered))
		}
		cancel()
		for range 3 {
			<-ended
		}
		if left := s.Stats().BytesInFlight; left != 0 {
			t.Errorf("%d bytes in flight, and no request", left)
		}
	})
}

// A body that says too little of what it inflates to, as gzip of several members
// does, is served where there is room for it.
func TestBodyThatInflatesToMoreThanItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxBytesInFlight: 1 << 20})
		running(t, s)
		whole := marshal(t, map[string]any{"A": 1, "B": 2, "X": make([]byte, 300<<10)})
		var body []byte
		for _, part := range [][]byte{whole[:len(whole)-1], whole[len(whole)-1:]} {
			var err error
			if body, err = protocol.Compress(protocol.CompressTypeGzip, body, part); err != nil {
				t.Fatal(err)
			}
		}
		h := request(1)
		h.CompressType = protocol.CompressTypeGzip
		conn := dialRaw(t, mem)
		conn.sendFrame(h, body)
		if h, _ := conn.next(); h.StatusCode != protocol.OK {
			t.Errorf("answer %+v", h)
		}
		if left := s.Stats().BytesInFlight; left != 0 {
			t.Errorf("%d bytes in flight, and no request", left)
		}
	})
}

// A body that does not say what it inflates to is served though there would be no room
// for all that it might be.
func TestBodyThatInflatesToLessThanFeared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{MaxBytesInFlight: 1 << 20})
		running(t, s)
		x := make([]byte, 450<<10)
		for seed, i := uint32(1), 0; i < 300<<10; i++ { // what does not compress
			seed = 1664525*seed + 1013904223
			x[i] = byte(seed >> 24)
		}
		var body []byte
		for _, part := range [][]byte{marshal(t, map[string]any{"A": 1, "B": 2, "X": x}), nil} {
			var err error
			if body, err = protocol.Compress(protocol.CompressTypeGzip, body, part); err != nil {
				t.Fatal(err)
			}
		}
		if size := protocol.InflatedSize(protocol.CompressTypeGzip, body); size != 0 || len(body) < 1<<20/5 {
			t.Fatalf("a body of %d bytes says that it inflates to %d", len(body), size)
		}
		h := request(1)
		h.CompressType = protocol.CompressTypeGzip
		conn := dialRaw(t, mem)
		conn.sendFrame(h, body)
		if h, _ := conn.next(); h.StatusCode != protocol.OK {
			t.Errorf("answer %+v", h)
		}
		if left := s.Stats().BytesInFlight; left != 0 {
			t.Errorf("%d bytes in flight, and no request", left)
		}
	})
}
