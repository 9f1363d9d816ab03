package tui

import (
	"slices"
	"strings"
)

// complete completes what is left of the cursor: a command, a name, a path.
func (s *State) complete() {
	text := s.edit.left
	name, operand, has := strings.Cut(text, " ")
	switch {
	case !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//"):
	case !has:
		s.completeOf(name, s.commandNames(), " ")
	case name == "/send":
		s.do(ListFiles{lastPath(operand)})
	case name == "/mute" || name == "/unmute":
		s.completeOf(operand, []string{"audio", "video"}, "")
	case slices.Contains([]string{"/accept", "/call", "/decline", "/hangup", "/to"}, name):
		s.completeOf(operand, s.names(), "")
	}
}

func (s *State) commandNames() (names []string) {
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

func (s *State) names() (names []string) {
	for _, t := range s.talks[1:] {
		names = append(names, s.Clean(t.peer))
	}
	return names
}

// completeOf completes prefix, which is left of the cursor, to one of all; what
// comes after is appended if there is just one.
func (s *State) completeOf(prefix string, all []string, after string) {
	all = slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, prefix) })
	s.offered = nil
	switch len(all) {
	case 0:
	case 1:
		s.edit.insert(all[0][len(prefix):] + after)
	default:
		s.edit.insert(common(all)[len(prefix):])
		s.offered = all
	}
}

// common is what all begin with.
func common(all []string) string {
	c := all[0]
	for _, a := range all[1:] {
		n := 0
		for i, r := range c { // at the ends of characters only
			if !strings.HasPrefix(a, c[:i+len(string(r))]) {
				break
			}
			n = i + len(string(r))
		}
		c = c[:n]
	}
	return c
}

// lastPath is the path that is being typed.
func lastPath(operand string) string {
	start := 0
	for i := range operand {
		if operand[i] == ' ' && (i == 0 || operand[i-1] != '\\') {
			start = i + 1
		}
	}
	return strings.ReplaceAll(operand[start:], `\ `, " ")
}

// listed completes a path, if it is still the one that is being typed.
func (s *State) listed(e Listed) {
	_, operand, _ := strings.Cut(s.edit.left, " ")
	if !strings.HasPrefix(s.edit.left, "/send ") || lastPath(operand) != e.Prefix {
		return
	}
	var quoted []string
	for _, p := range e.Paths {
		quoted = append(quoted, quotePath(p))
	}
	s.completeOf(quotePath(e.Prefix), quoted, "")
}

// quotePath is a path as words reads it.
func quotePath(p string) string {
	return strings.NewReplacer(`\`, `\\`, " ", `\ `, `"`, `\"`, "'", `\'`).Replace(p)
}
