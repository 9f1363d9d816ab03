package main

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"parley/cmd/parley/internal/event"
)

// maxFacts is how many values of one key are remembered, the latest.
const maxFacts = 500

// factKind is what the values of a key are.
type factKind int

const (
	occurrences factKind = iota // each value is something that has happened
	states                      // the latest value holds until there is another one
	setStates                   // each value holds until it is removed
)

// kindOf returns the kind of a key of probeSorts.
func kindOf(key string) factKind {
	switch key {
	case "connected", "state", "failed", "disconnected", "pair", "pair.protocol", "relayed", "role", "dtls", "tls", "certificate", "codes",
		"remote.code", "remote.state", "remote.role", "remote.dtls", "remote.tls", "remote.video.size", "video.size", "video.codec", "audio.codec":
		return states
	case "channel", "muted", "unmuted", "track.audio", "track.video", "remote.channel", "remote.track", "remote.muted", "remote.unmuted", "answer.parley":
		return setStates
	case "answer.number", "answer.repeated", "answer.rejection":
		return occurrences
	}
	switch {
	case ofAnswer(key), strings.HasPrefix(key, "sending."), strings.HasPrefix(key, "refused."):
		return setStates
	case probeSorts()[key] == event.Number || probeSorts()[key] == event.Tone:
		return states
	}
	return occurrences
}

// ofAnswer reports whether the values of a key are those of the latest answer.
func ofAnswer(key string) bool {
	switch key {
	case "answer.number", "answer.repeated", "answer.rejection", "answer.parley":
		return false
	}
	return strings.HasPrefix(key, "answer.")
}

// fact is a value of a key.
type fact struct {
	key   string
	value event.Value
}

// facts are what has been observed in a call: the values of each key in order, and those that hold now.
type facts struct {
	mu      sync.Mutex // guards the following
	kinds   map[string]factKind
	values  map[string][]event.Value
	dropped map[string]int // values of a key that are forgotten
	current map[string][]event.Value
	changed chan struct{} // closed at the next change
}

func newFacts() *facts {
	return &facts{kinds: map[string]factKind{}, values: map[string][]event.Value{}, dropped: map[string]int{}, current: map[string][]event.Value{}, changed: make(chan struct{})}
}

// note notes a text of a key.
func (f *facts) note(key, text string) { f.add(key, event.TextOf(text)) }

// add notes a value of a key. A state that holds already is not noted again.
func (f *facts) add(key string, value event.Value) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind, known := f.kinds[key]
	if !known {
		kind = kindOf(key)
		f.kinds[key] = kind
	}
	if kind != occurrences && slices.Contains(f.current[key], value) {
		return
	}
	switch kind {
	case states:
		f.current[key] = []event.Value{value}
	case setStates:
		f.current[key] = append(f.current[key], value)
	}
	values := f.values[key]
	if len(values) >= maxFacts {
		values = values[1:]
		f.dropped[key]++
	}
	f.values[key] = append(values, value)
	f.change()
}

// remove notes that a state does not hold any more.
func (f *facts) remove(key, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current[key] = slices.DeleteFunc(f.current[key], func(v event.Value) bool { return v == event.TextOf(text) })
	f.change()
}

// removeAnswer notes that the latest answer is superseded.
func (f *facts) removeAnswer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.current, func(key string, _ []event.Value) bool { return ofAnswer(key) })
}

// change wakes those who wait. The caller holds mu.
func (f *facts) change() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// next returns a channel that is closed at the next change.
func (f *facts) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// count returns how many values of a key there were.
func (f *facts) count(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped[key] + len(f.values[key])
}

// latest returns the latest value of a key as text, "" if there is none.
func (f *facts) latest(key string) string { return f.latestValue(key).String() }

// latestValue returns the latest value of a key, the zero Value if there is none.
func (f *facts) latestValue(key string) event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.values[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return event.Value{}
}

// all returns the remembered values of a key.
func (f *facts) all(key string) []event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.values[key])
}

// snapshot returns the remembered values of all keys.
func (f *facts) snapshot() map[string][]event.Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string][]event.Value{}
	for key, values := range f.values {
		all[key] = slices.Clone(values)
	}
	return all
}

// match reports whether a check holds: by a state that holds now, or by a value from number since on.
// It returns the number after that value. A number holds by its present value alone.
func (f *facts) match(c event.Check, since int) (next int, ok bool) {
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
