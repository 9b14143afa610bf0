package jsonrpc

import (
	"encoding/json"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
)

// room is what is left of Option.MaxReply for the results of one HTTP request.
type room struct{ left atomic.Int64 }

func newRoom(limit int) *room {
	r := new(room)
	r.left.Store(int64(limit))
	return r
}

// result returns the body of a response as JSON, and takes its room.
func (r *room) result(res *protocol.Message) (json.RawMessage, error) {
	body := res.Body
	if res.CompressType != protocol.CompressTypeNone {
		var err error
		if body, err = protocol.Inflate(res.CompressType, nil, body, int(max(1, r.left.Load()))); err != nil {
			return nil, unusable("cannot be inflated: " + err.Error())
		}
	}
	switch {
	case res.SerializeType != protocol.SerializeTypeJSON:
		return nil, unusable("is " + res.SerializeType.String() + ", not JSON")
	case r.left.Add(-int64(len(body))) < 0:
		r.left.Add(int64(len(body))) // a smaller one may fit
		return nil, protocol.Errorf(protocol.ResourceExhausted, "the results are longer than may be answered at once (MaxReply)").WithOutcome(protocol.Ran)
	case len(body) == 0:
		return null, nil
	case !json.Valid(body):
		return nil, unusable("is no JSON")
	}
	return trim(body), nil
}

// unusable says that the method answered with what cannot be passed on.
func unusable(why string) error {
	return protocol.NewError(protocol.Internal, "the reply "+why).WithOutcome(protocol.Ran)
}
