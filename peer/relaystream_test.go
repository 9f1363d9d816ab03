package peer

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A TURN server that is reached over TCP and takes nothing any more holds up
// neither who writes to it nor who closes it.
func TestARelayStreamDoesNotWait(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	guard := time.AfterFunc(time.Minute, func() { _ = far.Close() })
	s := newRelayStream(near, nil)
	for range 3 * mostWritten {
		if n, err := s.Write(make([]byte, 1200)); n != 1200 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a stream that is closed says %v", err)
	}
	if !guard.Stop() {
		t.Error("the other end had to give up first")
	}
}

// What was written before the stream is closed arrives: it gives the relay back.
func TestARelayStreamEndsWithItsLastWords(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := newRelayStream(near, nil)
	s.last = time.Minute
	heard := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, _ := far.Read(buffer)
		heard <- string(buffer[:n])
	}()
	if _, err := s.Write([]byte("farewell")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = far.SetReadDeadline(time.Now().Add(time.Minute))
	if got := <-heard; got != "farewell" {
		t.Errorf("the other end heard %q", got)
	}
}
