package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// script plays a conversation between raw WebSocket connections and a server, one step a line:
//
//	alice > TEXT      alice sends TEXT
//	alice < JSON      the next that alice gets means the same as JSON
//	alice = TEXT      the next that alice gets is TEXT to the byte
//	alice has TEXT    the next that alice gets has TEXT in it
//	alice quiet       nothing waits for alice (call dialect: the next she gets is the answer to a question asked now)
//	alice closes      alice closes her connection properly
//	alice vanishes    alice's socket closes without a word
//	alice closed 1003 the server has closed alice's connection with this code
type script struct {
	t     *testing.T
	url   string
	conns map[string]*background
}

const patience = time.Minute // for a step that fails; none that succeeds takes so long

func play(t *testing.T, url, lines string) {
	t.Helper()
	s := newScript(t, url)
	defer s.end()
	s.play(lines)
}

func newScript(t *testing.T, url string) *script {
	return &script{t: t, url: url, conns: make(map[string]*background)}
}

func (s *script) play(lines string) {
	s.t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.step(line); err != nil {
			s.t.Fatalf("%s\n\t%v", line, err)
		}
	}
}

func (s *script) end() {
	for _, ws := range s.conns {
		_ = ws.Close()
	}
}

func (s *script) step(line string) error {
	who, rest, _ := strings.Cut(line, " ")
	verb, text, _ := strings.Cut(rest, " ")
	ws := s.conns[who]
	if ws == nil {
		ws = readInBackground(dialRaw(s.t, s.url))
		s.conns[who] = ws
	}
	switch verb {
	case ">":
		err := ws.WriteMessage(websocket.TextMessage, []byte(text))
		if errors.Is(err, websocket.ErrCloseSent) { // the server has closed already; the next step looks at that
			err = nil
		}
		return err
	case "<":
		return means(ws, text)
	case "=":
		return reads(ws, text)
	case "has":
		_, got, err := ws.ReadMessage()
		if err == nil && !strings.Contains(string(got), text) {
			err = fmt.Errorf("got %s", got)
		}
		return err
	case "quiet":
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"anything else?"}`)); err != nil {
			return err
		}
		return means(ws, `{"type":"error","message":"Command not found: anything else?","code":"unknown_type"}`)
	case "closes":
		delete(s.conns, who)
		return shake(ws)
	case "vanishes":
		delete(s.conns, who)
		return ws.Close()
	case "closed":
		delete(s.conns, who)
		defer ws.Close()
		code, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		return closedWith(ws, code)
	}
	return fmt.Errorf("no such step: %q", verb)
}

func dialRaw(t testing.TB, url string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatalf("dialing %s: %v", url, err)
	}
	return ws
}

// rawClient is a WebSocket connection of a test.
type rawClient interface {
	ReadMessage() (kind int, frame []byte, err error)
	WriteMessage(kind int, frame []byte) error
	WriteControl(kind int, frame []byte, deadline time.Time) error
	SetReadDeadline(time.Time) error
	Close() error
}

// background is a raw client that reads all the time, so that it answers pings.
type background struct {
	*websocket.Conn
	read chan received
}

type received struct {
	kind  int
	frame []byte
	err   error
}

func readInBackground(ws *websocket.Conn) *background {
	b := &background{ws, make(chan received, 1<<10)}
	go func() {
		for {
			kind, frame, err := ws.ReadMessage()
			b.read <- received{kind, frame, err}
			if err != nil {
				return
			}
		}
	}()
	return b
}

// SetReadDeadline does nothing: ReadMessage has a limit of its own.
func (b *background) SetReadDeadline(time.Time) error { return nil }

// ReadMessage returns the next frame that was read.
func (b *background) ReadMessage() (kind int, frame []byte, err error) {
	select {
	case r := <-b.read:
		return r.kind, r.frame, r.err
	case <-time.After(patience):
		return 0, nil, errors.New("nothing has come")
	}
}

func means(ws rawClient, want string) error {
	_, got, err := ws.ReadMessage()
	if err != nil {
		return err
	}
	var g, w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return fmt.Errorf("the script: %w", err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		return fmt.Errorf("got %q: %w", got, err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		return fmt.Errorf("got %s\n%s", got, diff)
	}
	return nil
}

func reads(ws rawClient, want string) error {
	_, got, err := ws.ReadMessage()
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

// shake closes with the handshake of RFC 6455, 7.1.
func shake(ws rawClient) error {
	defer ws.Close()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience)); err != nil {
		return err
	}
	return closedWith(ws, websocket.CloseNormalClosure)
}

func closedWith(ws rawClient, code int) error {
	for {
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case err == nil:
			continue
		case errors.As(err, &closed) && closed.Code == code:
			return nil
		}
		return fmt.Errorf("instead of a close with %d: %w", code, err)
	}
}

// signIn are the steps that sign these users in.
func signIn(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s > {\"type\":\"login\",\"name\":%q}\n%s < {\"type\":\"login\",\"success\":true}\n", name, name, name)
	}
	return b.String()
}

// talk plays the same lines as a test of its own on a fresh server.
func talk(t *testing.T, options *server.Options, lines string) {
	t.Helper()
	play(t, signaltest.Start(t, options), lines)
}
