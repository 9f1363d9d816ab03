package server

import (
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestWheelFindsTheDead turns a wheel by hand: who answers lives, who does not is found within an
// interval and the patience.
func TestWheelFindsTheDead(t *testing.T) {
	w := newWheel(25*time.Second, 10*time.Second)
	alive, dead := &conn{slot: -1}, &conn{slot: -1}
	heard := map[*conn]bool{}
	w.heard = func(c *conn) bool { return heard[c] }
	w.add(alive)
	w.add(dead)
	found, pings := 0, 0
	for tick := 1; tick <= 200; tick++ {
		ping, gone := w.advance()
		for _, c := range ping {
			heard[c] = false
			if c == alive {
				pings++
				heard[c] = true
			}
		}
		for _, c := range gone {
			if c == alive {
				t.Fatal("who answers was found dead")
			}
			if found == 0 {
				found = tick
			}
		}
	}
	if found == 0 || found > 41 {
		t.Errorf("the dead was found after %d seconds", found)
	}
	if pings < 6 || pings > 10 {
		t.Errorf("%d pings in 200 seconds", pings)
	}
}

// TestPongTakesNoServerLock answers a client while the wheel is locked: pongs of one client must
// not contend with all others.
func TestPongTakesNoServerLock(t *testing.T) {
	s := New(nil)
	web := httptest.NewServer(s)
	defer func() { _ = s.Close(); web.Close() }()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ask := func() error {
		_ = ws.SetReadDeadline(time.Now().Add(5 * time.Second))
		if err := ws.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
			return err
		}
		_, _, err := ws.ReadMessage()
		return err
	}
	if err := ask(); err != nil { // the connection is in the wheel
		t.Fatal(err)
	}
	s.wheel.mu.Lock()
	defer s.wheel.mu.Unlock()
	if err := ws.WriteMessage(websocket.PongMessage, nil); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil {
		t.Errorf("after a pong: %v", err)
	}
}

// TestPending lets connections come, sign in and go at random, against a plain list.
func TestPending(t *testing.T) {
	var p pendingConns
	random := rand.New(rand.NewPCG(3, 4))
	var waiting []*conn
	drop := func(c *conn) {
		for i, w := range waiting {
			if w == c {
				waiting = append(waiting[:i], waiting[i+1:]...)
				return
			}
		}
		t.Fatal("somebody was put out who was not there")
	}
	for now := int64(0); now < int64(time.Hour); now += random.Int64N(int64(4 * time.Second)) {
		for _, out := range p.overdue(now, time.Minute) {
			if now-out.since < int64(time.Minute) || out != waiting[0] {
				t.Fatal("put out too early, or not the oldest")
			}
			drop(out)
		}
		if len(waiting) > 0 && now-waiting[0].since >= int64(time.Minute) {
			t.Fatal("not put out in time")
		}
		if random.IntN(3) > 0 {
			c := &conn{slot: -1}
			if out := p.add(c, now, 20); out != nil {
				if len(waiting) != 20 || out != waiting[0] {
					t.Fatal("not the oldest of twenty made room")
				}
				drop(out)
			}
			waiting = append(waiting, c)
		} else if n := len(waiting); n > 0 {
			c := waiting[random.IntN(n)]
			p.remove(c)
			p.remove(c) // twice does no harm
			drop(c)
		}
		if got := p.size(); got != len(waiting) {
			t.Fatalf("got %d connections, want %d", got, len(waiting))
		}
	}
}
