package protocol

import (
	"maps"
	"slices"
)

// Message is one frame in memory: what wrappers and gateways see of a call
// before it is decoded.
//
// A Message that a handler chain receives is never reused, but its Body is lent
// until the chain returns; Clone keeps it.
type Message struct {
	Header
	Body []byte
}

// Clone returns a copy that shares nothing with m.
func (m *Message) Clone() *Message {
	c := *m
	c.MetaData = maps.Clone(m.MetaData)
	c.Body = slices.Clone(m.Body)
	return &c
}
