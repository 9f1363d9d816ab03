// Package facts records what has been observed in a call, for the checks of scenarios.
package facts

import (
	"maps"
	"slices"
	"sync"

	"parley/cmd/parley/internal/event"
)

// MaxValues is how many values of a key are kept, and how many that hold now: the latest.
const MaxValues = 500

// Validity is how long the values of a key hold.
type Validity int

const (
	Occurrence Validity = iota // each value is something that has happened
	State                      // the latest value holds until there is another one
	SetState                   // each value holds until it is removed
)

// A Fact is a value of a key.
type Fact struct {
	Key   string
	Value event.Value
}

// Facts are what has been observed in a call: the values of each key in order, and those that hold
// now. Their methods may be called from any goroutine.
type Facts struct {
	keys map[string]event.Kind // that checks know

	mu      sync.Mutex // guards the following
	kinds   map[string]Validity
	values  map[string][]event.Value
	dropped map[string]int // values of a key that are forgotten
	current map[string][]event.Value
	changed chan struct{} // closed at the next change
}

// New returns empty Facts for checks of some keys, see Keys.
func New(keys map[string]event.Kind) *Facts {
	return &Facts{keys: keys, kinds: map[string]Validity{}, values: map[string][]event.Value{}, dropped: map[string]int{}, current: map[string][]event.Value{}, changed: make(chan struct{})}
}

// Note adds a text of a key.
func (f *Facts) Note(key, text string) { f.Add(key, event.TextOf(text)) }

// Add adds a value of a key. A state that holds already is not added again.
func (f *Facts) Add(key string, value event.Value) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind, known := f.kinds[key]
	if !known {
		kind = f.Validity(key)
		f.kinds[key] = kind
	}
	if kind != Occurrence && slices.Contains(f.current[key], value) {
		return
	}
	switch kind {
	case State:
		f.current[key] = []event.Value{value}
	case SetState:
		f.current[key] = append(f.current[key], value)
		if n := len(f.current[key]); n > MaxValues {
			f.current[key] = f.current[key][n-MaxValues:]
		}
	}
	values := f.values[key]
	if len(values) >= MaxValues {
		values = values[1:]
		f.dropped[key]++
	}
	f.values[key] = append(values, value)
	f.change()
}

// Remove removes a text from those that hold now.
func (f *Facts) Remove(key, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current[key] = slices.DeleteFunc(f.current[key], func(v event.Value) bool { return v == event.TextOf(text) })
	f.change()
}

// RemoveAnswer removes what holds of the latest answer.
func (f *Facts) RemoveAnswer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.current, func(key string, _ []event.Value) bool { return IsOfAnswer(key) })
}

// change closes changed. The caller holds mu.
func (f *Facts) change() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next change.
func (f *Facts) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Count returns how many values of a key there were.
func (f *Facts) Count(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped[key] + len(f.values[key])
}

// Latest returns the latest value of a key as text, "" if there is none.
func (f *Facts) Latest(key string) string { return f.LatestValue(key).String() }

// LatestValue returns the latest value of a key, the zero Value if there is none.
func (f *Facts) LatestValue(key string) event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.values[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return event.Value{}
}

// All returns the kept values of a key.
func (f *Facts) All(key string) []event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.values[key])
}

// Snapshot returns the kept values of all keys.
func (f *Facts) Snapshot() map[string][]event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string][]event.Value{}
	for key, values := range f.values {
		all[key] = slices.Clone(values)
	}
	return all
}

// Match reports whether a check holds: by a value that holds now, or by one from number since on,
// counted from 0. It returns the number after that value. Of a number only the present value
// counts.
func (f *Facts) Match(c event.Check, since int) (next int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dropped, values := f.dropped[c.Key], f.values[c.Key]
	if slices.ContainsFunc(f.current[c.Key], c.Holds) {
		return dropped + len(values), true
	}
	if c.Kind == event.Number || c.Kind == event.Tone {
		return 0, false
	}
	for i := min(max(0, since-dropped), len(values)); i < len(values); i++ {
		if c.Holds(values[i]) {
			return dropped + i + 1, true
		}
	}
	return 0, false
}
