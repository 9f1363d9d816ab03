package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tmux is a terminal that a test types into and looks at.
type tmux struct {
	t      *testing.T
	socket string
}

// inTmux runs a command line in a terminal of a size.
func inTmux(t *testing.T, columns, rows int, command string) *tmux {
	t.Helper()
	x := &tmux{t, filepath.Join(t.TempDir(), "tmux")}
	// -u: UTF-8, whatever the locale of the machine
	x.run("-u", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), command)
	t.Cleanup(func() { x.run("kill-server") })
	return x
}

func (x *tmux) run(args ...string) string {
	x.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v (install tmux)\n%s", args, err, out)
	}
	return string(out)
}

// types types keys, by tmux's names.
func (x *tmux) types(keys ...string) {
	x.t.Helper()
	x.run(append([]string{"send-keys"}, keys...)...)
}

// enters types a line and Enter.
func (x *tmux) enters(line string) {
	x.t.Helper()
	x.run("send-keys", "-l", line)
	x.types("Enter")
}

// shows waits until the screen is what it should be.
func (x *tmux) shows(what string, ok func(rows []string) bool) {
	x.t.Helper()
	var screen string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // between two looks
		screen = x.run("capture-pane", "-p")
		if ok(strings.Split(strings.TrimSuffix(screen, "\n"), "\n")) {
			return
		}
	}
	x.t.Fatalf("the screen does not show %s; it is\n%s", what, screen)
}

// is waits until the screen has exactly these rows; "*" is any row.
func (x *tmux) is(want ...string) {
	x.t.Helper()
	x.shows(fmt.Sprintf("\n%s\n", strings.Join(want, "\n")), func(rows []string) bool {
		for len(rows) < len(want) {
			rows = append(rows, "")
		}
		for i, row := range rows {
			if i >= len(want) || want[i] != "*" && strings.TrimRight(row, " ") != want[i] {
				return false
			}
		}
		return true
	})
}

// has waits until a text is on the screen.
func (x *tmux) has(text string) {
	x.t.Helper()
	x.shows(fmt.Sprintf("%q", text), func(rows []string) bool { return strings.Contains(strings.Join(rows, "\n"), text) })
}

// A chat in a terminal: what the screen shows while somebody calls, is answered,
// writes, and while the terminal gets another size.
func TestChatScreen(t *testing.T) {
	_, server := serving(t)
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, 60, 12, fmt.Sprintf("cd %s; %s chat --as bob --server %s; echo ended with $?; exec sleep 1000", t.TempDir(), path, server))
	x.is("bob │", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "no call; /call NAME calls somebody, /help has more", ">")
	alice := typing(t, "chat", "bob", "--as", "alice", "--server", server)
	x.is("bob │ alice !", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "alice calls  /accept or /decline", ">")
	if on := strings.TrimSpace(x.run("display-message", "-p", "#{alternate_on}")); on != "1" {
		t.Errorf("alternate_on is %s with a screen", on)
	}
	x.types("/h", "Tab")
	x.is("bob │ alice !", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "/hangup  /help", "> /h")
	x.types("C-u", "/ac", "Tab", "Enter")
	x.has("in a call with alice")
	alice.types(t, "こんにちは bob")
	x.has("alice: こんにちは bob")
	x.types("hallo", "Left", "Left", "Left", "BSpace", "e", "Enter")
	alice.says(t, `bob: hello`)
	x.types("Up", "C-e", "!", "Enter")
	alice.says(t, `bob: hello!`)
	x.shows("the conversation", func(rows []string) bool {
		all := strings.Join(rows, "\n")
		return rows[0] == "bob │ [alice*]" && strings.Contains(all, "\nalice: こんにちは bob\nme: hello\nme: hello!\n") && rows[10] == "in a call with alice"
	})
	x.run("resize-window", "-x", "20", "-y", "8")
	x.shows("narrow rows", func(rows []string) bool {
		all := strings.Join(rows, "\n")
		return len(rows) == 8 && rows[0] == "bob │ [alice*]" && strings.HasSuffix(strings.TrimRight(all, " \n>"), "\nme: hello\nme: hello!\nin a call with alice")
	})
	x.run("resize-window", "-x", "60", "-y", "12")

	// another conversation, which is not looked at
	carol := typing(t, "chat", "bob", "--as", "carol", "--server", server)
	x.has("carol calls  /accept or /decline")
	x.enters("/accept carol")
	x.has("[carol*]")
	carol.types(t, "\x1b[31mred\u202e")
	x.has(`carol: \x1b[31mred\u{202e}`)
	alice.types(t, "are you there?")
	x.has("bob │ alice* (1) [carol*]")
	x.types("C-p")
	x.has("bob │ [alice*] carol*")
	x.has("alice: are you there?")

	x.types("C-c")
	x.has("ended with 130")
	alice.ends(t, 0)
	carol.ends(t, 0)
}

