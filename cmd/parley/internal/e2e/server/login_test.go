package server

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
)

// serverProcess is `parley serve` with its process, for what it logs.
func serverProcess(t *testing.T, args ...string) (p *e2etest.Process, server string) {
	t.Helper()
	p = e2etest.Start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--verbose"}, args...)...)
	p.Says(t, `signaling on ws://\S+,`)
	_, rest, _ := strings.Cut(p.Err.String(), "signaling on ")
	server, _, _ = strings.Cut(rest, ",")
	return p, server
}

// A token says who may be whom; it is in no log.
func TestTokens(t *testing.T) {
	secret, key := newSecret(t)
	token := func(name, secret string, life time.Duration) string { return newToken(t, name, secret, life) }
	log, server := serverProcess(t, "--auth-jwt", key, "--auth-jwt-audience", "calls")
	good := token("bob", secret, time.Hour)
	bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--token", good)
	bob.Says(t, "waiting for calls")
	for what, bad := range map[string]string{
		"none": "", "another's": token("carol", secret, time.Hour), "an old one": token("alice", secret, -time.Hour), "a false one": token("alice", secret+"!", time.Hour),
	} {
		alice := e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--token", bad)
		if code, err := alice.Wait(); err != nil || code != int(exit.Login) {
			t.Errorf("%s: exit code %d (%v), want %d\n%s", what, code, err, exit.Login, alice.Err)
		}
	}
	alice := e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--token", token("alice", secret, time.Hour), "--expect", "connected")
	alice.Ends(t, 0)
	e2etest.Interrupt(t, bob)
	e2etest.Interrupt(t, log)
	for _, word := range []string{good, strings.Split(good, ".")[2], "eyJ"} {
		if strings.Contains(log.Err.String(), word) {
			t.Errorf("a token is in the log:\n%s", log.Err)
		}
	}
}

// TestLoginWithoutReply logs in to a server that takes connections and replies to nothing.
func TestLoginWithoutReply(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		for err == nil {
			_, _, err = ws.ReadMessage()
		}
	}))
	defer server.Close()
	p := e2etest.Start(t, "answer", "--server", "ws"+strings.TrimPrefix(server.URL, "http"))
	p.Ends(t, int(exit.Signaling))
	if text := p.Err.String(); !strings.Contains(text, "does not answer the login") {
		t.Errorf("the error does not name the cause:\n%s", text)
	}
}

// TestUnavailable calls a user whose server cannot be reached: the call ends at once, with the
// reason.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		for {
			var m struct{ Type string }
			if ws.ReadJSON(&m) != nil {
				return
			}
			switch m.Type {
			case "login":
				err = ws.WriteJSON(map[string]any{"type": "login", "success": true})
			case "offer":
				err = ws.WriteJSON(map[string]any{"type": "error", "code": "unavailable", "name": "bob", "message": "the server of bob is away"})
			}
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	p := e2etest.Start(t, "call", "bob", "--as", "alice", "--timeout", "10m", "--server", "ws"+strings.TrimPrefix(server.URL, "http"))
	p.Ends(t, int(exit.Signaling))
	if text := p.Err.String(); !strings.Contains(text, "bob cannot be called: the signaling server says: the server of bob is away") {
		t.Errorf("the error does not name the cause:\n%s", text)
	}
}

// newSecret makes one that signs tokens, and the file that it is in.
func newSecret(t *testing.T) (secret, file string) {
	t.Helper()
	secret, file = strings.Repeat("secret-of-the-test", 2), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return secret, file
}

func newToken(t *testing.T, name, secret string, life time.Duration) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": name, "exp": time.Now().Add(life).Unix(), "aud": "calls"}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A page gets its token behind the # of its address.
func TestTabToken(t *testing.T) {
	secret, key := newSecret(t)
	page, _, _ := e2etest.ServeEvents(t, "--auth-jwt", key)
	b := e2etest.Browsers().Chromium(t, nil)
	refused := b.Open(page + "/?as=tab")
	refused.Wait(`document.querySelector('#loginPage').innerText.includes('token')`)
	refused.Close()
	tab := b.Open(page + "/?as=tab#token=" + newToken(t, "tab", secret, time.Hour))
	e2etest.Idle(tab)
	tab.NoErrors()
	tab.Close()
}

// A webhook decides, and may give ICE servers; whatever goes wrong with it means no.
func TestWebhook(t *testing.T) {
	var mu sync.Mutex // guards names
	var names []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Name, Token string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		mu.Lock()
		names = append(names, asked.Name)
		mu.Unlock()
		switch asked.Token {
		case "good":
			_, _ = io.WriteString(w, `{"allow":true,"iceServers":[{"urls":["turn:127.0.0.1:9"],"username":"u","credential":"c"}]}`)
		case "bad":
			_, _ = io.WriteString(w, `{"allow":false,"reason":"not today"}`)
		default:
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	}))
	defer hook.Close()
	s, server := serverProcess(t, "--auth-webhook", hook.URL)
	bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--token", "good")
	bob.Says(t, "waiting for calls")
	for _, bad := range []string{"bad", "none"} {
		alice := e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--token", bad)
		if code, err := alice.Wait(); err != nil || code != int(exit.Login) {
			t.Errorf("%s: exit code %d (%v), want %d\n%s", bad, code, err, exit.Login, alice.Err)
		}
		if bad == "bad" && !strings.Contains(alice.Err.String(), "not today") {
			t.Errorf("the reason is not reported: %s", alice.Err)
		}
	}
	// With relays alone it takes what the webhook gave: a TURN server is there, though it does not
	// answer.
	alice := e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--token", "good", "--ice-policy", "relay", "--timeout", "1s")
	if code, err := alice.Wait(); err != nil || strings.Contains(alice.Err.String(), "there is no TURN server") {
		t.Errorf("exit code %d (%v): %s", code, err, alice.Err)
	}
	e2etest.Interrupt(t, bob)
	e2etest.Interrupt(t, s)
	mu.Lock()
	defer mu.Unlock()
	if len(names) != 4 || names[0] != "bob" {
		t.Errorf("it was asked about %q", names)
	}
}

// cutter is a way to a server that can be cut.
type cutter struct {
	net.Listener
	to string

	mu    sync.Mutex // guards conns
	conns []net.Conn
	wait  sync.WaitGroup
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to}
	c.wait.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		c.wait.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		in, err := c.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, in, out)
		c.mu.Unlock()
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			c.wait.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_ = way[0].Close()
				_ = way[1].Close()
			})
		}
	}
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	c.conns = nil
}

// A terminal whose connection breaks comes back; its call goes on, and it can be hung up on.
func TestTerminalComesBack(t *testing.T) {
	_, server, _ := e2etest.ServeEvents(t)
	way := newCutter(t, strings.TrimPrefix(server, "ws://"))
	bob := e2etest.Start(t, "answer", "--server", "ws://"+way.Addr().String(), "--as", "bob", "--output", "ndjson", "--expect", "remote-hangup")
	bob.Says(t, `"event":"login"`)
	alice := e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--output", "ndjson")
	alice.Says(t, `"event":"channel".*"state":"open"`)
	way.cut()
	bob.Says(t, `"state":"lost"`)
	bob.Says(t, `"state":"connected".*"resumed":true`)
	e2etest.Interrupt(t, alice)
	bob.Ends(t, 0)
	if !strings.Contains(alice.Out.String(), `"reason":"local-hangup"`) {
		t.Errorf("alice did not hang up by herself:\n%s", alice.Out)
	}
}
