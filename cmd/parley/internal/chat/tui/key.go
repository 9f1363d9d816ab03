package tui

// key takes a key.
func (s *State) key(k Key) {
	if k.Name != "tab" {
		s.offered = nil
	}
	switch k.Name {
	case "enter":
		s.scroll = 0
		s.enter(s.edit.take())
	case "tab":
		s.complete()
	case "ctrl+c":
		s.quit(Quit{Interrupted: true})
	case "ctrl+d":
		if s.edit.text() == "" {
			s.quit(Quit{})
			return
		}
		s.edit.key(Key{Name: "delete"})
	case "ctrl+n":
		s.show((s.at + 1) % len(s.talks))
	case "ctrl+p":
		s.show((s.at + len(s.talks) - 1) % len(s.talks))
	case "pgup":
		s.scroll += s.page()
		s.scroll = min(s.scroll, max(len(s.tail(s.scroll+s.page()))-s.page(), 0))
	case "pgdown":
		s.scroll = max(s.scroll-s.page(), 0)
	default:
		s.edit.key(k)
	}
}
