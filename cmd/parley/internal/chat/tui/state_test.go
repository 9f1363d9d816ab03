package tui

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// after is the state after events, with the actions of the last one.
func after(t *testing.T, s State, events ...Event) (State, []Action) {
	t.Helper()
	var actions []Action
	for _, e := range events {
		s, actions = s.Update(e)
	}
	return s, actions
}

func typing(text string) (keys []Event) {
	for _, r := range text {
		keys = append(keys, Key{Name: string(r), Text: string(r)})
	}
	return keys
}

// A script reads how many lines were not sent, once, for any reason.
func TestLinesNotSentOfAScript(t *testing.T) {
	_, got := after(t, New(Options{Script: true, To: "bob"}), Moved{"bob", Calling}, Entered{"a"}, Entered{"b"}, Refused{"bob", "a", true}, Moved{"bob", Apart})
	if want := []Action{Print{"bob did not get the last 2 lines", true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("it wants %#v, not %#v", got, want)
	}
}

func TestActions(t *testing.T) {
	up := []Event{Moved{"bob", Calling}, Moved{"bob", Connected}}
	asked := Asked{ID: 7, Peer: "carol", Text: "carol calls"}
	alert := func(text string) []Action { return []Action{Print{text, true}} }
	for name, c := range map[string]struct {
		before []Event
		last   Event
		want   []Action
	}{
		"say to nobody":          {nil, Entered{"hi"}, alert("there is no call; /call NAME calls somebody")},
		"say":                    {up, Entered{"hi\n"}, []Action{Say{"bob", "hi"}}},
		"say before an answer":   {[]Event{Entered{"/call bob"}, Moved{"bob", Calling}}, Entered{"hi"}, []Action{Say{"bob", "hi"}}},
		"say a slash":            {up, Entered{"//hi"}, []Action{Say{"bob", "/hi"}}},
		"say too much":           {up, Entered{strings.Repeat("x", maxEntry+1)}, alert("the line is too long: 61441 bytes, 61440 are possible; /send sends files")},
		"say after the call":     {append(up, Moved{"bob", Apart}), Entered{"hi"}, alert("there is no call with bob; /call begins one")},
		"nothing":                {up, Entered{"  "}, nil},
		"call":                   {nil, Entered{"/call bob"}, []Action{Call{"bob"}}},
		"call nobody":            {nil, Entered{"/call"}, alert("call whom? /call NAME")},
		"call twice":             {up, Entered{"/call bob"}, alert("there is a call with bob already")},
		"call again":             {append(up, Moved{"bob", Apart}), Entered{"/call"}, []Action{Call{"bob"}}},
		"call who calls":         {[]Event{asked}, Entered{"/call carol"}, []Action{Answer{7, true}}},
		"hang up":                {up, Entered{"/hangup"}, []Action{Hangup{"bob"}}},
		"hang up a name":         {up, Entered{"/hangup bob"}, []Action{Hangup{"bob"}}},
		"hang up nobody":         {up, Entered{"/hangup x"}, alert("there is no conversation with x")},
		"accept":                 {append(up, asked), Entered{"/accept"}, []Action{Answer{7, true}}},
		"decline a name":         {append(up, asked), Entered{"/decline carol"}, []Action{Answer{7, false}}},
		"decline who asks not":   {append(up, asked), Entered{"/decline bob"}, alert("bob asks nothing")},
		"accept what is settled": {append(up, asked, Settled{7}), Entered{"/accept"}, alert("there is nothing to say yes or no to")},
		"accept the one shown":   {append(up, asked, Asked{8, "bob", "?"}), Entered{"/accept"}, []Action{Answer{8, true}}},
		"send":                   {up, Entered{`/send a "b c" d\ e`}, []Action{Send{"bob", []string{"a", "b c", "d e"}}}},
		"send an open quote":     {up, Entered{`/send "a`}, alert("a quote in the line is not closed")},
		"mute":                   {up, Entered{"/mute audio"}, []Action{Mute{"bob", "audio", true}}},
		"unmute":                 {up, Entered{"/unmute"}, []Action{Mute{"bob", "", false}}},
		"mute what":              {up, Entered{"/mute all"}, alert("/mute takes audio or video, or nothing for both")},
		"stats":                  {up, Entered{"/stats"}, []Action{Stats{"bob"}}},
		"no code":                {up, Entered{"/verify"}, alert("the code is not known yet")},
		"same code":              {append(up, Coded{"bob", "12345 67890"}), Entered{"/verify 1234567890"}, []Action{Print{"the codes are the same: nobody is in between", false}}},
		"unknown":                {up, Entered{"/x"}, alert("there is no command /x; /help lists them, and a line that begins with // is said with one /")},
		"too much":               {up, Entered{"/quit now"}, alert("/quit takes nothing else")},
		"quit":                   {up, Entered{"/quit"}, []Action{Quit{}}},
		"quit twice":             {append(up, Entered{"/quit"}), Entered{"/quit"}, nil},
		"ctrl-c":                 {up, Key{Name: "ctrl+c"}, []Action{Quit{Interrupted: true}}},
		"the input ends":         {up, InputEnded{}, []Action{Quit{InputOver: true}}},
		"it ends too early":      {append(up, Entered{"hi"}), InputEnded{}, nil},
		"and then it is sent":    {append(up, Entered{"hi"}, InputEnded{}), Said{"bob", "hi", true}, []Action{Quit{InputOver: true}}},
		"and then it is refused": {append(up, Entered{"hi"}, InputEnded{}), Refused{"bob", "hi", false}, []Action{Quit{InputOver: true}}},
		"one is refused of two":  {append(up, Entered{"hi"}, Entered{"ho"}, InputEnded{}), Refused{"bob", "ho", false}, nil},
		"the call ends too early": {append(up, Entered{"hi"}, InputEnded{}), Moved{"bob", Apart},
			[]Action{Print{"not sent to bob: hi", true}, Quit{InputOver: true}}},
		"what was not sent": {append(up, Entered{"a"}, Entered{"b"}, Entered{"c"}, Entered{"d"}, Said{"bob", "a", true}, Refused{"bob", "c", false}), Moved{"bob", Apart},
			[]Action{Print{"not sent to bob: b", true}, Print{"not sent to bob: d", true}}},
		"what the end of the call refuses": {append(up, Entered{"a"}, Entered{"b"}, Refused{"bob", "a", true}), Moved{"bob", Apart},
			[]Action{Print{"not sent to bob: a", true}, Print{"not sent to bob: b", true}}},
		"what a call that was replaced refuses": {append(up, Entered{"a"}, Moved{"bob", Calling}, Entered{"b"}, Refused{"bob", "a", true}), Moved{"bob", Connected},
			[]Action{Print{"not sent to bob: a", true}}},
		"the input ends, and the call after it": {append(up, Entered{"a"}, InputEnded{}), Refused{"bob", "a", true}, nil},
		"path":                                  {append(up, Pasted{"/send a"}), Key{Name: "tab"}, []Action{ListFiles{"a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := after(t, New(Options{}), append(c.before, c.last)...)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("it wants %#v, not %#v", got, c.want)
			}
		})
	}
}

func TestEditing(t *testing.T) {
	keys := func(names ...string) (events []Event) {
		for _, n := range names {
			events = append(events, Key{Name: n})
		}
		return events
	}
	for name, c := range map[string]struct {
		events []Event
		left   string
		right  string
	}{
		"letters":          {typing("héllo"), "héllo", ""},
		"a cluster":        {append(typing("ae\u0301"), keys("backspace")...), "a", ""},
		"wide, left":       {append(typing("日本"), keys("left")...), "日", "本"},
		"delete":           {append(typing("abc"), keys("home", "delete")...), "", "bc"},
		"word back":        {append(typing("one two "), keys("ctrl+w")...), "one ", ""},
		"words":            {append(typing("one two"), keys("alt+b", "alt+b", "alt+f")...), "one", " two"},
		"kill":             {append(typing("abc"), keys("left", "ctrl+k")...), "ab", ""},
		"kill all":         {append(typing("abc"), keys("ctrl+u")...), "", ""},
		"edges":            {keys("left", "backspace", "delete", "right", "ctrl+w", "up", "down"), "", ""},
		"paste":            {[]Event{Pasted{"a\r\nb\x1b[1m\tc"}}, "a\nb[1m c", ""},
		"recall":           {append(typing("a"), append(keys("enter"), append(typing("b"), keys("up")...)...)...), "a", ""},
		"recall and back":  {append(typing("a"), append(keys("enter"), append(typing("b"), keys("up", "down")...)...)...), "b", ""},
		"complete":         {append(typing("/ca"), keys("tab")...), "/call ", ""},
		"complete some":    {append(typing("/h"), keys("tab")...), "/h", ""},
		"complete a name":  {append([]Event{Moved{"carol", Calling}}, append(typing("/call c"), keys("tab")...)...), "/call carol", ""},
		"complete a path":  {append(typing("/send x d"), Listed{"d", []string{"d e"}}), `/send x d\ e`, ""},
		"too late a path":  {append(typing("/send x"), Listed{"d", []string{"d e"}}), "/send x", ""},
		"complete nothing": {append(typing("hello"), keys("tab")...), "hello", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := after(t, New(Options{}), c.events...)
			if s.edit.left != c.left || s.edit.right != c.right {
				t.Errorf("%q|%q, want %q|%q", s.edit.left, s.edit.right, c.left, c.right)
			}
		})
	}
}

