package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Bounds of what is kept.
const (
	maxTalks     = 100     // conversations
	maxLines     = 2000    // of a conversation
	maxBytes     = 1 << 20 // of a conversation
	maxQuestions = 64
	maxRecalled  = 200      // lines to recall
	maxEntry     = 60 << 10 // bytes of a line: every peer accepts 64 KiB
	maxUnsent    = 256      // lines that wait to be sent
)

// Options of a State. The zero value works.
type Options struct {
	// Me is the name of this side. Default: none is shown.
	Me string
	// Clean makes text of a stranger safe for a terminal, with line ends kept.
	// Default: what is not printed as itself becomes U+FFFD.
	Clean func(string) string
	// To is whom the first conversation is with. Default: nobody yet.
	To string
	// Script counts the lines that were not sent, where a person is shown each:
	// who wrote them has them. Default: a person types.
	Script bool
}

// State is all that a person sees and has typed. Update makes a new one of it;
// the old one must not be used after that.
type State struct {
	Options
	talks     []talk // the first is with nobody: what concerns no call
	at        int    // the one that is shown
	questions []Asked
	progress  string
	unserved  bool // the signaling server is lost
	edit      editor
	offered   []string // completions that are shown
	columns   int
	rows      int
	scroll    int  // rows above the end
	ending    bool // the input has ended
	quitting  bool
	actions   []Action // of the update under way
}

// talk is a conversation.
type talk struct {
	peer   string
	phase  Phase
	lines  []line
	bytes  int
	unread int
	unsent []string // lines that wait to be sent
	lost   []string // lines that waited for a call that is over, until they are reported
	code   string
}

type line struct {
	kind kind
	text string
}

type kind int

const (
	theirs kind = iota
	mine
	note
	alert
)

// New is the state at the beginning.
func New(o Options) State {
	if o.Clean == nil {
		o.Clean = onlyPrintable
	}
	s := State{Options: o, talks: []talk{{}}, columns: 80, rows: 24}
	if o.To != "" {
		s.at = s.with(o.To)
	}
	return s
}

func onlyPrintable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Update handles an event. It returns the new state and the actions that follow.
func (s State) Update(e Event) (State, []Action) {
	s.talks = slices.Clone(s.talks)
	s.questions = slices.Clone(s.questions)
	s.actions = nil
	switch e := e.(type) {
	case Entered:
		s.enter(e.Line)
	case Key:
		s.key(e)
	case Pasted:
		s.edit.insert(e.Text)
		s.offered = nil
	case Resized:
		s.columns, s.rows, s.scroll = max(e.Columns, 1), max(e.Rows, 1), 0
	case Listed:
		s.listed(e)
	case InputEnded:
		s.ending = true
	default:
		s.handleEvent(e)
	}
	s.endIfDone()
	return s, s.actions
}

// handleEvent handles the events of calls.
func (s *State) handleEvent(e Event) {
	switch e := e.(type) {
	case Moved:
		s.moved(e)
	case Said:
		s.said(e)
	case Refused:
		s.refused(e)
	case Served:
		s.unserved = e.Lost
	case Noted:
		s.noted(e)
	case Progress:
		s.progress = e.Text
	case Asked:
		s.asked(e)
	case Settled:
		s.questions = slices.DeleteFunc(s.questions, func(q Asked) bool { return q.ID == e.ID })
	case Coded:
		s.talks[s.with(e.Peer)].code = e.Code
	}
}

func (s *State) moved(e Moved) {
	i := s.with(e.Peer)
	t := &s.talks[i]
	t.phase = e.To
	if e.To == Apart {
		t.lost = slices.Concat(t.lost, t.unsent)
		t.unsent, t.code = nil, ""
	}
	s.reportLost(i)
	if s.at == 0 && e.To == Connected { // nothing else is looked at
		s.show(i)
	}
}