// The server is lost in mid-call and comes back: the screen says so, and what is
// said meanwhile arrives.
func TestChatScreenWithoutServer(t *testing.T) {
	s := terminal(t, "serve", "--listen", "127.0.0.1:0", "--output", "ndjson")
	s.says(t, `"event":"listening".*\n`)
	events, err := readEvents(s.out.String())
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint(events[0]["address"])
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, 60, 12, fmt.Sprintf("cd %s; %s chat --as bob --accept --server ws://%s; echo ended with $?; exec sleep 1000", t.TempDir(), path, address))
	x.has("waiting for calls to bob")
	alice := typing(t, "chat", "bob", "--as", "alice", "--server", "ws://"+address)
	x.has("bob │ [alice*]")
	_ = s.cmd.Process.Kill()
	<-s.exited
	x.has("bob (server lost) │ [alice*]")
	alice.types(t, "are you there?")
	x.has("alice: are you there?")
	x.enters("yes")
	alice.says(t, "bob: yes")
	again := terminal(t, "serve", "--listen", address)
	again.says(t, "signaling on")
	x.has("bob │ [alice*]")
	x.enters("/quit")
	x.has("ended with 0")
	alice.ends(t, 0)
}

// What is typed while the peer does not answer is not lost: it is reported if it
// was not sent, also where the chat is left; and who mutes is silent from the start.
func TestChatScreenBeforeAnAnswer(t *testing.T) {
	_, server := serving(t)
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	alice := typing(t, "chat", "--as", "alice", "--server", server, "--output", "ndjson")
	alice.says(t, `"event":"login"`)
	x := inTmux(t, 60, 16, fmt.Sprintf("cd %s; %s chat alice --as bob --audio test --server %s; echo ended with $?; exec sleep 1000", t.TempDir(), path, server))
	alice.says(t, `"event":"ring","peer":"bob","state":"asked"`)
	x.enters("are you there?")
	x.enters("I am waiting")
	x.has("calling alice… 2 lines wait")
	alice.types(t, "/decline")
	x.has("! not sent to alice: are you there?")
	x.has("! not sent to alice: I am waiting")
	x.types("Up", "Up")
	x.has("> are you there?")
	x.types("C-u")

	x.enters("/call")
	x.has("bob │ [alice…]")
	x.enters("/mute")
	x.has("mute: done")
	alice.says(t, `(?s)"state":"declined".*"event":"ring","peer":"bob","state":"asked"`)
	alice.types(t, "/accept")
	alice.says(t, `"event":"mute","peer":"bob","kind":"audio","muted":true`)
	x.enters("/unmute")
	alice.says(t, `"event":"mute","peer":"bob","kind":"audio","muted":false`)
	x.enters("/hangup")
	x.has("bob │ [alice]")

	x.enters("/call")
	alice.says(t, `(?s)("state":"asked".*){3}`)
	x.enters("once more")
	x.has("calling alice… 1 line waits")
	x.enters("/quit")
	x.has("not sent to alice: once more")
	x.has("ended with 0")
	alice.types(t, "/quit")
	alice.ends(t, 0)
}

// typing is terminal with an input that types writes to.
func typing(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, cmd, args)
	p.in = in
	return p
}

func (p *process) types(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
}

// With --plain a terminal gets lines and nothing else: no other screen, no
// cursor that moves.
func TestChatPlain(t *testing.T) {
	_, server := serving(t)
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	x := inTmux(t, 60, 20, fmt.Sprintf("cd %s; NO_COLOR=1 %s chat --as bob --plain --server %s | tee said; echo ended; exec sleep 1000", t.TempDir(), path, server))
	x.has("waiting for calls to bob")
	alice := typing(t, "chat", "bob", "--as", "alice", "--server", server)
	x.has("alice calls (/accept or /decline)")
	x.enters("/accept")
	alice.types(t, "hi bob")
	x.has("alice: hi bob")
	if on := strings.TrimSpace(x.run("display-message", "-p", "#{alternate_on}")); on != "0" {
		t.Errorf("alternate_on is %s with --plain", on)
	}
	x.enters("hi alice")
	alice.says(t, "bob: hi alice")
	x.enters("/hangup")
	alice.ends(t, 0)
	x.enters("still here") // a person may go on, a script's chat ended with the call
	x.has("there is no call with alice; /call begins one")
	x.types("C-d")
	x.shows("the end", func(rows []string) bool { return strings.Contains(strings.Join(rows, "\n"), "\nended") })
}
