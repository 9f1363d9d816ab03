package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// Value is an observed value of a key: a number or a text. Values are comparable.
type Value struct {
	text    string
	number  float64
	numeric bool
}

// TextOf returns a text. The value of a Flag is the text "true".
func TextOf(text string) Value { return Value{text: text} }

// NumberOf returns a number.
func NumberOf[T int | int64 | uint64 | float64](n T) Value {
	return Value{number: float64(n), numeric: true}
}

// ValueOf returns a number as a number, and any other value as its text.
func ValueOf(v any) Value {
	switch n := reflect.ValueOf(v); {
	case n.CanInt():
		return NumberOf(n.Int())
	case n.CanUint():
		return NumberOf(n.Uint())
	case n.CanFloat():
		return NumberOf(n.Float())
	}
	return TextOf(fmt.Sprint(v))
}

// Number returns a number, and reports whether the value is one.
func (v Value) Number() (float64, bool) { return v.number, v.numeric }

// String returns the text, or the digits of the number.
func (v Value) String() string {
	if v.numeric {
		return strconv.FormatFloat(v.number, 'f', -1, 64)
	}
	return v.text
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.numeric {
		return json.Marshal(v.number)
	}
	return json.Marshal(v.text)
}
