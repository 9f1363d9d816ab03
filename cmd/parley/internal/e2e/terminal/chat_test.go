package terminal

import (
	"fmt"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A chat in a terminal: what the screen shows while somebody calls, is answered,
// writes, and while the terminal gets another size.
func TestChatScreen(t *testing.T) {
	_, server := e2etest.Serve(t)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	x := e2etest.StartTmux(t, 60, 12, fmt.Sprintf("cd %s; %s chat --as bob --server %s; echo ended with $?; exec sleep 1000", t.TempDir(), path, server))
	x.Is("bob │", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "no call; /call NAME calls somebody, /help has more", ">")
	alice := e2etest.StartTyping(t, "chat", "bob", "--as", "alice", "--server", server)
	x.Is("bob │ alice !", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "alice calls  /accept or /decline", ">")
	if on := strings.TrimSpace(x.Run("display-message", "-p", "#{alternate_on}")); on != "1" {
		t.Errorf("alternate_on is %s with a screen", on)
	}
	x.Type("/h", "Tab")
	x.Is("bob │ alice !", "*", "- waiting for calls to bob", "", "", "", "", "", "", "", "/hangup  /help", "> /h")
	x.Type("C-u", "/ac", "Tab", "Enter")
	x.Has("in a call with alice")
	alice.Type(t, "こんにちは bob")
	x.Has("alice: こんにちは bob")
	x.Type("hallo", "Left", "Left", "Left", "BSpace", "e", "Enter")
	alice.Says(t, `bob: hello`)
	x.Type("Up", "C-e", "!", "Enter")
	alice.Says(t, `bob: hello!`)
	x.Shows("the conversation", func(rows []string) bool {
		all := strings.Join(rows, "\n")
		return rows[0] == "bob │ [alice*]" && strings.Contains(all, "\nalice: こんにちは bob\nme: hello\nme: hello!\n") && rows[10] == "in a call with alice"
	})
	x.Run("resize-window", "-x", "20", "-y", "8")
	x.Shows("narrow rows", func(rows []string) bool {
		all := strings.Join(rows, "\n")
		return len(rows) == 8 && rows[0] == "bob │ [alice*]" && strings.HasSuffix(strings.TrimRight(all, " \n>"), "\nme: hello\nme: hello!\nin a call with alice")
	})
	x.Run("resize-window", "-x", "60", "-y", "12")

	// another conversation, which is not looked at
	carol := e2etest.StartTyping(t, "chat", "bob", "--as", "carol", "--server", server)
	x.Has("carol calls  /accept or /decline")
	x.Enter("/accept carol")
	x.Has("[carol*]")
	carol.Type(t, "\x1b[31mred\u202e")
	x.Has(`carol: \x1b[31mred\u{202e}`)
	alice.Type(t, "are you there?")
	x.Has("bob │ alice* (1) [carol*]")
	x.Type("C-p")
	x.Has("bob │ [alice*] carol*")
	x.Has("alice: are you there?")

	x.Type("C-c")
	x.Has("ended with 130")
	alice.Ends(t, 0)
	carol.Ends(t, 0)
}

// The server is lost in mid-call and comes back: the screen says so, and what is
// said meanwhile arrives.
func TestChatScreenWithoutServer(t *testing.T) {
	s := e2etest.Start(t, "serve", "--listen", "127.0.0.1:0", "--output", "ndjson")
	s.Says(t, `"event":"listening".*\n`)
	events, err := e2etest.ReadEvents(s.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint(events[0]["address"])
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	x := e2etest.StartTmux(t, 60, 12, fmt.Sprintf("cd %s; %s chat --as bob --accept --server ws://%s; echo ended with $?; exec sleep 1000", t.TempDir(), path, address))
	x.Has("waiting for calls to bob")
	alice := e2etest.StartTyping(t, "chat", "bob", "--as", "alice", "--server", "ws://"+address)
	x.Has("bob │ [alice*]")
	_ = s.Cmd.Process.Kill()
	<-s.Exited
	x.Has("bob (server lost) │ [alice*]")
	alice.Type(t, "are you there?")
	x.Has("alice: are you there?")
	x.Enter("yes")
	alice.Says(t, "bob: yes")
	again := e2etest.Start(t, "serve", "--listen", address)
	again.Says(t, "signaling on")
	x.Has("bob │ [alice*]")
	x.Enter("/quit")
	x.Has("ended with 0")
	alice.Ends(t, 0)
}

// What is typed while the peer does not answer is not lost: it is reported if it
// was not sent, also where the chat is left; and who mutes is silent from the start.
func TestChatScreenBeforeAnAnswer(t *testing.T) {
	_, server := e2etest.Serve(t)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	alice := e2etest.StartTyping(t, "chat", "--as", "alice", "--server", server, "--output", "ndjson")
	alice.Says(t, `"event":"login"`)
	x := e2etest.StartTmux(t, 60, 16, fmt.Sprintf("cd %s; %s chat alice --as bob --audio test --server %s; echo ended with $?; exec sleep 1000", t.TempDir(), path, server))
	alice.Says(t, `"event":"ring","peer":"bob","state":"asked"`)
	x.Enter("are you there?")
	x.Enter("I am waiting")
	x.Has("calling alice… 2 lines wait")
	alice.Type(t, "/decline")
	x.Has("! not sent to alice: are you there?")
	x.Has("! not sent to alice: I am waiting")
	x.Type("Up", "Up")
	x.Has("> are you there?")
	x.Type("C-u")

	x.Enter("/call")
	x.Has("bob │ [alice…]")
	x.Enter("/mute")
	x.Has("mute: done")
	alice.Says(t, `(?s)"state":"declined".*"event":"ring","peer":"bob","state":"asked"`)
	alice.Type(t, "/accept")
	alice.Says(t, `"event":"mute","peer":"bob","kind":"audio","muted":true`)
	x.Enter("/unmute")
	alice.Says(t, `"event":"mute","peer":"bob","kind":"audio","muted":false`)
	x.Enter("/hangup")
	x.Has("bob │ [alice]")

	x.Enter("/call")
	alice.Says(t, `(?s)("state":"asked".*){3}`)
	x.Enter("once more")
	x.Has("calling alice… 1 line waits")
	x.Enter("/quit")
	x.Has("not sent to alice: once more")
	x.Has("ended with 0")
	alice.Type(t, "/quit")
	alice.Ends(t, 0)
}

// With --plain a terminal gets lines and nothing else: no other screen, no
// cursor that moves.
func TestChatPlain(t *testing.T) {
	_, server := e2etest.Serve(t)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	x := e2etest.StartTmux(t, 60, 20, fmt.Sprintf("cd %s; NO_COLOR=1 %s chat --as bob --plain --server %s | tee said; echo ended; exec sleep 1000", t.TempDir(), path, server))
	x.Has("waiting for calls to bob")
	alice := e2etest.StartTyping(t, "chat", "bob", "--as", "alice", "--server", server)
	x.Has("alice calls (/accept or /decline)")
	x.Enter("/accept")
	alice.Type(t, "hi bob")
	x.Has("alice: hi bob")
	if on := strings.TrimSpace(x.Run("display-message", "-p", "#{alternate_on}")); on != "0" {
		t.Errorf("alternate_on is %s with --plain", on)
	}
	x.Enter("hi alice")
	alice.Says(t, "bob: hi alice")
	x.Enter("/hangup")
	alice.Ends(t, 0)
	x.Enter("still here") // a person may go on, a script's chat ended with the call
	x.Has("there is no call with alice; /call begins one")
	x.Type("C-d")
	x.Shows("the end", func(rows []string) bool { return strings.Contains(strings.Join(rows, "\n"), "\nended") })
}
