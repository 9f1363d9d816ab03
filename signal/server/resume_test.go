package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// returning is a raw client that asks to be able to come back.
type returning struct {
	t      *testing.T
	url    string
	name   string
	ticket string
	ws     *websocket.Conn
}

func newReturning(t *testing.T, url, name string) *returning {
	t.Helper()
	r := &returning{t: t, url: url, name: name}
	r.dial()
	got := exchange(t, r.ws, map[string]any{"type": "login", "name": name, "resume": true})
	r.ticket, _ = got["resume"].(string)
	if got["success"] != true || len(r.ticket) != 54 {
		t.Fatalf("signing in: %v", got)
	}
	return r
}

func (r *returning) dial() {
	r.t.Helper()
	r.ws = dialRaw(r.t, r.url)
	ws := r.ws
	r.t.Cleanup(func() { _ = ws.Close() })
}

// back comes back on a new connection and returns the reply.
func (r *returning) back(ticket string, ack int) map[string]any {
	r.t.Helper()
	r.dial()
	return exchange(r.t, r.ws, map[string]any{"type": "login", "name": r.name, "resume": ticket, "ack": ack})
}

func (r *returning) hears(want string) {
	r.t.Helper()
	_ = r.ws.SetReadDeadline(time.Now().Add(patience))
	if err := means(r.ws, want); err != nil {
		r.t.Errorf("%s instead of %s: %v", r.name, want, err)
	}
}

func (r *returning) says(frame string) {
	r.t.Helper()
	if err := r.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		r.t.Fatal(err)
	}
}

// vanish closes the socket and waits until the server has noticed.
func (r *returning) vanish(server *server.Server) {
	r.t.Helper()
	before := server.Stats().Connections
	_ = r.ws.Close()
	eventually(r.t, "the server notices the loss", func() bool { return server.Stats().Connections < before })
}

