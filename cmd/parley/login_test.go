package main

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

	"parley/cmd/parley/internal/exit"
)

// serverProcess is `parley serve` with its process, for what it logs.
func serverProcess(t *testing.T, args ...string) (p *process, server string) {
	t.Helper()
	p = terminal(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--verbose"}, args...)...)
	p.says(t, `signaling on ws://\S+,`)
	_, rest, _ := strings.Cut(p.err.String(), "signaling on ")
	server, _, _ = strings.Cut(rest, ",")
	return p, server
}

// A token says who may be whom; it is in no log.
func TestTokens(t *testing.T) {
	secret, key := newSecret(t)
	token := func(name, secret string, life time.Duration) string { return newToken(t, name, secret, life) }
	log, server := serverProcess(t, "--auth-jwt", key, "--auth-jwt-audience", "calls")
	good := token("bob", secret, time.Hour)
	bob := terminal(t, "answer", "--server", server, "--as", "bob", "--token", good)
	bob.says(t, "waiting for calls")
	for what, bad := range map[string]string{
		"none": "", "another's": token("carol", secret, time.Hour), "an old one": token("alice", secret, -time.Hour), "a false one": token("alice", secret+"!", time.Hour),
	} {
		alice := terminal(t, "call", "bob", "--server", server, "--as", "alice", "--token", bad)
		if code, err := alice.wait(); err != nil || code != int(exit.Login) {
			t.Errorf("%s: exit code %d (%v), want %d\n%s", what, code, err, exit.Login, alice.err)
		}
	}
	alice := terminal(t, "call", "bob", "--server", server, "--as", "alice", "--token", token("alice", secret, time.Hour), "--expect", "connected")
	alice.ends(t, 0)
	interruptProcess(t, bob)
	interruptProcess(t, log)
	for _, word := range []string{good, strings.Split(good, ".")[2], "eyJ"} {
		if strings.Contains(log.err.String(), word) {
			t.Errorf("a token is in the log:\n%s", log.err)
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
	p := terminal(t, "answer", "--server", "ws"+strings.TrimPrefix(server.URL, "http"))
	p.ends(t, int(exit.Signaling))
	if text := p.err.String(); !strings.Contains(text, "does not answer the login") {
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
	page, _, _ := servingWith(t, "--auth-jwt", key)
	b := browsers().Chromium(t, nil)
	refused := b.Open(page + "/?as=tab")
	refused.Wait(`document.querySelector('#loginPage').innerText.includes('token')`)
	refused.Close()
	tab := b.Open(page + "/?as=tab#token=" + newToken(t, "tab", secret, time.Hour))
	idle(tab)
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
	bob := terminal(t, "answer", "--server", server, "--as", "bob", "--token", "good")
	bob.says(t, "waiting for calls")
	for _, bad := range []string{"bad", "none"} {
		alice := terminal(t, "call", "bob", "--server", server, "--as", "alice", "--token", bad)
		if code, err := alice.wait(); err != nil || code != int(exit.Login) {
			t.Errorf("%s: exit code %d (%v), want %d\n%s", bad, code, err, exit.Login, alice.err)
		}
		if bad == "bad" && !strings.Contains(alice.err.String(), "not today") {
			t.Errorf("the reason is not reported: %s", alice.err)
		}
	}
	// With relays alone it takes what the webhook gave: a TURN server is there, though it does not answer.
	alice := terminal(t, "call", "bob", "--server", server, "--as", "alice", "--token", "good", "--ice-policy", "relay", "--timeout", "1s")
	if code, err := alice.wait(); err != nil || strings.Contains(alice.err.String(), "there is no TURN server") {
		t.Errorf("exit code %d (%v): %s", code, err, alice.err)
	}
	interruptProcess(t, bob)
	interruptProcess(t, s)
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
	_, server, _ := servingWith(t)
	way := newCutter(t, strings.TrimPrefix(server, "ws://"))
	bob := terminal(t, "answer", "--server", "ws://"+way.Addr().String(), "--as", "bob", "--output", "ndjson", "--expect", "leave")
	bob.says(t, `"event":"login"`)
	alice := terminal(t, "call", "bob", "--server", server, "--as", "alice", "--output", "ndjson")
	alice.says(t, `"event":"channel".*"state":"open"`)
	way.cut()
	bob.says(t, `"state":"lost"`)
	bob.says(t, `"state":"connected".*"resumed":true`)
	interruptProcess(t, alice)
	bob.ends(t, 0)
	if !strings.Contains(alice.out.String(), `"reason":"left"`) {
		t.Errorf("alice did not hang up by herself:\n%s", alice.out)
	}
}
