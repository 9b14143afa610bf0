package protocol

// ProtocolType names the form of frames on a connection. There is one.
type ProtocolType uint8

// Default is the frame that SPEC.md describes, version 0.
const Default ProtocolType = 0
