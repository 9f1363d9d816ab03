package main

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A check is one --expect: KEY, or KEY OP VALUE.
type check struct {
	raw, key, op, value string
	sort                sort
	number              float64
	pattern             *regexp.Regexp
}

// sort is what a key's values are.
type sort int

const (
	flag   sort = iota // true once it happened
	words              // any of several texts
	number             // the latest
	pitch              // a number that is never exact
)

// toneTolerance is how far a measured tone may be off, as a part of it: a short
// beep has no sharper frequency.
const toneTolerance = 0.03

// factSorts are the keys that --expect knows.
func factSorts() map[string]sort {
	sorts := map[string]sort{
		"connected": flag, "leave": flag, "text": words, "channel": words,
		"track.video": flag, "track.audio": flag,
		"video.size": words, "video.fps": number, "audio.tone": pitch,
	}
	for _, kind := range []string{"video.", "audio."} {
		sorts[kind+"codec"] = words
		for _, k := range []string{"frames", "packets", "lost", "bitrate"} {
			sorts[kind+k] = number
		}
	}
	for k := range qualityKeys() {
		sorts[k] = number
	}
	return sorts
}

// Operators, longest first: "<=" must not be read as "<".
var operators = regexp.MustCompile(`^([a-z0-9.-]+)(!=|>=|<=|=|~)(.*)$`)

// parseCheck reads one --expect.
func parseCheck(raw string) (check, error) { return parseCheckOf(raw, factSorts(), "--expect ") }

// parseCheckOf reads a check of a key in sorts; from is where it stands.
func parseCheckOf(raw string, sorts map[string]sort, from string) (check, error) {
	c := check{raw: raw, key: raw}
	if m := operators.FindStringSubmatch(raw); m != nil {
		c.key, c.op, c.value = m[1], m[2], m[3]
	}
	kind, known := sorts[c.key]
	if !known {
		return c, usagef("%s%s: there is no key %q; there are %s", from, printable(raw), printable(c.key), strings.Join(factKeys(sorts), ", "))
	}
	c.sort = kind
	var err error
	switch numeric := kind == number || kind == pitch; {
	case c.op == "" && kind != flag && kind != words && !numeric:
	case c.op != "" && kind == flag:
		return c, usagef("%s%s: %s stands alone, it happens or not", from, printable(raw), c.key)
	case c.op == "~":
		if c.pattern, err = regexp.Compile(c.value); err != nil {
			return c, usagef("%s%s: %v", from, printable(raw), err)
		}
	case c.op != "" && numeric:
		if c.number, err = strconv.ParseFloat(c.value, 64); err != nil || math.IsNaN(c.number) {
			return c, usagef("%s%s: %q is not a number", from, printable(raw), printable(c.value))
		}
	case c.op == ">=" || c.op == "<=":
		return c, usagef("%s%s: %s is no number, use = != or ~", from, printable(raw), c.key)
	}
	return c, nil
}

func factKeys(sorts map[string]sort) []string {
	var keys []string
	for k := range sorts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// holds tells if one value satisfies the check.
func (c check) holds(v string) bool {
	n, err := strconv.ParseFloat(v, 64)
	switch {
	case c.op == "":
		return true
	case c.op == "~":
		return c.pattern.MatchString(v)
	case c.sort == words || c.sort == flag:
		return (v == c.value) == (c.op == "=")
	case err != nil:
		return false
	case c.op == ">=":
		return n >= c.number
	case c.op == "<=":
		return n <= c.number
	}
	equal := n == c.number
	if c.sort == pitch {
		equal = math.Abs(n-c.number) <= toneTolerance*c.number
	}
	return equal == (c.op == "=")
}

// expectations are the checks of one call, with what was seen for them.
type expectations struct {
	tell  func(c check, held bool, saw string)
	watch func(key, value string) // told of all that is seen, nil for nobody

	mu      sync.Mutex // protects following
	waiting []check
	seen    map[string]string // the latest value of each key
	all     chan struct{}     // closed when all hold
}

// newExpectations tells of every check once: when it holds, or at the end.
func newExpectations(checks []check, tell func(check, bool, string)) *expectations {
	e := &expectations{tell: tell, waiting: slices.Clone(checks), seen: map[string]string{}, all: make(chan struct{})}
	if len(checks) == 0 {
		e.all = nil // never
	}
	return e
}

// saw notes a value of a key.
func (e *expectations) saw(key, value string) {
	if e.watch != nil {
		e.watch(key, value)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[key] = value
	left := e.waiting[:0]
	for _, c := range e.waiting {
		if c.key == key && c.holds(value) {
			e.tell(c, true, value)
		} else {
			left = append(left, c)
		}
	}
	done := len(left) == 0 && len(e.waiting) > 0
	e.waiting = left
	if done {
		close(e.all)
	}
}

// fail tells of the checks that never held, and returns them as an error.
func (e *expectations) fail() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return nil
	}
	var parts []string
	for _, c := range e.waiting {
		saw := e.seen[c.key]
		e.tell(c, false, saw)
		part := "no " + printable(c.raw)
		if saw != "" {
			part = fmt.Sprintf("%s (%s was %s)", printable(c.raw), c.key, printable(saw))
		}
		parts = append(parts, part)
	}
	return failf(exitExpectation, "an expectation did not hold: %s", strings.Join(parts, "; "))
}
