package client_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/client"
)

// puppet is a server that does what the test says with its only connection.
func puppet(t *testing.T, act func(ws *websocket.Conn)) (url string) {
	t.Helper()
	done := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		act(ws)
	}))
	t.Cleanup(func() { <-done; web.Close() })
	return "ws" + strings.TrimPrefix(web.URL, "http")
}

func say(t *testing.T, ws *websocket.Conn, frames ...string) {
	for _, frame := range frames {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			t.Error(err)
		}
	}
}

// TestHostileServer sends what a client must ignore, then one message that it must not.
func TestHostileServer(t *testing.T) {
	for dialect, frames := range map[signal.Dialect][]string{
		signal.DialectCall: {
			`{"type":"offer","name":"a"}`,
			`{"type":"offer","offer":"v=0","name":"a"}`,
			`{"type":"offer","offer":{"sdp":7},"name":"a"}`,
			`{"type":"offer","offer":{"sdp":""},"name":"a"}`,
			`{"type":"offer","offer":{"SDP":"v=0"},"name":"a"}`,
			`{"TYPE":"offer","offer":{"sdp":"v=0"},"name":"a"}`,
			`{"type":"offer","offer":{"sdp":"v=0"},"name":"\u001b[2J"}`,
			`{"type":"offer","offer":{"sdp":"v=0"},"name":5}`,
			`{"type":"offer","offer":{"sdp":"` + strings.Repeat("x", 96<<10+1) + `"},"name":"a"}`,
			`{"type":"candidate","candidate":7}`,
			`{"type":"candidate","candidate":"candidate:1"}`,
			`{"type":"candidate","candidate":{"candidate":"x","sdpMLineIndex":-1}}`,
			`{"type":"candidate","candidate":{"candidate":"x","sdpMLineIndex":65536}}`,
			`{"type":"candidate","candidate":{"candidate":"x","sdpMLineIndex":"0"}}`,
			`{"type":"candidate","candidate":{"candidate":"x","sdpMid":0}}`,
			`{"type":"candidate","candidate":{"candidate":"` + strings.Repeat("x", 2049) + `"}}`,
			`{"type":"login","success":true}`,
			`{"type":"presence","name":"a"}`,
		},
		signal.DialectRelay: {
			`{"type":"offer"}`,
			`{"type":"offer","sdp":["v=0"]}`,
			`{"sdp":"v=0"}`,
			`{"candidate":[]}`,
			`{"inst":"send","message":{"type":"offer","sdp":"v=0"}}`,
		},
	} {
		common := []string{"Hello world", "", "null", "[]", `"offer"`, "{", "{}", `{"type":null}`, strings.Repeat("[", 1<<16), strings.Repeat("x", 1<<20),
			"\xff\xfe", `{"type":"error","message":"` + "\xff" + `"}`}
		t.Run(string(dialect), func(t *testing.T) {
			over := make(chan struct{})
			url := puppet(t, func(ws *websocket.Conn) {
				say(t, ws, append(common, frames...)...)
				_ = ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"leave"}`))
				say(t, ws, `{"type":"error","message":"`+strings.Repeat("\u202e", 2000)+`","code":7}`)
				<-over
			})
			defer close(over)
			c, err := client.Dial(wait(t), url, &client.Options{Dialect: dialect})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			receive(t, c, signal.Message{Type: signal.Error, Text: strings.Repeat("\ufffd", 1024/3)})
		})
	}
}

// TestEndOfCandidates takes the end in every form that browsers and servers give it.
func TestEndOfCandidates(t *testing.T) {
	for dialect, frames := range map[signal.Dialect][]string{
		signal.DialectCall: {`{"type":"candidate"}`, `{"type":"candidate","candidate":null}`, `{"type":"candidate","candidate":""}`,
			`{"type":"candidate","candidate":{"candidate":"","sdpMid":"0","sdpMLineIndex":0}}`},
		signal.DialectRelay: {`{"candidate":null}`, `{"candidate":""}`, `{"candidate":{"candidate":"","sdpMid":"0"}}`},
	} {
		over := make(chan struct{})
		url := puppet(t, func(ws *websocket.Conn) { say(t, ws, frames...); <-over })
		c, err := client.Dial(wait(t), url, &client.Options{Dialect: dialect})
		if err != nil {
			t.Fatal(err)
		}
		for range frames {
			receive(t, c, signal.Message{Type: signal.ICECandidate})
		}
		close(over)
		_ = c.Close()
	}
}

// TestLost ends connections in the ways servers end them.
func TestLost(t *testing.T) {
	closeFrame := func(code int, reason string) func(*websocket.Conn) {
		return func(ws *websocket.Conn) {
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
			_, _, _ = ws.ReadMessage()
		}
	}
	for name, tc := range map[string]struct {
		act  func(*websocket.Conn)
		code int
		text string
	}{
		"restart":   {closeFrame(1012, "back in a minute"), 1012, "lost: back in a minute (1012)"},
		"away":      {closeFrame(1001, ""), 1001, "the server is shutting down"},
		"raw text":  {closeFrame(1008, "\x1b[31m"), 1008, "\ufffd[31m"},
		"no reason": {closeFrame(1011, ""), 1011, "with code 1011"},
		"broken":    {func(*websocket.Conn) {}, 1006, "it broke off"},
		"silent": {func(ws *websocket.Conn) { // reads nothing, so answers no ping
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			_, _ = io.Copy(io.Discard, ws.NetConn())
		}, 1006, "nothing was heard from it in time"},
		"too long": {func(ws *websocket.Conn) {
			_, _ = ws.NetConn().Write([]byte("\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff"))
			_, _ = io.Copy(io.Discard, ws.NetConn())
		}, 1009, "more than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.Dial(wait(t), puppet(t, tc.act), &client.Options{PingInterval: 50 * time.Millisecond, PongTimeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Receive(wait(t))
			var lost *client.LostError
			if !errors.As(err, &lost) || lost.Code != tc.code || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestReceiveAfterTheEnd takes what came before a connection was lost, and then why it was.
func TestReceiveAfterTheEnd(t *testing.T) {
	c, err := client.Dial(wait(t), puppet(t, func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		for range 20 {
			say(t, ws, `{"type":"leave"}`)
		}
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lost *client.LostError
	if err := c.Login(wait(t), "alice"); !errors.As(err, &lost) { // returns when the connection is lost
		t.Fatalf("Login: %v", err)
	}
	for range 20 {
		receive(t, c, signal.Message{Type: signal.Leave})
	}
	if _, err := c.Receive(wait(t)); !errors.As(err, &lost) {
		t.Errorf("Receive: %v", err)
	}
}

// TestStaleLoginReply gives up a login; its late reply is not taken for that of the next.
func TestStaleLoginReply(t *testing.T) {
	first, over := make(chan struct{}), make(chan struct{})
	c, err := client.Dial(wait(t), puppet(t, func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		close(first)
		_, _, _ = ws.ReadMessage()
		say(t, ws, `{"type":"login","success":true}`, `{"type":"login","success":false,"code":"later","message":"no\u0007 more"}`)
		<-over
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-first; cancel() }()
	if err := c.Login(ctx, "one"); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first login: %v", err)
	}
	var refused *client.LoginError
	err = c.Login(wait(t), "two")
	if !errors.As(err, &refused) || *refused != (client.LoginError{Name: "two", Code: "later", Message: "no\ufffd more"}) {
		t.Errorf("the second login: %v", err)
	}
}

// TestUnaskedCompression refuses a server that switches on what was not offered: its frames could
// unpack without bound.
func TestUnaskedCompression(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := http.Header{"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}}
		up := websocket.Upgrader{EnableCompression: true}
		r.Header.Set("Sec-WebSocket-Extensions", header.Get("Sec-Websocket-Extensions"))
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = ws.Close()
	}))
	defer web.Close()
	_, err := client.Dial(wait(t), web.URL, nil)
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "compression") {
		t.Errorf("got %v", err)
	}
}

// TestClientLog: the log says why frames are ignored, and nothing of their content.
func TestClientLog(t *testing.T) {
	var log strings.Builder
	c, err := client.Dial(wait(t), puppet(t, func(ws *websocket.Conn) { say(t, ws, "Hello world") }),
		&client.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(wait(t)); err == nil {
		t.Error("the greeting was received")
	}
	_ = c.Close()
	if !strings.Contains(log.String(), "it is of no known type") || strings.Contains(log.String(), "Hello") {
		t.Errorf("the log says %q", log.String())
	}
}