// reportLost prints which lines were not sent before their call ended.
func (s *State) reportLost(i int) {
	peer, lost := s.Clean(s.talks[i].peer), s.talks[i].lost
	s.talks[i].lost = nil
	switch {
	case s.Script && len(lost) == 1:
		s.print(i, alert, peer+" did not get the last line")
		return
	case s.Script && len(lost) > 0:
		s.print(i, alert, fmt.Sprintf("%s did not get the last %d lines", peer, len(lost)))
		return
	}
	for _, text := range lost {
		s.print(i, alert, fmt.Sprintf("not sent to %s: %s", peer, text))
	}
}

// refused forgets a line that will not be sent, or keeps it for reportLost.
func (s *State) refused(e Refused) {
	i := s.with(e.Peer)
	s.settled(i, e.Text)
	if e.CallOver {
		s.talks[i].lost = append(slices.Clip(s.talks[i].lost), e.Text)
	}
}

func (s *State) said(e Said) {
	i := s.with(e.Peer)
	k := theirs
	if e.Mine {
		k = mine
		s.settled(i, e.Text)
	}
	s.add(i, k, e.Text)
}

// settled forgets a line that waited to be sent.
func (s *State) settled(i int, text string) {
	t := &s.talks[i]
	if n := slices.Index(t.unsent, text); n >= 0 {
		t.unsent = slices.Concat(t.unsent[:n], t.unsent[n+1:])
	}
}

func (s *State) noted(e Noted) {
	i := s.at
	if e.Peer != "" {
		i = s.with(e.Peer)
	}
	k := note
	if e.Alert {
		k = alert
	}
	s.add(i, k, e.Text)
}

func (s *State) asked(e Asked) {
	if len(s.questions) >= maxQuestions {
		s.do(Answer{e.ID, false})
		return
	}
	s.questions = append(s.questions, e)
	s.print(s.with(e.Peer), note, e.Text+" (/accept or /decline)")
}

// with is the conversation with somebody, which begins if it has not.
func (s *State) with(peer string) int {
	if i := slices.IndexFunc(s.talks, func(t talk) bool { return t.peer == peer }); i >= 0 {
		return i
	}
	if len(s.talks) >= maxTalks {
		s.forget()
	}
	s.talks = append(s.talks, talk{peer: peer})
	return len(s.talks) - 1
}

// forget drops the oldest conversation in which nothing goes on.
func (s *State) forget() {
	for i := 1; i < len(s.talks); i++ {
		t := &s.talks[i]
		if i == s.at || t.phase != Apart || slices.ContainsFunc(s.questions, func(q Asked) bool { return q.Peer == t.peer }) {
			continue
		}
		s.talks = slices.Delete(s.talks, i, i+1)
		if s.at > i {
			s.at--
		}
		return
	}
}

// add puts a line to a conversation.
func (s *State) add(i int, k kind, text string) {
	t := &s.talks[i]
	t.lines = append(t.lines, line{k, text})
	t.bytes += len(text)
	for len(t.lines) > maxLines || t.bytes > maxBytes && len(t.lines) > 1 {
		t.bytes -= len(t.lines[0].text)
		t.lines = t.lines[1:]
	}
	if i != s.at && k == theirs {
		t.unread++
	}
}

// print adds a line that has not been printed without a screen.
func (s *State) print(i int, k kind, text string) {
	s.add(i, k, text)
	s.do(Print{text, k == alert})
}

func (s *State) do(a Action) { s.actions = append(s.actions, a) }

// show turns to a conversation.
func (s *State) show(i int) {
	s.at, s.scroll = i, 0
	s.talks[i].unread = 0
}

// Unsent returns how many lines wait to be sent, or to be reported as not sent.
func (s *State) Unsent() (n int) {
	for _, t := range s.talks {
		n += len(t.unsent) + len(t.lost)
	}
	return n
}

// Full reports whether no more lines may wait to be sent.
func (s *State) Full() bool { return s.Unsent() >= maxUnsent }

// endIfDone quits once the input has ended and all that was typed is sent.
func (s *State) endIfDone() {
	if s.ending && s.Unsent() == 0 {
		s.quit(Quit{InputOver: true})
	}
}

func (s *State) quit(q Quit) {
	if !s.quitting {
		s.quitting = true
		s.do(q)
	}
}
