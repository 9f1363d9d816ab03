package scenario

import (
	"slices"
	"strings"
	"time"
)

// A Scenario is one thing to find out of a peer.
type Scenario struct {
	// Name is unique, Title a sentence.
	Name, Title string
	// Specs are sections of standards, Suites and Needs words, see the package comment.
	Specs, Suites, Needs []string
	// ExpectedFailure is the known limit of the peer that makes it fail, "" for none.
	ExpectedFailure string
	// Steps are carried out in order; the first is call or await-call.
	Steps []Step
	// Origin is where it is written: file:line.
	Origin string
}

// A Step is one line of a scenario.
type Step struct {
	// Verb is the first word, Args are those behind it, without within D and for D.
	Verb string
	Args []string
	// Refused: the peer has to reject it.
	Refused bool
	// Background: the step begins, and has to end before the scenario does.
	Background bool
	// Text is the line as it is written, in single blanks.
	Text string
	// For is the D of within or for, 0 if there is none.
	For time.Duration
	// Line is its number in the file.
	Line int
}

// Rest is the line behind the verb.
func (s Step) Rest() string { return strings.TrimPrefix(strings.TrimPrefix(s.Text, s.Verb), " ") }

// Looks reports whether a scenario does nothing but look at a call, so that it can share one.
func (s *Scenario) Looks() bool {
	if s.Steps[0].Verb != "call" {
		return false
	}
	return !slices.ContainsFunc(s.Steps[1:], func(step Step) bool { return step.Verb != "expect" && step.Verb != "never" })
}

// Does reports whether a scenario has a line with a verb.
func (s *Scenario) Does(verb string) bool {
	return slices.ContainsFunc(s.Steps, func(step Step) bool { return step.Verb == verb })
}

// Suites are the names of suites, in order.
func Suites() []string { return []string{"core", "data", "audio", "video", "ice", "parley", "all"} }

// Needs are the words of needs, with what each one says.
func Needs() map[string]string {
	return map[string]string{
		"audio": "the peer accepts audio", "video": "the peer accepts video", "data": "the peer accepts data channels",
		"audio-in": "the peer sends audio", "video-in": "the peer sends video",
		"text-echo": "the peer sends text back", "media-echo": "the peer sends audio and video back",
		"parley": "the peer is a parley", "cooperation": "the peer reports what it sees, and obeys commands", "relay": "there is a TURN server", "callback": "the peer calls back",
	}
}

// Select returns the scenarios that a suite has, or those of the names, in their order.
func Select(all []Scenario, suite string, names []string) (selected []Scenario, missing []string) {
	for _, s := range all {
		in := suite == "all" || slices.Contains(s.Suites, suite)
		if len(names) > 0 {
			in = slices.Contains(names, s.Name)
		}
		if in {
			selected = append(selected, s)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(s Scenario) bool { return s.Name == n }) {
			missing = append(missing, n)
		}
	}
	return selected, missing
}

// Groups divides scenarios into those that share a call: such that only look, with the same call
// line and needs that are no reason to leave one out.
func Groups(all []Scenario) [][]Scenario {
	var groups [][]Scenario
	at := map[string]int{}
	for _, s := range all {
		line := s.Steps[0].Text
		if i, ok := at[line]; ok && s.Looks() {
			groups[i] = append(groups[i], s)
			continue
		}
		if s.Looks() {
			at[line] = len(groups)
		}
		groups = append(groups, []Scenario{s})
	}
	return groups
}
