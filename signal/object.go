package signal

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// object walks over the members of one JSON object in their order. encoding/json is not used for this because it matches names
// without regard to case and resolves duplicates silently, so that a server and a browser could read two different messages from
// one frame; a browser compares names exactly and takes the last duplicate.
type object struct {
	rest []byte // what follows the last member that was read; always within valid JSON
}

// parseObject checks that frame is exactly one JSON object (valid UTF-8, at most 10,000 levels deep) and returns its members.
// Anything else counts as the empty object, as in the original server.
func parseObject(frame []byte) object {
	if !utf8.Valid(frame) || !validJSON(frame) {
		return object{}
	}
	o, _ := openObject(frame)
	return o
}

// openObject returns the members of valid JSON, and false if it is no object.
func openObject(value []byte) (object, bool) {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 || value[0] != '{' {
		return object{}, false
	}
	return object{rest: value[1:]}, true
}

// next returns the following member: its name without quotes and escapes, and its value as it stands. A value shares the
// frame's memory. The last call returns false.
func (o *object) next() (name, value []byte, ok bool) {
	rest := bytes.TrimLeft(o.rest, " \t\r\n,")
	if len(rest) == 0 || rest[0] != '"' {
		o.rest = nil
		return nil, nil, false
	}
	n := valueLen(rest)
	name, rest = rest[:n], rest[n:]
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	n = valueLen(rest)
	value, o.rest = rest[:n], rest[n:]
	return unquoteBytes(name), value, true
}

// valueLen returns the length of the value that valid JSON begins with.
func valueLen(b []byte) int {
	switch b[0] {
	case '"':
		return stringLen(b)
	case '{', '[':
		return containerLen(b)
	}
	if n := bytes.IndexAny(b, ",]} \t\r\n"); n >= 0 {
		return n
	}
	return len(b)
}

func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func containerLen(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringLen(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// isString reports whether a value is a JSON string.
func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// isNull reports whether a value is null, or absent.
func isNull(value []byte) bool { return len(value) == 0 || value[0] == 'n' }

// unquoteBytes returns what a JSON string stands for. Without escapes it is the same memory.
func unquoteBytes(value []byte) []byte {
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	var s string
	if json.Unmarshal(value, &s) != nil { // impossible in valid JSON; an empty name matches nothing
		return nil
	}
	return []byte(s)
}

// unquote returns the string that a value is, and false if it is none.
func unquote(value []byte) (string, bool) {
	if !isString(value) {
		return "", false
	}
	return string(unquoteBytes(value)), true
}

// appendString appends s as a JSON string. Only what JSON requires is escaped, so text grows as little as possible.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
		i += n
	}
	return append(dst, '"')
}

// elements walks over the elements of valid JSON that is an array, and over nothing if it is none.
func elements(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		rest := bytes.TrimLeft(value, " \t\r\n")
		if len(rest) == 0 || rest[0] != '[' {
			return
		}
		for rest = rest[1:]; ; {
			if rest = bytes.TrimLeft(rest, " \t\r\n,"); len(rest) == 0 || rest[0] == ']' {
				return
			}
			n := valueLen(rest)
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}
