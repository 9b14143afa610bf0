package libkv

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sinew-rpc/sinew/registry"
)

// The layout: <ServicePath>/<AppKey> is the parent, whose value is what was
// touched last; each provider is a child of it, <network>@<escaped addr>.
// Stores disagree on keys with leading, doubled or trailing slashes, so there
// are none.

// parentKey returns the parent's key. Application keys are one element of it,
// escaped; service paths may have several.
func parentKey(servicePath, appKey string) (string, error) {
	if appKey == "" {
		return "", &OptionError{Field: "AppKey", Reason: "is empty: name the application"}
	}
	var elements []string
	for _, element := range append(strings.Split(servicePath, "/"), url.PathEscape(appKey)) {
		switch element {
		case "":
			continue
		case ".", "..":
			return "", &OptionError{Field: "ServicePath", Reason: fmt.Sprintf("or AppKey has an element %q, which stores do not take", element)}
		}
		elements = append(elements, element)
	}
	return strings.Join(elements, "/"), nil
}

// childName returns the last element of a provider's key.
func childName(p registry.Provider) string {
	return p.Network + "@" + url.PathEscape(p.Addr)
}

// providerOf returns what childName was made of.
func providerOf(name string) (network, addr string, err error) {
	network, escaped, err := registry.SplitKey(name)
	if err != nil {
		return "", "", err
	}
	if addr, err = url.PathUnescape(escaped); err != nil {
		return "", "", fmt.Errorf("child %.128q: %w", name, err)
	}
	return network, addr, nil
}