func candidateNumber(n int, more string) string {
	return fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"%d"},%s}`, n, more)
}

// TestResume loses the connection in the middle of a call, which goes on.
func TestResume(t *testing.T) {
	server, url := signaltest.StartServer(t, nil)
	alice, bob := newReturning(t, url, "alice"), dialRaw(t, url)
	defer bob.Close()
	bobHears := func(want string) {
		t.Helper()
		_ = bob.SetReadDeadline(time.Now().Add(patience))
		if err := means(bob, want); err != nil {
			t.Error(err)
		}
	}
	bobSays := func(frame string) {
		t.Helper()
		if err := bob.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, bob, map[string]any{"type": "login", "name": "bob"}, map[string]any{"type": "login", "success": true})
	alice.says(`{"type":"offer","offer":` + offerSDP + `,"name":"bob","seq":1,"ack":0}`)
	bobHears(`{"type":"offer","offer":` + offerSDP + `,"name":"alice"}`)
	bobSays(`{"type":"answer","answer":` + answerSDP + `,"name":"alice"}`)
	alice.hears(`{"type":"answer","answer":` + answerSDP + `,"name":"bob","seq":1,"ack":1}`)
	alice.vanish(server)

	bobSays(candidateNumber(2, `"name":"alice"`))
	barrier(t, bob) // bob has received nothing

	// She has got the answer, but says she has not: it is repeated, and what came meanwhile
	// follows.
	if got := alice.back(alice.ticket, 0); got["success"] != true || got["ack"] != 1.0 {
		t.Fatalf("coming back: %v", got)
	}
	alice.hears(`{"type":"answer","answer":` + answerSDP + `,"name":"bob","seq":1,"ack":1}`)
	alice.hears(candidateNumber(2, `"name":"bob","seq":2,"ack":1`))
	// What she repeats is served once.
	alice.says(`{"type":"offer","offer":` + offerSDP + `,"name":"bob","seq":1,"ack":2}`)
	alice.says(candidateNumber(2, `"name":"bob","seq":2,"ack":2`))
	bobHears(candidateNumber(2, `"name":"alice"`))

	// Again, and this time the server has not noticed that the connection is lost.
	before := alice.ws
	if got := alice.back(alice.ticket, 2); got["success"] != true || got["ack"] != 2.0 {
		t.Fatalf("coming back again: %v", got)
	}
	_ = before.SetReadDeadline(time.Now().Add(patience))
	if err := closedWith(before, 4409); err != nil {
		t.Errorf("the connection before: %v", err)
	}
	alice.says(`{"type":"leave","name":"bob","seq":3,"ack":2}`)
	bobHears(`{"type":"leave","name":"alice"}`)

	// A proper close ends the session at once.
	if err := shake(alice.ws); err != nil {
		t.Error(err)
	}
	if got := alice.back(alice.ticket, 2); got["success"] != false || got["code"] != "expired" {
		t.Errorf("coming back to a session that was closed: %v", got)
	}
	if got := exchange(t, alice.ws, map[string]any{"type": "login", "name": "alice", "resume": true}); got["success"] != true {
		t.Errorf("signing in anew on the same connection: %v", got)
	}
}

// TestResumeRelay does the same in the relay dialect.
func TestResumeRelay(t *testing.T) {
	server, url := signaltest.StartServer(t, nil)
	gandalf := &returning{t: t, url: url, name: "Gandalf"}
	gandalf.dial()
	reply := exchange(t, gandalf.ws, map[string]any{"inst": "init", "id": "Gandalf", "reply": true, "resume": true})
	ticket, _ := reply["resume"].(string)
	gandalf.says(`{"inst":"send","peerId":"Gandalf","message":{ },"seq":1,"ack":0}`)
	gandalf.hears(`{"seq":1,"ack":1}`)
	gandalf.vanish(server)
	gandalf.dial()
	got := exchange(t, gandalf.ws, map[string]any{"inst": "init", "id": "Gandalf", "resume": ticket, "ack": 1, "reply": true})
	if got["success"] != true || got["ack"] != 1.0 {
		t.Fatalf("coming back: %v", got)
	}
	gandalf.says(`{"inst":"send","peerId":"Gandalf","message":{"seq":7,"n":1},"seq":2,"ack":1}`)
	_, frame, err := gandalf.ws.ReadMessage()
	if want := `{"seq":7,"n":1,"seq":2,"ack":2}`; err != nil || string(frame) != want {
		t.Errorf("got %s, %v, want %s", frame, err, want)
	}
	// Another login with the id ends the session: at once, and nothing waits for its client any
	// more.
	gandalf.vanish(server)
	other := dialRaw(t, url)
	defer other.Close()
	ask(t, other, map[string]any{"inst": "init", "id": "Gandalf", "reply": true}, map[string]any{"type": "login", "success": true})
	gandalf.dial()
	got = exchange(t, gandalf.ws, map[string]any{"inst": "init", "id": "Gandalf", "resume": ticket, "ack": 2, "reply": true})
	if got["code"] != "expired" {
		t.Errorf("coming back to an id that was taken over: %v", got)
	}
}

// TestResumeRefused tries to come back as somebody else.
func TestResumeRefused(t *testing.T) {
	_, url := signaltest.StartServer(t, nil)
	alice := newReturning(t, url, "alice")
	mallory := &returning{t: t, url: url, name: "alice"}
	wrong := alice.ticket[:53] + map[bool]string{true: "B", false: "A"}[alice.ticket[53] == 'A']
	forged := newReturning(t, url, "x").ticket[:32] + alice.ticket[32:]
	for name, tc := range map[string]struct{ ticket, code string }{
		"none": {"", "expired"}, "short": {alice.ticket[:52], "expired"}, "unknown": {b64(make([]byte, 40)), "expired"},
		"garbage": {"!", "expired"}, "another secret": {forged, "unauthorized"}, "padded": {alice.ticket + "=", "expired"},
	} {
		got := mallory.back(tc.ticket, 0)
		if got["success"] != false || got["code"] != tc.code {
			t.Errorf("with the ticket %s (%s): %v", tc.ticket, name, got)
		}
		if tc.code == "unauthorized" {
			if err := closedWith(mallory.ws, 4401); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if got := mallory.back(wrong, 0); got["success"] == true {
		t.Errorf("a ticket with another last character: %v", got)
	}
	if got := mallory.back(alice.ticket, 5); got["code"] != "expired" {
		t.Errorf("who claims to have got what was never sent: %v", got)
	}
	alice.says(`{"type":"leave","name":"nobody","seq":1,"ack":0}`)
	alice.hears(`{"type":"error","code":"no_call","name":"nobody","message":"there is no call with nobody","seq":1,"ack":1}`)
}

// TestResumeGuessing finds that secrets cannot be tried without end.
func TestResumeGuessing(t *testing.T) {
	_, url := signaltest.StartServer(t, nil)
	alice := newReturning(t, url, "alice")
	mallory := &returning{t: t, url: url, name: "alice"}
	for i := range 11 {
		guess := b64(make([]byte, 24)) + alice.ticket[32:]
		got := mallory.back(guess, 0)
		if want := map[bool]string{true: "unauthorized", false: "throttled"}[i < 10]; got["code"] != want {
			t.Fatalf("guess %d: %v", i, got)
		}
	}
}

// TestResumeExpires waits in vain for a client: then it is as if its connection had closed.
func TestResumeExpires(t *testing.T) {
	server, url := signaltest.StartServer(t, &server.Options{Resume: 20 * time.Millisecond})
	alice, bob := newReturning(t, url, "alice"), dialRaw(t, url)
	defer bob.Close()
	ask(t, bob, map[string]any{"type": "login", "name": "bob"}, map[string]any{"type": "login", "success": true})
	alice.says(`{"type":"offer","offer":` + offerSDP + `,"name":"bob","seq":1}`)
	if err := means(bob, `{"type":"offer","offer":`+offerSDP+`,"name":"alice"}`); err != nil {
		t.Fatal(err)
	}
	alice.vanish(server)
	_ = bob.SetReadDeadline(time.Now().Add(patience))
	if err := means(bob, `{"type":"leave","name":"alice","lost":true}`); err != nil {
		t.Fatal(err)
	}
	if got := alice.back(alice.ticket, 0); got["code"] != "expired" {
		t.Errorf("coming back too late: %v", got)
	}
	ask(t, alice.ws, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
}

// TestResumeOff gives no ticket.
func TestResumeOff(t *testing.T) {
	talk(t, &server.Options{Resume: -1}, `
		alice > {"type":"login","name":"alice","resume":true}
		alice < {"type":"login","success":true}`)
}

// TestResumeTooMuch acknowledges nothing of what it requests itself, until that is more than is
// kept.
func TestResumeTooMuch(t *testing.T) {
	url := signaltest.Start(t, &server.Options{MaxQueue: 16 << 10, Limits: server.NoLimits()})
	alice, bob := newReturning(t, url, "alice"), readInBackground(dialRaw(t, url))
	defer bob.Close()
	ask(t, bob, loginAs("bob"), loggedIn)
	alice.says(offerToBob[:len(offerToBob)-1] + `,"seq":1}`)
	if err := means(bob, offerOfAlice); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		alice.says(unknownType[:len(unknownType)-1] + fmt.Sprintf(`,"seq":%d}`, n+2))
	}
	if err := means(bob, `{"type":"leave","name":"alice"}`); err != nil {
		t.Error(err)
	}
	if got := alice.back(alice.ticket, 0); got["code"] != "expired" {
		t.Errorf("resuming a session that was given up: %v", got)
	}
}

// TestSequence skips a number, or confirms what was never sent.
func TestSequence(t *testing.T) {
	for name, frame := range map[string]string{
		"skipped":   `{"type":"leave","name":"x","seq":2}`,
		"confirmed": `{"type":"ack","ack":1}`,
		"far":       `{"type":"leave","name":"x","seq":9007199254740991}`,
	} {
		t.Run(name, func(t *testing.T) {
			alice := newReturning(t, signalURL(t), "alice")
			alice.says(frame)
			_ = alice.ws.SetReadDeadline(time.Now().Add(patience))
			if err := closedWith(alice.ws, 4400); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRename signs in with another name on a connection that can come back: the numbers and the
// ticket stay.
func TestRename(t *testing.T) {
	server, url := signaltest.StartServer(t, nil)
	alice := newReturning(t, url, "alice")
	alice.says(`{"type":"login","name":"anna","resume":true,"seq":1,"ack":0}`)
	alice.hears(`{"type":"login","success":true,"seq":1,"ack":1}`)
	alice.vanish(server)
	if got := alice.back(alice.ticket, 1); got["success"] != true {
		t.Fatalf("coming back: %v", got)
	}
	if st := server.Stats(); st.Names != 1 {
		t.Errorf("there are %d names", st.Names)
	}
}
