package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"parley/signal"
)

// object iterates over the members of a JSON object. encoding/json is not used because it matches
// names without regard to case, so that a server and a browser could read two different messages
// from one frame. A browser compares names exactly and takes the last of several.
type object struct {
	found   [8]member // the first members, where parseObject has found them
	n, read int       // their number, and the number of those that next has returned
	rest    []byte    // what follows the last of them, or the last that was read; always within valid JSON
}

// member is a member of an object as JSON.
type member struct{ name, value []byte }

// parseObject returns the members of a frame. A frame that is not exactly one JSON object, in valid
// UTF-8 and at most 10,000 levels deep, has none, as in the original server.
func parseObject(frame []byte) object {
	if !utf8.Valid(frame) {
		return object{}
	}
	v := validator{b: frame}
	ok, deep := v.validate()
	switch {
	case ok:
		return v.members
	case deep && json.Valid(frame): // rare, so it may be slow
		o, _ := openObject(frame)
		return o
	}
	return object{}
}

// openObject returns the members of valid JSON, and false if it is no object.
func openObject(value []byte) (object, bool) {
	value = skipSpace(value)
	if len(value) == 0 || value[0] != '{' {
		return object{}, false
	}
	return object{rest: value[1:]}, true
}

// next returns the next member: its name without quotes and escapes, and its value as JSON, which
// shares the memory of the frame. It returns false after the last one.
func (o *object) next() (name, value []byte, ok bool) {
	if o.read < o.n {
		m := &o.found[o.read]
		o.read++
		return unquoteBytes(m.name), m.value, true
	}
	rest := skipSeparator(o.rest, ',')
	if len(rest) == 0 || rest[0] != '"' {
		o.rest = nil
		return nil, nil, false
	}
	n := valueLen(rest)
	name, rest = rest[:n], rest[n:]
	rest = skipSeparator(rest, ':')
	n = valueLen(rest)
	value, o.rest = rest[:n], rest[n:]
	return unquoteBytes(name), value, true
}

// valueLen returns the length of the first value of valid JSON.
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
	for i := 1; ; i++ {
		if i += plainLen(b[min(i, len(b)):]); i >= len(b) {
			return len(b)
		}
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// plainLen returns the number of bytes that b begins with before the first quote, backslash or
// control character. It looks at eight bytes at a time, because most of a message is in strings.
func plainLen(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^ones*'"', w^ones*'\\'
		// x-ones sets the high bit of the lowest byte that is 0, w-ones*0x20 that of the lowest
		// below 0x20; a borrow can set it in bytes above that, which are looked at one by one then.
		if ((quote-ones)&^quote|(backslash-ones)&^backslash|(w-ones*0x20)&^w)&highs != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
	}
	return i
}

// skipSpace returns b without leading white space.
func skipSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

// skipSeparator returns b without leading white space and separators.
func skipSeparator(b []byte, separator byte) []byte {
	for len(b) > 0 && (b[0] == separator || isSpace(b[0])) {
		b = b[1:]
	}
	return b
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

// unquoteBytes returns the content of a JSON string. Without escapes it shares its memory.
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

// unquote returns the content of a JSON string, and false for any other value.
func unquote(value []byte) (string, bool) {
	if !isString(value) {
		return "", false
	}
	return string(unquoteBytes(value)), true
}

// appendString appends s as a JSON string. It escapes only what JSON requires.
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

// number returns a JSON value that is a whole number below 2^53, and 0 for any other.
func number(value []byte) uint64 {
	n, err := strconv.ParseUint(string(value), 10, 53)
	if err != nil {
		return 0
	}
	return n
}

func isTrue(value []byte) bool { return string(value) == "true" }

// parseName returns the name in a JSON value, or what is wrong with it.
func parseName(value []byte) (name, text string) {
	name, ok := unquote(value)
	if !ok {
		return "", "the name is not a string"
	}
	if err := signal.CheckName(name); err != nil {
		return "", err.Error()
	}
	return name, ""
}

const ( // types of frames that are no signal.Message
	TypeLogin      signal.Type = "login"
	TypeAck        signal.Type = "ack"
	TypeICEServers signal.Type = "iceServers"
	TypeExpiring   signal.Type = "expiring"
	TypeWatch      signal.Type = "watch"
)
