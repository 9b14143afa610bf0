package endpoint

import (
	"cmp"
	"errors"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// firstInflated is the least room, in bytes, for a body that does not say what it
// inflates to.
const firstInflated = 4 << 10

// errNoRoom is what Serve's refusal of a body that has no room to be inflated wraps.
var errNoRoom = errors.New("too many bytes in flight to inflate the request")

// unmarshal reads the body of req into v. What it inflates is held in the room for
// bytes in flight until the task ends, since what is decoded from it lives as long.
func (t *task) unmarshal(req *protocol.Message, v any) error {
	if req.CompressType == protocol.CompressTypeNone {
		return protocol.Unmarshal(req.SerializeType, req.Body, v, t.d.MaxElements)
	}
	inflated, err := t.inflate(req)
	if err != nil {
		return err
	}
	defer inflated.Release()
	return protocol.Unmarshal(req.SerializeType, inflated.B, v, t.d.MaxElements)
}

// inflate inflates the body of req, once there is room for what it is likely to
// need, and again, with four times as much, where that was too little. Where what it
// needs is a guess, and there is no room for that, it makes do with less. The buffer
// is the caller's.
func (t *task) inflate(req *protocol.Message) (*transport.Buffer, error) {
	limit := cmp.Or(t.d.MaxMessageSize, protocol.DefaultMaxMessageSize)
	size, least := likelyInflated(&req.Header, req.Body)
	for ; ; size, least = 4*size, size+1 {
		if size = t.holdAbout(min(size, limit), least); size == 0 {
			return nil, errNoRoom
		}
		inflated, err := inflate(&req.Header, req.Body, size)
		switch {
		case err == nil:
			t.hold(len(inflated.B)) // no more than is held
			return inflated, nil
		case size == limit || !errors.Is(err, protocol.ErrInflatedTooLarge):
			t.hold(0)
			return nil, err
		}
	}
}

// likelyInflated is what a body may need when it is inflated, and the least that it
// needs for certain: what it declares, as what peers like this one send does, or a
// guess.
func likelyInflated(h *protocol.Header, body []byte) (size, least int) {
	if declared := protocol.InflatedSize(h.CompressType, body); declared > 0 {
		size = max(declared, len(body))
		return size, size
	}
	return max(4*len(body), firstInflated), len(body)
}

// holdAbout has the task hold size bytes for inflated bodies, or half of that, and so
// on while it is no fewer than least. It returns how many, 0 where there is no room.
func (t *task) holdAbout(size, least int) int {
	for !t.hold(size) {
		if size /= 2; size < max(least, 1) {
			return 0
		}
	}
	return size
}

// hold has the task hold n bytes in place of what it held for inflated bodies
// before, false where there is no room for more.
func (t *task) hold(n int) bool {
	switch more := n - t.held; {
	case more == 0:
		return true
	case more < 0:
		t.room().Free(-more)
	case !t.room().Hold(more):
		return false
	}
	t.held = n
	return true
}

// room is what bounds the bytes in flight where the request came from.
func (t *task) room() *transport.Room {
	if t.session != nil {
		return t.session.Room()
	}
	return t.d.Room
}
