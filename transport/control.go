package transport

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

func stack() []byte { return debug.Stack() }

// onHeartbeat answers below every wrapper.
func (s *Session) onHeartbeat(h *protocol.Header) {
	s.mu.Lock()
	placed := s.out.addReserve(&protocol.Header{Seq: h.Seq, MessageType: protocol.TypeResponse})
	s.mu.Unlock()
	if !placed {
		s.stats.DroppedHeartbeats.Add(1)
	}
}

// maxCompressors is how many bytes the list of a hello's compressors may have. It is
// kept while the session lives: one that is longer is taken for none.
const maxCompressors = 256

// onHello takes in what the peer says of itself, and tells the handler.
func (s *Session) onHello(h *protocol.Header) error {
	if h.MetaTooLarge() {
		return fmt.Errorf("%w: a hello with metadata of %d bytes; at most %d are taken", protocol.ErrMalformed, protocol.MetaSize(h.MetaData), protocol.MaxMetaSize)
	}
	s.mu.Lock()
	if n, err := strconv.Atoi(h.MetaData[protocol.MetaMaxMessage]); err == nil && n > 0 {
		s.peerMax.Store(int64(min(n, math.MaxInt32))) // a frame's length has 32 bits
	}
	if list := h.MetaData[protocol.MetaCompress]; len(list) <= maxCompressors {
		s.peerComp = list
	}
	s.mu.Unlock()
	if s.cfg.Handler != nil {
		hello := *h
		s.cfg.Workers.Go(func() { s.cfg.Handler.Hello(s, &hello) })
	}
	return nil
}

// PeerMaxMessage returns the largest frame that the peer takes, in bytes of
// header and body.
func (s *Session) PeerMaxMessage() int { return int(s.peerMax.Load()) }

// PeerAccepts reports whether the peer announced the compressor of that name.
func (s *Session) PeerAccepts(compressor string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for accepted := range strings.SplitSeq(s.peerComp, ",") {
		if accepted == compressor {
			return true
		}
	}
	return false
}

// onGoAway notes that the peer takes nothing new. This side half-closes when
// its calls are answered and its handlers have replied: see afterCall.
func (s *Session) onGoAway(h *protocol.Header) {
	_, renews := h.MetaData[protocol.MetaComeAgain]
	s.mu.Lock()
	s.peerGone, s.peerRenews = true, renews
	s.mu.Unlock()
	if s.cfg.OnGoAway != nil {
		s.cfg.OnGoAway(s, h.Error)
	}
}

// GoAway tells the peer to open nothing new here. Requests that still arrive
// are refused as Draining, oneways are served, and calls of this side go on.
// The session ends when the peer has nothing left and closes its direction. It
// does not wait; saying it again does nothing.
func (s *Session) GoAway(reason string) { s.goAway(reason, nil) }

// Renew is GoAway where only the connection is to end: this side serves on, and the
// peer, where it knows that word, may connect again at once.
func (s *Session) Renew(reason string) {
	s.goAway(reason, map[string]string{protocol.MetaComeAgain: "1"})
}

func (s *Session) goAway(reason string, meta map[string]string) {
	s.mu.Lock()
	if s.goneAway.Load() || s.err != nil {
		s.mu.Unlock()
		return
	}
	s.goneAway.Store(true)
	s.out.appendGoAway(reason, meta)
	s.unlockAndFlush(false)
}

// appendGoAway queues the one goaway of a session, outside every bound. It must
// not overtake a large request that was queued before it: the peer would close
// without having seen that.
func (o *outbox) appendGoAway(reason string, meta map[string]string) {
	head := protocol.AppendFrameHead(nil, &protocol.Header{MessageType: protocol.TypeGoAway, Error: reason, MetaData: meta}, 0)
	if len(o.large) == 0 && len(o.current.large) == 0 { // those being written may come back
		o.appendSmall(head, nil)
		return
	}
	own := NewBuffer(len(head))
	own.B = append(own.B, head...)
	o.queued += len(own.B)
	o.large = append(o.large, largeFrame{head: own, body: NewBuffer(0)})
}

// afterCall half-closes when the peer is going away and nothing is left to say
// to it, with s.mu held.
func (s *Session) afterCall() {
	o := &s.out
	if s.peerGone && !o.closeWrite && !o.halfClosed && s.err == nil &&
		s.pending.len() == 0 && s.tasks.len() == 0 && !o.pendingWork() {
		o.closeWrite = true
	}
}

// lingerTime and lingerBytes bound what is read and thrown away after a fault
// of the peer, so that the goaway which names it is not lost to a reset.
const (
	lingerTime  = 200 * time.Millisecond
	lingerBytes = 1 << 20
)

// farewell ends the session over a fault of the peer, telling it the reason
// where it speaks the frame.
func (s *Session) farewell(err error) {
	if errors.Is(err, protocol.ErrBadMagic) {
		s.fail(err)
		return
	}
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.goneAway.Store(true)
	s.out.appendGoAway(err.Error(), nil)
	s.out.closeWrite = true
	s.unlockAndFlush(false)
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime)) // an error is met by the read
	_, _ = io.CopyN(io.Discard, s.conn, lingerBytes)
	s.fail(err)
}
