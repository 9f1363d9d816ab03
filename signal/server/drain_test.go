package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestDrain closes everybody with 1012, spread over the window, and sends no leave.
func TestDrain(t *testing.T) {
	server, url := signaltest.StartServer(t, nil)
	if !server.Ready() {
		t.Error("not ready before the drain")
	}
	const n, window = 40, 400 * time.Millisecond
	type end struct {
		at  time.Duration
		err error
	}
	ends := make(chan end, n)
	var all []*websocket.Conn
	for i := range n {
		ws := dialRaw(t, url)
		defer ws.Close()
		ask(t, ws, map[string]any{"type": "login", "name": fmt.Sprint(i)}, map[string]any{"type": "login", "success": true})
		all = append(all, ws)
	}
	for i := range n / 2 { // in calls with each other
		offer := map[string]any{"type": "offer", "offer": map[string]any{"type": "offer", "sdp": "v=0"}, "name": fmt.Sprint(n - 1 - i)}
		if err := all[i].WriteJSON(offer); err != nil {
			t.Fatal(err)
		}
		hears(t, all[n-1-i], "offer")
	}
	start := time.Now()
	for _, ws := range all {
		go func() {
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			_, frame, err := ws.ReadMessage()
			if err == nil {
				err = fmt.Errorf("heard %s", frame)
			}
			ends <- end{time.Since(start), err}
		}()
	}
	drained := make(chan error, 1)
	go func() { drained <- server.Drain(t.Context(), window) }()
	eventually(t, "not ready any more", func() bool { return !server.Ready() })
	_, resp, err := websocket.DefaultDialer.Dial(url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("in the drain a new connection: %v, %v", resp, err)
	}
	var at []time.Duration
	for range n {
		e := <-ends
		var closed *websocket.CloseError
		if !errors.As(e.err, &closed) || closed.Code != websocket.CloseServiceRestart {
			t.Errorf("got %v", e.err)
		}
		at = append(at, e.at)
	}
	slices.Sort(at)
	if spread := at[n-1] - at[0]; spread < window/3 {
		t.Errorf("%d were closed within %v", n, spread)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestDrainHardLimit has a client that does not go.
func TestDrainHardLimit(t *testing.T) {
	srv, url := signaltest.StartServer(t, nil)
	deaf := dialRaw(t, url)
	defer deaf.Close()
	ask(t, deaf, map[string]any{"type": "login", "name": "deaf"}, map[string]any{"type": "login", "success": true})
	why := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	if err := srv.Drain(ctx, time.Hour); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the connection is cut", func() bool { return srv.Stats() == server.Stats{} })
}

// TestDrainNobody ends at once.
func TestDrainNobody(t *testing.T) {
	server := server.New(nil)
	if err := server.Drain(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

// TestTalkWhileDraining talks, eight messages ahead, while everybody is sent away: what arrives is
// all that was sent up to some moment, in order, and nobody hears of anything but that and 1012.
func TestTalkWhileDraining(t *testing.T) {
	server, url := signaltest.StartServer(t, &server.Options{Limits: server.NoLimits(), MaxQueue: 1 << 30})
	ends := make(chan error, 20)
	var talking []chan struct{}
	for i := range 10 {
		a, b := dialRaw(t, url), dialRaw(t, url)
		defer a.Close()
		defer b.Close()
		one, two := fmt.Sprint("a", i), fmt.Sprint("b", i)
		ask(t, a, map[string]any{"type": "login", "name": one}, map[string]any{"type": "login", "success": true})
		ask(t, b, map[string]any{"type": "login", "name": two}, map[string]any{"type": "login", "success": true})
		offer := map[string]any{"type": "offer", "offer": map[string]any{"type": "offer", "sdp": "v=0"}, "name": two}
		if err := a.WriteJSON(offer); err != nil {
			t.Fatal(err)
		}
		hears(t, b, "offer")
		begun, ahead := make(chan struct{}), make(chan struct{}, 8)
		quit := make(chan struct{})
		talking = append(talking, begun)
		go func() {
			for n := 0; ; n++ {
				select {
				case ahead <- struct{}{}:
				case <-quit: // nobody takes them any more
					return
				}
				if a.WriteMessage(websocket.TextMessage, []byte(candidateNumber(n, `"name":"`+two+`"`))) != nil {
					return // it was sent away
				}
			}
		}()
		for ws, heard := range map[*websocket.Conn]func(n int) string{
			a: func(int) string { return "" },
			b: func(n int) string { return candidateNumber(n, `"name":"`+one+`"`) },
		} {
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			go func() {
				err := sentAway(ws, heard, begun, ahead)
				if ws == b {
					close(quit)
				}
				ends <- err
			}()
		}
	}
	for _, begun := range talking {
		<-begun
	}
	if err := server.Drain(t.Context(), 200*time.Millisecond); err != nil {
		t.Error(err)
	}
	for range cap(ends) {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}

// sentAway reads what heard says, until the close with 1012.
func sentAway(ws *websocket.Conn, heard func(n int) string, begun, ahead chan struct{}) error {
	for n := 0; ; n++ {
		_, frame, err := ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed) && closed.Code == websocket.CloseServiceRestart:
			return nil
		case err != nil:
			return err
		case string(frame) != heard(n):
			return fmt.Errorf("message %d: heard %s", n, frame)
		}
		<-ahead
		if n == 0 {
			close(begun)
		}
	}
}
