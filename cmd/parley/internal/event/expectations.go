package event

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// Expectations are the checks of one call, with the values that were observed for them.
type Expectations struct {
	// Watch gets all that is observed, nil for none, and is set before the first Observe.
	Watch func(key string, value Value)

	report func(c Check, held bool, saw Value)
	held   chan struct{} // closed when all checks have held, nil without checks

	mu      sync.Mutex // guards all below
	waiting []Check
	seen    map[string]Value // latest value of each key
}

// NewExpectations returns the expectations of a call. They call report once for each check: when it
// holds, or in Err, then with the zero Value if none was observed.
func NewExpectations(checks []Check, report func(c Check, held bool, saw Value)) *Expectations {
	e := &Expectations{report: report, held: make(chan struct{}), waiting: slices.Clone(checks), seen: map[string]Value{}}
	if len(checks) == 0 {
		e.held = nil
	}
	return e
}

// Held returns a channel that is closed when all checks have held. Without checks it is nil.
func (e *Expectations) Held() <-chan struct{} { return e.held }

// Observe handles a value of a key.
func (e *Expectations) Observe(key string, value Value) {
	if e.Watch != nil {
		e.Watch(key, value)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[key] = value
	left := e.waiting[:0]
	for _, c := range e.waiting {
		if c.Key == key && c.Holds(value) {
			e.report(c, true, value)
		} else {
			left = append(left, c)
		}
	}
	done := len(left) == 0 && len(e.waiting) > 0
	e.waiting = left
	if done {
		close(e.held)
	}
}

// Err reports the checks that have not held, and returns them as an error, nil for none.
func (e *Expectations) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return nil
	}
	var parts []string
	for _, c := range e.waiting {
		saw, observed := e.seen[c.Key]
		e.report(c, false, saw)
		part := "no " + sanitize.Text(c.Raw)
		if observed {
			part = fmt.Sprintf("%s (%s was %s)", sanitize.Text(c.Raw), c.Key, sanitize.Text(saw.String()))
		}
		parts = append(parts, part)
	}
	return exit.Errorf(exit.Expectation, "an expectation did not hold: %s", strings.Join(parts, "; "))
}
