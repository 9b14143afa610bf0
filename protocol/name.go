package protocol

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameLen bounds a service's and a method's name each, in bytes.
const maxNameLen = 255

// frameworkService is kept for the framework, with all that lies below it.
const frameworkService = "sinew"

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

// CheckServiceName holds name against [A-Za-z_][A-Za-z0-9_.-]*, at most 255
// bytes. Its error says what is wrong.
func CheckServiceName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("a service name has 1 to %d bytes, this one %d", maxNameLen, len(name))
	}
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' {
			continue
		}
		if i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-') {
			continue
		}
		return fmt.Errorf("byte %d of service name %q is %q, want [A-Za-z_][A-Za-z0-9_.-]*", i, name, name[i:i+1])
	}
	return nil
}

// CheckMethodName takes what Go takes for the name of a method (letters of any
// script, digits, underscores) and the hyphen after the first character, at most
// 255 bytes. Its error says what is wrong.
func CheckMethodName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("a method name has 1 to %d bytes, this one %d", maxNameLen, len(name))
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("method name %q is not UTF-8", name)
	}
	for i, r := range name {
		if unicode.IsLetter(r) || r == '_' || i > 0 && (unicode.IsDigit(r) || r == '-') {
			continue
		}
		return fmt.Errorf("%q in method name %q, want letters, digits, _ and -, the first a letter or _", r, name)
	}
	return nil
}

// IsFrameworkService tells whether a service is the framework's own: "sinew", and
// all that begins with "sinew.".
func IsFrameworkService(service string) bool {
	rest, ok := strings.CutPrefix(service, frameworkService)
	return ok && (rest == "" || rest[0] == '.')
}
