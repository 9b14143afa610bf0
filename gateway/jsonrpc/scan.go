package jsonrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf8"
)

// The functions of this file walk a JSON text without decoding it, so that what
// is handed on or echoed keeps its bytes. All but check are given text that
// check, or encoding/json, has proved to be JSON.

// check proves that text is one JSON value in UTF-8, and that no value in it lies
// below maxDepth levels of arrays and objects.
func check(text []byte, maxDepth int) *Error {
	switch {
	case !utf8.Valid(text):
		return newError(ParseError, "the text is not UTF-8")
	case !json.Valid(text):
		return newError(ParseError, "")
	}
	if depth(text) > maxDepth {
		return newError(InvalidRequest, fmt.Sprintf("more than %d levels of arrays and objects", maxDepth))
	}
	return nil
}

// depth returns how many arrays and objects the innermost value is in.
func depth(text []byte) (deepest int) {
	level := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '[', '{':
			level++
			deepest = max(deepest, level)
		case ']', '}':
			level--
		}
	}
	return deepest
}

// kind returns the byte with which a value begins, which tells what it is.
func kind(value []byte) byte {
	return value[0]
}

// members yields the members of an object in their order, twice what stands there
// twice. Names are decoded, values are parts of object, without the space round
// them.
func members(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		i := skipSpace(object, 1)
		for object[i] != '}' {
			end := endOfString(object, i) + 1
			name := decodeString(object[i:end])
			i = skipSpace(object, end)  // the colon
			i = skipSpace(object, i+1)  // the value
			end = endOfValue(object, i) // what follows it
			if !yield(name, object[i:end:end]) {
				return
			}
			i = skipComma(object, end)
		}
	}
}

// elements yields the elements of an array.
func elements(array json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(array, 1)
		for array[i] != ']' {
			end := endOfValue(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = skipComma(array, end)
		}
	}
}

// trim takes away the space round a value.
func trim(text []byte) json.RawMessage { return bytes.Trim(text, " \t\r\n") }

// skipSpace returns the position of the first byte at or after i that is no space.
func skipSpace(text []byte, i int) int {
	for isSpace(text[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skipComma returns where the next member or element begins, or the end of what
// holds it.
func skipComma(text []byte, i int) int {
	if i = skipSpace(text, i); text[i] == ',' {
		i = skipSpace(text, i+1)
	}
	return i
}

// endOfValue returns the position behind the value that begins at i.
func endOfValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return endOfString(text, i) + 1
	case '[', '{':
		return endOfContainer(text, i)
	}
	for i < len(text) && !isSpace(text[i]) && text[i] != ',' && text[i] != ']' && text[i] != '}' {
		i++
	}
	return i
}

// endOfContainer returns the position behind the array or object that begins at i.
func endOfContainer(text []byte, i int) int {
	for level := 0; ; i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '[', '{':
			level++
		case ']', '}':
			if level--; level == 0 {
				return i + 1
			}
		}
	}
}

// endOfString returns the position of the quote that ends the string which
// begins at i.
func endOfString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// decodeString returns what a string with its quotes says. The strings that every
// request and response has are not allocated.
func decodeString(text []byte) string {
	switch inner := text[1 : len(text)-1]; string(inner) {
	case "jsonrpc":
		return "jsonrpc"
	case version:
		return version
	case "method":
		return "method"
	case "params":
		return "params"
	case "id":
		return "id"
	case "result":
		return "result"
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return "" // text was proved to be JSON
	}
	return s
}
