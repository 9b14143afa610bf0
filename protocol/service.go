package protocol

// ServiceInfo describes one service that a process serves: what the gateway
// lists and a registry publishes. Its fields are those of registry.Service,
// one for one.
type ServiceInfo struct {
	Name    string
	Methods []MethodInfo
}

// MethodInfo is the signature of one method: the names of the Go types that it
// takes and returns, such as "arith.AddRequest".
type MethodInfo struct {
	Name     string
	Request  string
	Response string
	// RequestSchema and ResponseSchema describe the two types in JSON Schema
	// (draft 2020-12), as encoding/json reads and writes them. Empty where that is
	// not known: a registry may leave them out.
	RequestSchema  string
	ResponseSchema string
}
