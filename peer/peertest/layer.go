package peertest

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4/deadline"
)

// layer is one protocol above ICE, as a net.PacketConn.
type layer struct {
	conn  *ice.Conn
	in    chan []byte
	gone  chan struct{}
	close sync.Once
	read  *deadline.Deadline

	mu     sync.Mutex // protects following
	filter func(packet []byte) [][]byte
}

func newLayer(conn *ice.Conn) *layer {
	return &layer{conn: conn, in: make(chan []byte, 1024), gone: make(chan struct{}), read: deadline.New()}
}

// push takes a packet that came; what nobody reads is lost, as on a network.
func (l *layer) push(packet []byte) {
	select {
	case l.in <- bytes.Clone(packet):
	default:
	}
}

// Outgoing changes what goes out: f returns the packets to send in place of one.
func (l *layer) outgoing(f func(packet []byte) [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filter = f
}

func (l *layer) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case packet := <-l.in:
		return copy(p, packet), l.conn.RemoteAddr(), nil
	case <-l.gone:
		return 0, nil, net.ErrClosed
	case <-l.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (l *layer) WriteTo(p []byte, _ net.Addr) (int, error) {
	l.mu.Lock()
	filter := l.filter
	l.mu.Unlock()
	packets := [][]byte{p}
	if filter != nil {
		packets = filter(p)
	}
	for _, packet := range packets {
		if _, err := l.conn.Write(packet); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *layer) Close() error {
	l.close.Do(func() { close(l.gone) })
	return nil
}

func (l *layer) LocalAddr() net.Addr               { return l.conn.LocalAddr() }
func (l *layer) SetDeadline(t time.Time) error     { return l.SetReadDeadline(t) }
func (l *layer) SetReadDeadline(t time.Time) error { l.read.Set(t); return nil }
func (l *layer) SetWriteDeadline(time.Time) error  { return nil }