// Whatever comes, no more is kept than can be.
func TestBounds(t *testing.T) {
	s := New(Options{})
	for i := range 2 * maxLines {
		s, _ = s.Update(Said{Peer: "bob", Text: fmt.Sprint(i)})
	}
	if n := len(s.talks[1].lines); n != maxLines {
		t.Errorf("%d lines are kept, want %d", n, maxLines)
	}
	for range 40 {
		s, _ = s.Update(Said{Peer: "bob", Text: strings.Repeat("x", 256<<10)})
	}
	if n := s.talks[1].bytes; n > maxBytes {
		t.Errorf("%d bytes are kept, want %d at most", n, maxBytes)
	}
	s, _ = s.Update(Moved{"bob", Connected})
	for i := range 3 * maxTalks {
		s, _ = s.Update(Said{Peer: fmt.Sprint(i), Text: "x"})
	}
	if n := len(s.talks); n != maxTalks || s.talks[s.at].peer != "bob" {
		t.Errorf("%d conversations are kept and %q is shown, want %d and bob", n, s.talks[s.at].peer, maxTalks)
	}
	s, _ = s.Update(Moved{"bob", Calling})
	var actions []Action
	for i := range maxUnsent + 1 {
		s, actions = s.Update(Entered{fmt.Sprint("line ", i)})
	}
	if want := []Action{Print{"256 lines wait to be sent already; this one is not: line 256", true}}; !reflect.DeepEqual(actions, want) || s.Unsent() != maxUnsent {
		t.Errorf("a line too many wants %v, not %v; %d wait", actions, want, s.Unsent())
	}
	for i := range maxQuestions + 1 {
		s, actions = s.Update(Asked{ID: i, Peer: "bob", Text: "?"})
	}
	if want := []Action{Answer{maxQuestions, false}}; !reflect.DeepEqual(actions, want) {
		t.Errorf("a question too many wants %v, not %v", actions, want)
	}
}

