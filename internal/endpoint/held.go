package endpoint

import (
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Held stands in for the reply of a call that is made beside others like it:
// what arrives is kept as it is until it is known which of them counts. The zero
// value is ready. It belongs to the goroutine that calls, and then to who waited
// for that.
type Held struct {
	caller *Caller
	name   protocol.Header // of the method alone
	reply  *transport.Reply
}

// keep takes the place of decoding a reply that is no failure. It takes reply over.
func (h *Held) keep(c *Caller, sent *protocol.Header, reply *transport.Reply) {
	h.Release() // of a call before, if someone made two
	h.caller, h.reply = c, reply
	h.name.ServiceName, h.name.MethodName = sent.ServiceName, sent.MethodName
}

// Decode reads the reply that is held into resp, as Caller.Call does, returns
// its metadata, and releases it. Where there is none, since a wrapper made no call,
// resp is left as it is, as by a call that is made alone.
func (h *Held) Decode(resp any) (meta map[string]string, err error) {
	defer h.Release()
	if resp == Oneway || h.reply == nil {
		return nil, nil
	}
	return h.reply.Header.MetaData, h.caller.decode(&h.name, h.reply, resp)
}

// Release gives the reply's room back, if there is one.
func (h *Held) Release() {
	h.reply.Release()
	h.reply = nil
}
