package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// command is one of the words that begin with a slash.
type command struct {
	name, operand, help string
	do                  func(s *State, operand string)
}

func commands() []command {
	return []command{
		{"/accept", "[NAME]", "take the call or the files, say yes", func(s *State, o string) { s.answer(o, true) }},
		{"/call", "[NAME]", "call somebody", (*State).call},
		{"/decline", "[NAME]", "say no", func(s *State, o string) { s.answer(o, false) }},
		{"/hangup", "[NAME]", "end the call", (*State).hangup},
		{"/help", "", "these lines", (*State).help},
		{"/mute", "[audio|video]", "send silence and a still frame, and report it", func(s *State, o string) { s.mute(o, true) }},
		{"/quit", "", "hang up and leave", func(s *State, _ string) { s.quit(Quit{}) }},
		{"/send", "FILE...", "send files; quote a name with spaces", (*State).send},
		{"/stats", "", "numbers of the call", (*State).stats},
		{"/to", "NAME", "turn to another conversation", (*State).turn},
		{"/unmute", "[audio|video]", "undo /mute", func(s *State, o string) { s.mute(o, false) }},
		{"/verify", "[CODE]", "show the verification code, or compare it", (*State).verify},
	}
}

// enter takes a line that was typed.
func (s *State) enter(text string) {
	text = strings.TrimRight(text, "\r\n")
	switch {
	case strings.TrimSpace(text) == "":
	case strings.HasPrefix(text, "//"):
		s.say(text[1:])
	case strings.HasPrefix(text, "/"):
		s.command(text)
	default:
		s.say(text)
	}
}

func (s *State) command(text string) {
	name, operand, _ := strings.Cut(text, " ")
	operand = strings.TrimSpace(operand)
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	switch {
	case i < 0:
		s.alert("there is no command %s; /help lists them, and a line that begins with // is said with one /", s.Clean(name))
	case operand != "" && all[i].operand == "":
		s.alert("%s takes nothing else", name)
	default:
		all[i].do(s, operand)
	}
}

func (s *State) alert(format string, a ...any) { s.print(s.at, alert, fmt.Sprintf(format, a...)) }

func (s *State) say(text string) {
	t := &s.talks[s.at]
	switch {
	case t.peer == "":
		s.alert("there is no call; /call NAME calls somebody")
	case t.phase == Apart:
		s.alert("there is no call with %s; /call begins one", s.Clean(t.peer))
	case len(text) > maxEntry:
		s.alert("the line is too long: %d bytes, %d are possible; /send sends files", len(text), maxEntry)
	case s.Full():
		s.alert("%d lines wait to be sent already; this one is not: %s", maxUnsent, text)
	default:
		t.unsent = append(slices.Clip(t.unsent), text)
		s.do(Say{t.peer, text})
	}
}

// whom is the conversation that an operand names, or the one that is shown;
// false, and prints an error, if there is none.
func (s *State) whom(operand string) (*talk, bool) {
	if operand == "" {
		if s.at == 0 {
			s.alert("with whom? give a name, or turn to a conversation with /to NAME")
			return nil, false
		}
		return &s.talks[s.at], true
	}
	for i := range s.talks {
		if t := &s.talks[i]; i > 0 && (t.peer == operand || s.Clean(t.peer) == operand) {
			return t, true
		}
	}
	s.alert("there is no conversation with %s", s.Clean(operand))
	return nil, false
}

// inCall is whom, of those that there is a call with.
func (s *State) inCall(operand string) (*talk, bool) {
	t, ok := s.whom(operand)
	if ok && t.phase == Apart {
		s.alert("there is no call with %s", s.Clean(t.peer))
		return nil, false
	}
	return t, ok
}

func (s *State) call(operand string) {
	if operand == "" && s.at == 0 {
		s.alert("call whom? /call NAME")
		return
	}
	i := s.at
	if operand != "" {
		i = s.with(operand)
	}
	s.show(i)
	t := &s.talks[i]
	if q := s.question(t.peer); q >= 0 && t.phase == Apart { // who calls is answered
		s.answer(t.peer, true)
		return
	}
	if t.phase != Apart {
		s.alert("there is a call with %s already", s.Clean(t.peer))
		return
	}
	s.do(Call{t.peer})
}

func (s *State) hangup(operand string) {
	if t, ok := s.inCall(operand); ok {
		s.do(Hangup{t.peer})
	}
}

func (s *State) turn(operand string) {
	if t, ok := s.whom(operand); ok {
		s.show(s.with(t.peer))
	}
}

func (s *State) stats(string) {
	if t, ok := s.inCall(""); ok {
		s.do(Stats{t.peer})
	}
}

func (s *State) mute(operand string, muted bool) {
	if operand != "" && operand != "audio" && operand != "video" {
		s.alert("/mute takes audio or video, or nothing for both")
		return
	}
	if t, ok := s.inCall(""); ok {
		s.do(Mute{t.peer, operand, muted})
	}
}

func (s *State) send(operand string) {
	paths, err := words(operand)
	switch {
	case err != nil:
		s.alert("%v", err)
		return
	case len(paths) == 0:
		s.alert("send what? /send FILE...")
		return
	}
	if t, ok := s.inCall(""); ok {
		s.do(Send{t.peer, paths})
	}
}

func (s *State) verify(operand string) {
	t, ok := s.inCall("")
	if !ok {
		return
	}
	name := s.Clean(t.peer)
	switch {
	case t.code == "":
		s.alert("the code is not known yet")
	case operand == "":
		s.print(s.at, note, fmt.Sprintf("verification code %s; nobody is in between if %s sees the same", t.code, name))
	case digits(operand) == digits(t.code):
		s.print(s.at, note, "the codes are the same: nobody is in between")
	default:
		s.alert("the codes DIFFER: somebody may be in between; yours is %s, and /hangup ends the call", t.code)
	}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, s)
}

func (s *State) help(string) {
	for _, c := range commands() {
		s.print(s.at, note, fmt.Sprintf("%-24s %s", strings.TrimSpace(c.name+" "+c.operand), c.help))
	}
	s.print(s.at, note, "Tab completes; Ctrl-N and Ctrl-P turn to other conversations; PageUp and PageDown scroll")
}

// question is the first one about somebody, -1 for none.
func (s *State) question(peer string) int {
	return slices.IndexFunc(s.questions, func(q Asked) bool { return q.Peer == peer })
}

// answer answers the question of somebody, of who is shown, or the oldest.
func (s *State) answer(operand string, yes bool) {
	if len(s.questions) == 0 {
		s.alert("there is nothing to say yes or no to")
		return
	}
	i := s.pending()
	if operand != "" {
		t, ok := s.whom(operand)
		if !ok {
			return
		}
		if i = s.question(t.peer); i < 0 {
			s.alert("%s asks nothing", s.Clean(t.peer))
			return
		}
	}
	q := s.questions[i]
	s.questions = slices.Delete(s.questions, i, i+1)
	if yes {
		s.show(s.with(q.Peer))
	}
	s.do(Answer{q.ID, yes})
}

// pending is the question that is answered next: of who is shown, or the oldest;
// -1 for none.
func (s *State) pending() int {
	if i := s.question(s.talks[s.at].peer); i >= 0 {
		return i
	}
	return min(0, len(s.questions)-1)
}

// words divides a line at its spaces, except in quotes and after a backslash.
func words(text string) (list []string, err error) {
	var word strings.Builder
	var quote rune
	var begun, escaped bool
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && unicode.IsSpace(r):
			if begun {
				list = append(list, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("a quote in the line is not closed")
	}
	if begun {
		list = append(list, word.String())
	}
	return list, nil
}
