//go:build !gorilla

package wsconn

import (
	"net"
	"sync"
	"testing"
	"time"
)

// slowSocket records what is written at once, and the deadlines between.
type slowSocket struct {
	net.Conn
	writes    []int
	deadlines int
}

func (s *slowSocket) Write(p []byte) (int, error) {
	s.writes = append(s.writes, len(p))
	return len(p), nil
}

func (s *slowSocket) SetWriteDeadline(time.Time) error {
	s.deadlines++
	return nil
}

func (s *slowSocket) Close() error { return nil }

// TestSlowWrite writes a long queue. A client that reads it slowly has time for each part of it,
// not for all at once.
func TestSlowWrite(t *testing.T) {
	var goroutines sync.WaitGroup
	socket := &slowSocket{}
	pool := NewPool(Config{MaxMessage: 1 << 20, MaxQueue: 1 << 20, Now: func() int64 { return 1 }, Goroutines: &goroutines})
	c := pool.newConn(socket, nil)
	b := pool.Batch()
	c.Send(b, make([]byte, 1<<19))
	if got := c.Backlog(); got.Waiting < 1<<19 || got.Written != 0 {
		t.Errorf("before the write: got %+v", got)
	}
	b.Release()
	goroutines.Wait()
	for _, n := range socket.writes {
		if n > writeChunk {
			t.Errorf("bytes written with one deadline: got %d, want at most %d", n, writeChunk)
		}
	}
	if socket.deadlines < len(socket.writes) {
		t.Errorf("got %d deadlines for %d writes", socket.deadlines, len(socket.writes))
	}
	if got := c.Backlog(); got.Waiting != 0 || got.Written < 1<<19 {
		t.Errorf("after the write: got %+v", got)
	}
}
