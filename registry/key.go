package registry

import "strings"

const keySeparator = "@"

// JoinKey makes the ProviderKey "<network>@<addr>".
func JoinKey(network, addr string) string {
	return network + keySeparator + addr
}

// SplitKey takes a ProviderKey apart. The network is what stands before the
// first @, so an address may contain more of them. A key that lacks either
// half is a *[ProviderError].
func SplitKey(key string) (network, addr string, err error) {
	network, addr, found := strings.Cut(key, keySeparator)
	if !found || network == "" || addr == "" {
		return "", "", &ProviderError{ProviderKey: key, Reason: `the key is not of the form "<network>@<addr>"`}
	}
	return network, addr, nil
}
