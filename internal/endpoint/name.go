package endpoint

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameLen bounds a service's and a method's name each, in bytes.
const maxNameLen = 255

// reservedService is kept for the framework, with all that lies below it.
const reservedService = "sinew"

// SplitName splits "Service.Method" at its last dot: services may have dots in
// their names, methods have none. ok is false when there is no dot or nothing on
// one side of it; nothing else is checked.
func SplitName(serviceMethod string) (service, method string, ok bool) {
	i := strings.LastIndexByte(serviceMethod, '.')
	if i <= 0 || i == len(serviceMethod)-1 {
		return "", "", false
	}
	return serviceMethod[:i], serviceMethod[i+1:], true
}

// checkServiceName holds name against [A-Za-z_][A-Za-z0-9_.-]*, at most 255
// bytes. Its error wraps ErrBadName.
func checkServiceName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("%w: a service name has 1 to %d bytes, this one %d", ErrBadName, maxNameLen, len(name))
	}
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' {
			continue
		}
		if i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-') {
			continue
		}
		return fmt.Errorf("%w: byte %d of service name %q is %q, want [A-Za-z_][A-Za-z0-9_.-]*", ErrBadName, i, name, name[i:i+1])
	}
	return nil
}

// checkMethodName takes what Go takes for the name of a method (letters of any
// script, digits, underscores) and the hyphen after the first character, at most
// 255 bytes. Its error wraps ErrBadName.
func checkMethodName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("%w: a method name has 1 to %d bytes, this one %d", ErrBadName, maxNameLen, len(name))
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: method name %q is not UTF-8", ErrBadName, name)
	}
	for i, r := range name {
		if unicode.IsLetter(r) || r == '_' || i > 0 && (unicode.IsDigit(r) || r == '-') {
			continue
		}
		return fmt.Errorf("%w: %q in method name %q, want letters, digits, _ and -, the first a letter or _", ErrBadName, r, name)
	}
	return nil
}

// isReserved tells whether "service.Method" begins with "sinew.".
func isReserved(service string) bool {
	return service == reservedService || strings.HasPrefix(service, reservedService+".")
}
