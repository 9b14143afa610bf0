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
}