// Every row fits the screen, whatever its size and whatever was said, and
// nothing of a stranger reaches the terminal raw.
func TestViewFits(t *testing.T) {
	hostile := "\x1b[2J\x9b31m日本語👩‍👩‍👧\u202eevil\r\n\a" + strings.Repeat("e\u0301", 70)
	s, _ := after(t, New(Options{Me: hostile}), Moved{hostile, Connected}, Said{Peer: hostile, Text: hostile}, Said{Peer: "b", Text: hostile},
		Asked{1, hostile, "x"}, Pasted{hostile})
	for columns := 1; columns < 100; columns += 3 {
		for rows := 1; rows < 30; rows += 4 {
			s, _ = s.Update(Resized{columns, rows})
			f := s.View()
			lines := strings.Split(f.Content, "\n")
			if len(lines) != rows || f.X >= columns || f.Y >= rows {
				t.Fatalf("%dx%d: %d rows, cursor at %d, %d", columns, rows, len(lines), f.X, f.Y)
			}
			for _, l := range lines {
				if w := ansi.StringWidth(l); w > max(columns, 2) { // a wide character in one column cannot be cut
					t.Fatalf("%dx%d: a row of %d: %q", columns, rows, w, l)
				}
			}
			for _, bad := range []string{"\x1b[2J", "\u009b", "\u202e", "\a", "\r"} {
				if strings.Contains(f.Content, bad) {
					t.Fatalf("%dx%d: %q is on the screen raw", columns, rows, bad)
				}
			}
		}
	}
}

// A server that is lost stands in the bar until it is back, whatever is shown.
func TestALostServerIsShown(t *testing.T) {
	s, _ := after(t, New(Options{Me: "alice"}), Moved{"bob", Connected})
	for _, lost := range []bool{true, false} {
		s, _ = after(t, s, Served{lost})
		bar, _, _ := strings.Cut(ansi.Strip(s.View().Content), "\n")
		if want := map[bool]string{true: "alice (server lost) │ [bob*]", false: "alice │ [bob*]"}[lost]; bar != want {
			t.Errorf("the bar is %q, want %q", bar, want)
		}
	}
}

func TestScrolling(t *testing.T) {
	s, _ := after(t, New(Options{}), Resized{40, 8}, Moved{"bob", Connected})
	for i := range 20 {
		s, _ = s.Update(Said{Peer: "bob", Text: fmt.Sprint("line ", i)})
	}
	sees := func(first, last string) {
		t.Helper()
		rows := strings.Split(ansi.Strip(s.View().Content), "\n")
		if rows[1] != first || rows[5] != last {
			t.Errorf("rows from %q to %q, want %q to %q", rows[1], rows[5], first, last)
		}
	}
	sees("bob: line 15", "bob: line 19")
	s, _ = s.Update(Key{Name: "pgup"})
	sees("bob: line 10", "bob: line 14")
	s, _ = after(t, s, Key{Name: "pgup"}, Key{Name: "pgup"}, Key{Name: "pgup"}, Key{Name: "pgup"})
	sees("bob: line 0", "bob: line 4")
	s, _ = after(t, s, Key{Name: "pgdown"})
	sees("bob: line 5", "bob: line 9")
}
