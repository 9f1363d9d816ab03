package server_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

func TestBinaryFrameIsRefused(t *testing.T) {
	ws := dialRaw(t, signalURL(t))
	defer ws.Close()
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"login","name":"alice"}`)); err != nil {
		t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := closedWith(ws, websocket.CloseUnsupportedData); err != nil {
		t.Error(err)
	}
}

// TestBrokenFrames writes bytes that are no WebSocket frame; the server says so (1002) and lives
// on.
func TestBrokenFrames(t *testing.T) {
	url := signalURL(t)
	for name, bytes := range map[string]string{
		"not masked":          "\x81\x02{}",
		"reserved bit":        "\xc1\x80\x00\x00\x00\x00",
		"reserved opcode":     "\x83\x80\x00\x00\x00\x00",
		"continues nothing":   "\x80\x80\x00\x00\x00\x00",
		"fragmented ping":     "\x09\x80\x00\x00\x00\x00",
		"a ping of 126":       "\x89\xfe\x00\x7e\x00\x00\x00\x00",
		"a close with 1005":   "\x88\x82\x00\x00\x00\x00\x03\xed",
		"negative length":     "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"compressed, unasked": "\xc1\x82\x00\x00\x00\x00\x03\x00",
	} {
		t.Run(name, func(t *testing.T) {
			ws := dialRaw(t, url)
			defer ws.Close()
			if _, err := io.WriteString(ws.NetConn(), bytes); err != nil {
				t.Fatal(err)
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			_, _, err := ws.ReadMessage()
			var closed *websocket.CloseError
			if !errors.As(err, &closed) || (closed.Code != websocket.CloseProtocolError && closed.Code != websocket.CloseMessageTooBig) {
				t.Errorf("got %v", err)
			}
		})
	}
	play(t, url, signIn("alice"))
}

// TestFragments sends one message in many frames with a ping between them.
func TestFragments(t *testing.T) {
	ws := dialRaw(t, signalURL(t))
	defer ws.Close()
	pong := make(chan string, 1)
	ws.SetPongHandler(func(data string) error { pong <- data; return nil })
	frames := "\x01\x85\x00\x00\x00\x00{\"typ" + "\x89\x82\x00\x00\x00\x00hi" + "\x00\x85\x00\x00\x00\x00e\":1," + "\x80\x86\x00\x00\x00\x00\"b\":2}"
	if _, err := io.WriteString(ws.NetConn(), frames); err != nil {
		t.Fatal(err)
	}
	if err := means(ws, `{"type":"error","code":"unknown_type","message":"Command not found: 1"}`); err != nil {
		t.Error(err)
	}
	if got := <-pong; got != "hi" {
		t.Errorf("the pong carries %q", got)
	}
}

// TestLoginRace lets two ask for one name at the same time, again and again: exactly one gets it.
func TestLoginRace(t *testing.T) {
	url := signalURL(t)
	ws := [2]*background{readInBackground(dialRaw(t, url)), readInBackground(dialRaw(t, url))}
	defer ws[0].Close()
	defer ws[1].Close()
	for round := range 10000 {
		var success [2]bool
		var both sync.WaitGroup
		for i := range ws {
			both.Go(func() {
				got := exchange(t, ws[i], map[string]any{"type": "login", "name": fmt.Sprint("n", round)})
				success[i] = got["success"] == true
			})
		}
		both.Wait()
		if success[0] == success[1] {
			t.Fatalf("round %d: success is %v", round, success)
		}
	}
}

// TestDeadSocket leaves pings without an answer; the partner learns of the end.
func TestDeadSocket(t *testing.T) {
	url := signaltest.Start(t, &server.Options{PingInterval: 50 * time.Millisecond, PongTimeout: 3 * time.Second})
	dead, alive := dialRaw(t, url), dialRaw(t, url)
	defer dead.Close()
	defer alive.Close()
	ask(t, dead, map[string]any{"type": "login", "name": "dead"}, map[string]any{"type": "login", "success": true})
	ask(t, alive, map[string]any{"type": "login", "name": "alive"}, map[string]any{"type": "login", "success": true})
	pings := make(chan struct{}, 1000)
	answer := alive.PingHandler()
	alive.SetPingHandler(func(data string) error {
		pings <- struct{}{}
		return answer(data)
	})
	offer := map[string]any{"type": "offer", "sdp": "v=0"}
	if err := dead.WriteJSON(map[string]any{"type": "offer", "offer": offer, "name": "alive"}); err != nil {
		t.Fatal(err)
	}
	// Nothing reads dead from here on, so no pong is written; alive answers within ReadJSON.
	_ = alive.SetReadDeadline(time.Now().Add(patience))
	for _, want := range []string{"offer", "leave"} {
		var got map[string]any
		if err := alive.ReadJSON(&got); err != nil {
			t.Fatal(err)
		}
		if got["type"] != want || got["name"] != "dead" {
			t.Fatalf("want %s, got %v", want, got)
		}
	}
	if len(pings) == 0 {
		t.Error("who answers was not pinged")
	}
	barrier(t, alive)
}

// hears reads until a message of that type.
func hears(t *testing.T, ws *websocket.Conn, typ string) {
	t.Helper()
	for {
		var got map[string]any
		if err := ws.ReadJSON(&got); err != nil {
			t.Fatal(err)
		}
		if got["type"] == typ {
			return
		}
	}
}
