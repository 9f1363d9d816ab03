//go:build !gorilla

package wsconn_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/internal/wsconn"
)

// TestMeter counts the frames that are metered.
func TestMeter(t *testing.T) {
	large := strings.Repeat("*", wsconn.SmallFragment)
	for name, tc := range map[string]struct {
		send []byte
		want int64
	}{
		"text":                      {frame(text, "{}"), 0},
		"ping":                      {frame(ping, ""), 1},
		"pongs that answer nothing": {join(frame(pong, ""), frame(pong, "")), 2},
		"small fragments":           {fragments("a", "b", "c"), 2},
		"empty fragments":           {fragments("", "", "", ""), 3},
		"large fragments":           {fragments(large, large, "c"), 0},
		"a fragment of 511 bytes":   {fragments(large[1:], large), 1},
		"an empty last fragment":    {fragments(large, ""), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var metered atomic.Int64
			s := startServer(t, false, func(h *handler) { h.meter = func() error { metered.Add(1); return nil } })
			c := s.dial(t)
			c.send(append(tc.send, closeWith(1000, "")...))
			c.end()
			if got := metered.Load(); got != tc.want {
				t.Errorf("got %d metered frames, want %d", got, tc.want)
			}
		})
	}
}

// TestMeterEndsConnection returns an error for the third metered frame.
func TestMeterEndsConnection(t *testing.T) {
	tooMany := &wsconn.ProtocolError{Code: 4429, Reason: "too many"}
	for name, send := range map[string][]byte{
		"pings":     slices.Concat(slices.Repeat([][]byte{frame(ping, "")}, 1000)...),
		"pongs":     slices.Concat(slices.Repeat([][]byte{frame(pong, "")}, 1000)...),
		"fragments": fragments(slices.Repeat([]string{"*"}, 1000)...),
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := startServer(t, false, func(h *handler) {
				metered := 0
				h.meter = func() error {
					if metered++; metered == 3 {
						return tooMany
					}
					return nil
				}
				h.end = func(err error) { ended <- err }
			})
			c := s.dial(t)
			c.send(send)
			if code := c.end(); code != 4429 {
				t.Errorf("got the close code %d, want 4429", code)
			}
			if err := <-ended; !errors.Is(err, tooMany) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestPingPong measures the round-trip time of a ping, and meters a second pong.
func TestPingPong(t *testing.T) {
	rtts := make(chan time.Duration, 10)
	metered := make(chan bool, 10)
	conns := make(chan *wsconn.Conn, 1)
	s := startServer(t, false, func(h *handler) {
		h.pong = func(rtt time.Duration) { rtts <- rtt }
		h.meter = func() error { metered <- true; return nil }
		conns <- h.conn
	})
	c := s.dial(t)
	conn := <-conns
	b := s.pool.Batch()
	conn.Ping(b)
	b.Release()
	if conn.Heard() {
		t.Error("something was heard since the ping")
	}
	if r, err := c.receive(); err != nil || r.opcode != 0x9 {
		t.Fatalf("got %+v, %v, want a ping", r, err)
	}
	c.send(join(frame(pong, ""), frame(pong, "")))
	if rtt := <-rtts; rtt <= 0 || rtt > patience {
		t.Errorf("got a round-trip time of %v", rtt)
	}
	<-metered
	if !conn.Heard() {
		t.Error("nothing was heard since the ping")
	}
	c.send(closeWith(1000, ""))
	c.end()
	if len(rtts) > 0 || len(metered) > 0 {
		t.Errorf("got %d more round-trip times and %d more metered frames", len(rtts), len(metered))
	}
}

// TestSlowClient fills the queue of a client that reads nothing.
func TestSlowClient(t *testing.T) {
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			conns := make(chan *wsconn.Conn, 1)
			s := startServer(t, secure, func(h *handler) {
				h.end = func(err error) { ended <- err }
				conns <- h.conn
			})
			s.dial(t)
			conn, data := <-conns, make([]byte, maxMessage)
			for deadline := time.Now().Add(patience); ; {
				b := s.pool.Batch()
				conn.Send(b, data)
				b.Release()
				select {
				case err := <-ended:
					if !errors.Is(err, wsconn.ErrSlow) {
						t.Errorf("ended with %v, want ErrSlow", err)
					}
					return
				default:
				}
				if time.Now().After(deadline) {
					t.Fatal("the connection goes on")
				}
			}
		})
	}
}

// TestServerCloses closes from the server, behind what is queued.
func TestServerCloses(t *testing.T) {
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := startServer(t, secure, func(h *handler) {
				h.end = func(err error) { ended <- err }
				b := h.batch()
				h.conn.Send(b, []byte("last words"))
				if !h.conn.Close(b, websocket.CloseServiceRestart, "restart") || h.conn.Close(b, websocket.CloseGoingAway, "") {
					t.Error("Close does not report that it queued the first frame only")
				}
				h.conn.Send(b, []byte("too late"))
				b.Release()
			})
			c := s.dial(t)
			if r, err := c.receive(); err != nil || r.payload != "last words" {
				t.Fatalf("got %+v, %v", r, err)
			}
			if code := c.end(); code != websocket.CloseServiceRestart {
				t.Errorf("got the close code %d, want 1012", code)
			}
			var closed *websocket.CloseError
			if err := <-ended; !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
				t.Errorf("ended with %v, want the client's 1000", err)
			}
		})
	}
}

// TestMessageTimeout ends a client that does not complete a message.
func TestMessageTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		secure bool
		send   []byte
	}{
		"TCP, in a frame":          {false, frame(text, "{}")[:7]},
		"TLS, in a frame":          {true, frame(text, "{}")[:7]},
		"TCP, between fragments":   {false, frame(textStart, "{")},
		"TLS, between fragments":   {true, frame(textStart, "{")},
		"TLS, in the first header": {true, frame(text, "{}")[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := startServerWith(t, tc.secure, 50*time.Millisecond, func(h *handler) { h.end = func(err error) { ended <- err } })
			c := s.dial(t)
			c.send(frame(text, "complete"))
			if r, err := c.receive(); err != nil || r.payload != "complete" {
				t.Fatalf("got %+v, %v", r, err)
			}
			c.send(tc.send)
			var timeout interface{ Timeout() bool }
			if err := <-ended; !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("ended with %v, want a timeout", err)
			}
		})
	}
}
