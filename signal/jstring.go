package signal

import (
	"encoding/json"
	"math"
	"strconv"
)

// appendJS appends a JSON value the way JavaScript converts it to a string (ECMA-262, ToString), because the original server answers
// an unknown type with a concatenation: "Command not found: " + data.type. The result is cut once it exceeds max bytes: it is
// an echo of hostile input, and an array of objects would come back five times its size.
func appendJS(dst, value []byte, max int) []byte {
	if len(value) == 0 {
		return append(dst, "undefined"...)
	}
	if value[0] == 'n' {
		return append(dst, "null"...)
	}
	return appendJSElement(dst, value, max)
}

// appendJSElement is appendJS within an array, where null is the empty string (Array.prototype.join).
func appendJSElement(dst, value []byte, max int) []byte {
	switch value[0] {
	case 'n':
		return dst
	case '"':
		s := string(unquoteBytes(value))
		return append(dst, Truncate(s, max)...)
	case '{':
		return append(dst, "[object Object]"...)
	case '[':
		return appendJSArray(dst, value, max)
	case 't', 'f':
		return append(dst, value...)
	}
	return appendJSNumber(dst, value)
}

// appendJSArray joins the leaves of nested arrays with commas. It keeps no stack: an array's text is that of its elements
// joined by commas, whatever the depth, and an empty array's is nothing.
func appendJSArray(dst, value []byte, max int) []byte {
	for i := 0; i < len(value) && len(dst) <= max; {
		switch value[i] {
		case '[', ']', ' ', '\t', '\r', '\n':
			i++
		case ',':
			dst = append(dst, ',')
			i++
		default:
			n := valueLen(value[i:])
			dst = appendJSElement(dst, value[i:i+n], max)
			i += n
		}
	}
	return dst
}

// appendJSNumber writes a number as ECMA-262 Number::toString does, which encoding/json follows but for -0 and for infinity.
func appendJSNumber(dst, value []byte) []byte {
	f, err := strconv.ParseFloat(string(value), 64)
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		return append(dst, '0')
	}
	text, merr := json.Marshal(f)
	if err != nil || merr != nil {
		return append(dst, "NaN"...)
	}
	return append(dst, text...)
}
