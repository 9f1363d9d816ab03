package turnclient

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A TURN server over TCP that stops reading blocks neither Write nor Close.
func TestStreamDoesNotBlock(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	guard := time.AfterFunc(time.Minute, func() { _ = far.Close() })
	s := newStream(t.Context(), near, nil, nil)
	for range 3 * maxQueue {
		if n, err := s.Write(make([]byte, 1200)); n != 1200 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if !guard.Stop() {
		t.Error("Write or Close waited for the server")
	}
}

// What was written before Close arrives: it ends the allocation.
func TestStreamFlushesOnClose(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := newStream(t.Context(), near, nil, nil)
	s.linger = time.Minute
	received := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, _ := far.Read(buffer)
		received <- string(buffer[:n])
	}()
	if _, err := s.Write([]byte("farewell")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = far.SetReadDeadline(time.Now().Add(time.Minute))
	if got := <-received; got != "farewell" {
		t.Errorf("the server received %q, want what was written before Close", got)
	}
}
