package server

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/cluster"
)

// attachments is a node that notes the sessions of a server.
type attachments struct {
	*cluster.Memory

	mu       sync.Mutex // guards sessions
	sessions []*session
}

func (a *attachments) Attach(r cluster.Receiver) cluster.SessionID {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions = append(a.sessions, r.(*session))
	return a.Memory.Attach(r)
}

// kept returns how many messages the session of a user keeps for that of another.
func (a *attachments) kept(user, peer string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		if s.name == user {
			s.mu.Lock()
			defer s.mu.Unlock()
			after, _ := s.calls[peer].sent.After(0)
			return len(after)
		}
	}
	return -1
}

// TestKeptMessages calls between clients that resume sessions and clients that do not. A server of
// a cluster keeps messages for those that may continue at another node, and no others.
func TestKeptMessages(t *testing.T) {
	for _, resumes := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprint(resumes), func(t *testing.T) {
			node := &attachments{Memory: cluster.NewMemory()}
			s := New(&Options{Cluster: node, Limits: NoLimits()})
			web := httptest.NewServer(s)
			defer func() { _ = s.Close(); web.Close() }()
			names := [2]string{"alice", "bob"}
			var users [2]*websocket.Conn
			say := func(user int, text string) {
				t.Helper()
				if err := users[user].WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			hears := func(user int, text string) {
				t.Helper()
				_ = users[user].SetReadDeadline(time.Now().Add(10 * time.Second))
				for {
					_, frame, err := users[user].ReadMessage()
					if err != nil {
						t.Fatalf("%s does not get %s: %v", names[user], text, err)
					}
					if strings.Contains(string(frame), text) {
						return
					}
				}
			}
			for i, name := range names {
				var err error
				if users[i], _, err = websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http"), nil); err != nil {
					t.Fatal(err)
				}
				defer users[i].Close()
				say(i, fmt.Sprintf(`{"type":"login","name":%q,"resume":%t}`, name, resumes[i]))
				hears(i, `"login"`)
			}
			say(0, `{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":"bob"}`)
			hears(1, `"offer"`)
			say(1, `{"type":"answer","answer":{"type":"answer","sdp":"v=0"},"name":"alice"}`)
			hears(0, `"answer"`)
			const candidates = 3
			for range candidates {
				for i, peer := range []string{"bob", "alice"} {
					say(i, fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"x"},"name":%q}`, peer))
					hears(1-i, `"candidate"`)
				}
			}
			for i, peer := range []string{"bob", "alice"} {
				want := 0
				if resumes[1-i] {
					want = candidates + 1 // with the description
				}
				if got := node.kept(names[i], peer); got != want {
					t.Errorf("%s keeps %d messages for %s, want %d", names[i], got, peer, want)
				}
			}
		})
	}
}
