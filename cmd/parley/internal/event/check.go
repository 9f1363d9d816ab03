package event

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"parley/cmd/parley/internal/sanitize"
)

// Kind is what the values of a key are.
type Kind int

const (
	Flag   Kind = iota // true once it has happened
	Text               // any of several texts
	Number             // the latest number
	Tone               // a frequency in Hz, which is never exact
)

// toneTolerance is the relative difference up to which frequencies are equal: a short beep has no
// sharper frequency.
const toneTolerance = 0.03

// Check is a condition on the values of a key: KEY, or KEY OP VALUE.
type Check struct {
	Raw, Key, Op, Value string
	Kind                Kind
	Number              float64 // Value, of a number
	pattern             *regexp.Regexp
}

// operators are the longest first: "<=" must not be read as "<".
var operators = regexp.MustCompile(`^([a-z0-9.-]+) *(!=|>=|<=|=|~|<|>)(.*)$`)

// ParseCheck parses a check of one of keys. There may be spaces around the operator of a number.
func ParseCheck(raw string, keys map[string]Kind) (Check, error) {
	c := Check{Raw: raw, Key: raw}
	if m := operators.FindStringSubmatch(raw); m != nil {
		c.Key, c.Op, c.Value = m[1], m[2], m[3]
	}
	kind, known := keys[c.Key]
	if !known {
		return c, fmt.Errorf("%s: there is no key %q; there are %s", sanitize.Text(raw), sanitize.Text(c.Key), strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	c.Kind = kind
	var err error
	switch numeric := kind == Number || kind == Tone; {
	case c.Op == "":
	case kind == Flag:
		return c, fmt.Errorf("%s: %s has no value: want it alone", sanitize.Text(raw), c.Key)
	case c.Op == "~":
		if c.pattern, err = regexp.Compile(c.Value); err != nil {
			return c, fmt.Errorf("%s: %w", sanitize.Text(raw), err)
		}
	case numeric:
		if c.Number, err = strconv.ParseFloat(strings.TrimSpace(c.Value), 64); err != nil || math.IsNaN(c.Number) {
			return c, fmt.Errorf("%s: got %q, want a number", sanitize.Text(raw), sanitize.Text(c.Value))
		}
	case c.Op != "=" && c.Op != "!=":
		return c, fmt.Errorf("%s: %s is a text: want = != or ~", sanitize.Text(raw), c.Key)
	}
	return c, nil
}

// Holds reports whether a value satisfies the check.
func (c Check) Holds(v Value) bool {
	switch {
	case c.Op == "":
		return true
	case c.Op == "~":
		return c.pattern.MatchString(v.String())
	case c.Kind == Text || c.Kind == Flag:
		return (v.String() == c.Value) == (c.Op == "=")
	}
	n, ok := v.Number()
	if !ok {
		return false
	}
	switch c.Op {
	case ">=":
		return n >= c.Number
	case "<=":
		return n <= c.Number
	case ">":
		return n > c.Number
	case "<":
		return n < c.Number
	}
	equal := n == c.Number
	if c.Kind == Tone {
		equal = math.Abs(n-c.Number) <= toneTolerance*c.Number
	}
	return equal == (c.Op == "=")
}
