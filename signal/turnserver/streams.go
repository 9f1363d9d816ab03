package turnserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// greetWait bounds the time from the connection to its first whole message, the TLS handshake within it.
	greetWait = 10 * time.Second
	// idleWait is how long a stream may say nothing. A client refreshes its allocation at least that often: pion/turn's lifetime is 10
	// minutes, and one that asks for more gets an hour.
	idleWait = 61 * time.Minute
	// streamWriteWait bounds a write to a client that does not read.
	streamWriteWait = 10 * time.Second
)

// streams is a listener for TCP and TLS on one port, which hands pion/turn connections whose handshake is over and whose messages
// are whole. pion/turn itself serves no more after a failed Accept, leaves connections open when it is closed and when
// their handshake fails, and spins on a header that announces 65516 bytes.
type streams struct {
	net.Listener
	tls   *tls.Config
	most  int
	count *counters
	log   *slog.Logger

	ready chan net.Conn
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	work  sync.WaitGroup // accepting, greeting
	wait  sync.WaitGroup // connections that pion/turn has

	mu   sync.Mutex // guards what follows
	open map[*stream]struct{}
}

func newStreams(l net.Listener, opts *Options, count *counters) *streams {
	s := &streams{
		Listener: l, tls: opts.TLS, most: opts.MaxStreams, count: count, log: opts.Logger,
		ready: make(chan net.Conn), open: map[*stream]struct{}{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s
}

// Accept returns the next connection, until Close.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and every connection.
func (s *streams) Close() error {
	s.stop()
	err := s.Listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.raw.Close()
	}
	return err
}

// await waits, after Close, until nobody uses a connection.
func (s *streams) await() {
	s.work.Wait()
	s.wait.Wait()
}

// accept takes connections until the listener is closed. Other errors pass: of a client that is gone already, or of a
// process without free file descriptors.
func (s *streams) accept() {
	for {
		c, err := s.Listener.Accept()
		switch {
		case err == nil:
			s.greet(c)
		case s.ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return
		default:
			s.log.Warn("a connection to the relay was not accepted", slog.String("error", err.Error()))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// greet takes a connection in, unless there are too many.
func (s *streams) greet(c net.Conn) {
	if s.count.streams.Add(1) > int64(s.most) {
		s.count.refused(ReasonFull)
		s.count.streams.Add(-1)
		_ = c.Close()
		return
	}
	t := &stream{Conn: c, raw: c, streams: s}
	if !s.add(t) {
		return
	}
	s.work.Go(func() {
		if err := t.greet(s.ctx); err != nil {
			s.log.Debug("a connection to the relay ended early", slog.String("error", err.Error()))
			t.leave()
			return
		}
		s.wait.Add(1)
		select {
		case s.ready <- t:
		case <-s.ctx.Done():
			_ = t.Close()
		}
	})
}

// add notes an open connection, or closes it if there shall be none.
func (s *streams) add(t *stream) bool {
	s.mu.Lock()
	s.open[t] = struct{}{}
	s.mu.Unlock()
	if s.ctx.Err() != nil {
		t.leave()
		return false
	}
	return true
}

// stream is one connection of a client.
type stream struct {
	net.Conn // TLS, once that is known
	raw      net.Conn
	streams  *streams
	read     *bufio.Reader
	pending  []byte // the first message, which greet has read
	closing  sync.Once
}

// greet finds out if the client speaks TLS, and waits for its first message.
func (t *stream) greet(ctx context.Context) error {
	_ = t.Conn.SetDeadline(time.Now().Add(greetWait))
	plain := bufio.NewReaderSize(t.Conn, frameBuffer)
	first, err := plain.Peek(1)
	if err != nil {
		return err
	}
	t.read = plain
	if isTLS(first[0]) {
		if err := t.secure(ctx, plain); err != nil {
			return err
		}
	}
	t.pending, err = readFrame(t.read)
	_ = t.Conn.SetDeadline(time.Time{})
	return err
}

func (t *stream) secure(ctx context.Context, plain *bufio.Reader) error {
	if t.streams.tls == nil {
		return errors.New("it speaks TLS, and there is no certificate")
	}
	secured := tls.Server(peeked{t.Conn, plain}, t.streams.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	t.Conn, t.read = secured, bufio.NewReaderSize(secured, frameBuffer)
	return nil
}

// Read returns exactly one message, which pion/turn then has no more to look for.
func (t *stream) Read(b []byte) (int, error) {
	frame := t.pending
	t.pending = nil
	if frame == nil {
		var err error
		_ = t.Conn.SetReadDeadline(time.Now().Add(idleWait))
		if frame, err = readFrame(t.read); err != nil {
			return 0, err
		}
	}
	return copy(b, frame), nil
}

// Write writes one message. A client that does not read loses its connection, for half a message is the end of the stream.
func (t *stream) Write(b []byte) (int, error) {
	_ = t.Conn.SetWriteDeadline(time.Now().Add(streamWriteWait))
	n, err := t.Conn.Write(b)
	if err != nil {
		_ = t.Conn.Close()
	}
	return n, err
}

// Close is what pion/turn calls last, when it serves the connection no more.
func (t *stream) Close() error {
	t.closing.Do(func() {
		t.leave()
		t.streams.wait.Done()
	})
	return nil
}

// leave closes the connection and forgets it.
func (t *stream) leave() {
	_ = t.Conn.Close()
	t.streams.mu.Lock()
	delete(t.streams.open, t)
	t.streams.mu.Unlock()
	t.streams.count.streams.Add(-1)
}

// peeked is a connection of which something was read already.
type peeked struct {
	net.Conn
	read *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.read.Read(b) }
