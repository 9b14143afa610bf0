package libkv

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sinew-rpc/sinew/registry"
)

// The layout: <ServicePath>/<AppKey> is the parent, whose value is what was
// touched last; each provider is a child of it, <network>@<addr>, both escaped.
// Stores disagree on keys with leading, doubled or trailing slashes, so there
// are none.

// parentKey returns the parent's key. Application keys are one element of it,
// escaped; service paths may have several, as they are. It returns an
// *[OptionError].
func parentKey(servicePath, appKey string) (string, error) {
	if appKey == "" {
		return "", &OptionError{Field: "AppKey", Reason: "is empty: name the application"}
	}
	var elements []string
	for element := range strings.SplitSeq(servicePath, "/") {
		if element == "" {
			continue
		}
		if err := checkElement("ServicePath", element); err != nil {
			return "", err
		}
		elements = append(elements, element)
	}
	app := url.PathEscape(appKey)
	if err := checkElement("AppKey", app); err != nil {
		return "", err
	}
	return strings.Join(append(elements, app), "/"), nil
}

// checkElement refuses what some store does not take as an element of a key.
func checkElement(field, element string) error {
	if element == "." || element == ".." {
		return &OptionError{Field: field, Reason: fmt.Sprintf("has an element %q, which stores do not take: name it otherwise", element)}
	}
	for _, r := range element {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return &OptionError{Field: field, Reason: fmt.Sprintf("has an element %.128q with a control character or broken UTF-8, which stores do not take: use printable text", element)}
		}
	}
	return nil
}

// childName returns the last element of a provider's key.
func childName(p registry.Provider) string {
	return registry.JoinKey(url.PathEscape(p.Network), url.PathEscape(p.Addr))
}

// providerOf returns what childName was made of. A provider has one name alone:
// another spelling of it is an error, or it would be listed twice.
func providerOf(name string) (network, addr string, err error) {
	escapedNetwork, escapedAddr, err := registry.SplitKey(name)
	if err != nil {
		return "", "", err
	}
	if network, err = url.PathUnescape(escapedNetwork); err != nil {
		return "", "", fmt.Errorf("child %.128q: %w", name, err)
	}
	if addr, err = url.PathUnescape(escapedAddr); err != nil {
		return "", "", fmt.Errorf("child %.128q: %w", name, err)
	}
	if childName(registry.Provider{Network: network, Addr: addr}) != name || strings.Contains(network, "@") {
		return "", "", fmt.Errorf("child %.128q is not how the address %.128q is written: delete it", name, addr)
	}
	return network, addr, nil
}
