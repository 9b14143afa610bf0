package registry

// Located is implemented by registries whose servers have addresses. A server
// that listens on every interface registers the one that routes there, since
// whoever reads the registry comes from there too.
type Located interface {
	// Addrs returns where the registry's servers are, host:port; none when it is
	// on this machine alone, as a file is.
	Addrs() []string
}
