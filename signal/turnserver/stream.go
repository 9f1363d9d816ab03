package turnserver

import (
	"bufio"
	"container/list"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"parley/signal/internal/ratelimit"
)

const (
	// handshakeTimeout bounds the time from the connection to its first whole message, including
	// the TLS handshake.
	handshakeTimeout = 10 * time.Second
	// writeTimeout bounds a write to a client that does not read.
	writeTimeout = 10 * time.Second
)

// streamListener accepts TCP and TLS on one port and hands pion/turn streams whose handshake is
// done and whose Read returns whole messages. By itself pion/turn stops serving after a failed
// Accept, leaves connections open when it is closed or a handshake fails, and loops for ever on a
// header that announces 65516 bytes.
type streamListener struct {
	net.Listener
	server  *Server
	clients *clientTable

	ready   chan net.Conn
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	pending sync.WaitGroup // accept loop and handshakes
	serving sync.WaitGroup // streams that pion/turn serves

	mu   sync.Mutex                 // guards open, and orders the changes of read deadlines
	open map[netip.AddrPort]*stream // by client address
}

// newStreamListener starts to accept connections. Close and wait stop it.
func newStreamListener(l net.Listener, server *Server, clients *clientTable) *streamListener {
	s := &streamListener{
		Listener: l, server: server, clients: clients,
		ready: make(chan net.Conn), open: map[netip.AddrPort]*stream{},
	}
	clients.changed = s.updateDeadline
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.pending.Go(s.acceptLoop)
	return s
}

// Accept returns the next stream, until Close.
func (s *streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and all streams.
func (s *streamListener) Close() error {
	s.cancel()
	err := s.Listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.open {
		_ = t.raw.Close()
	}
	return err
}

// wait waits, after Close, until no stream is in use.
func (s *streamListener) wait() {
	s.pending.Wait()
	s.serving.Wait()
}

// acceptLoop accepts connections until the listener is closed. Other errors are temporary: the
// client is gone already, or the process has no free file descriptor.
func (s *streamListener) acceptLoop() {
	for {
		c, err := s.Listener.Accept()
		switch {
		case err == nil:
			s.admit(c)
		case s.ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return
		default:
			s.server.log.Warn("failed to accept a TURN connection", slog.String("error", err.Error()))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// admit starts the handshake of a connection, or closes it if there are too many.
func (s *streamListener) admit(c net.Conn) {
	client := addrPortOf(c.RemoteAddr())
	t := &stream{Conn: c, raw: c, listener: s, client: client, prefix: ratelimit.ClientPrefix(client.Addr())}
	if !s.server.takeRequest(client.Addr()) || !s.server.streams.add(t) {
		_ = c.Close()
		return
	}
	t.deadline = time.Now().Add(s.server.opts.StreamTimeout)
	if !s.add(t) {
		return
	}
	s.pending.Go(func() {
		if err := t.handshake(s.ctx); err != nil {
			s.server.log.Debug("TURN connection closed during the handshake", slog.String("error", err.Error()))
			t.remove()
			return
		}
		s.serving.Add(1)
		select {
		case s.ready <- t:
		case <-s.ctx.Done():
			_ = t.Close()
		}
	})
}

// add registers a stream. After Close it closes the stream and returns false, as it does if the
// client has a stream to another address of the server from the same port: clients are
// distinguished by their address. A stream to the same address has ended, and is replaced.
func (s *streamListener) add(t *stream) bool {
	s.mu.Lock()
	old := s.open[t.client]
	refused := s.ctx.Err() != nil || old != nil && old.raw.LocalAddr().String() != t.raw.LocalAddr().String()
	if !refused {
		if old != nil {
			_ = old.raw.Close()
		}
		s.open[t.client] = t
	}
	s.mu.Unlock()
	if refused {
		t.remove()
	}
	return !refused
}

// updateDeadline sets the read deadline of a client's stream. With an allocation there is none: the
// client has to refresh the allocation. Without, the stream ends after Options.StreamTimeout,
// whatever the client sends.
func (s *streamListener) updateDeadline(client netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[client]
	if t == nil {
		return
	}
	allocated := s.clients.has(client)
	s.server.streams.setAllocated(t, allocated)
	deadline := time.Time{}
	if !allocated {
		deadline = time.Now().Add(s.server.opts.StreamTimeout)
	}
	_ = t.raw.SetReadDeadline(deadline)
}

// stream is the TCP or TLS connection of a client.
type stream struct {
	net.Conn // *tls.Conn after a TLS handshake
	raw      net.Conn
	listener *streamListener
	client   netip.AddrPort
	prefix   netip.Addr // see ratelimit.ClientPrefix
	deadline time.Time  // of the handshake and the first allocation
	reader   *bufio.Reader
	first    []byte // the message that handshake has read
	closing  sync.Once

	waiting *list.Element // in streamTable.waiting; guarded by streamTable.mu
	removed bool          // guarded by streamTable.mu
}

// handshake does the TLS handshake if the client speaks TLS, and reads the first message.
func (t *stream) handshake(ctx context.Context) error {
	deadline := time.Now().Add(handshakeTimeout)
	if t.deadline.Before(deadline) {
		deadline = t.deadline
	}
	_ = t.raw.SetDeadline(deadline)
	plain := bufio.NewReaderSize(t.Conn, frameBuffer)
	first, err := plain.Peek(1)
	if err != nil {
		return err
	}
	t.reader = plain
	if isTLS(first[0]) {
		if err := t.startTLS(ctx, plain); err != nil {
			return err
		}
	}
	t.first, err = readFrame(t.reader)
	_ = t.raw.SetDeadline(time.Time{})
	_ = t.raw.SetReadDeadline(t.deadline)
	return err
}

func (t *stream) startTLS(ctx context.Context, plain *bufio.Reader) error {
	config := t.listener.server.opts.TLS
	if config == nil {
		return errors.New("client speaks TLS, and the server has no certificate")
	}
	secured := tls.Server(bufferedConn{t.Conn, plain}, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	t.Conn, t.reader = secured, bufio.NewReaderSize(secured, frameBuffer)
	return nil
}

// Read returns exactly one message. Messages of a client without an allocation count for
// Options.RequestRate.
func (t *stream) Read(b []byte) (int, error) {
	frame := t.first
	t.first = nil
	if frame == nil {
		var err error
		if frame, err = readFrame(t.reader); err != nil {
			return 0, err
		}
	}
	if !t.listener.clients.has(t.client) && !t.listener.server.takeRequest(t.client.Addr()) {
		return 0, errRate
	}
	return copy(b, frame), nil
}

// Write writes one message. After an error it closes the connection: a message may have been cut.
func (t *stream) Write(b []byte) (int, error) {
	_ = t.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := t.Conn.Write(b)
	if err != nil {
		_ = t.Conn.Close()
	}
	return n, err
}

// Close closes the stream. pion/turn calls it last.
func (t *stream) Close() error {
	t.closing.Do(func() {
		t.remove()
		t.listener.serving.Done()
	})
	return nil
}

// remove undoes add and closes the connection.
func (t *stream) remove() {
	_ = t.Conn.Close()
	t.listener.mu.Lock()
	if t.listener.open[t.client] == t {
		delete(t.listener.open, t.client)
	}
	t.listener.mu.Unlock()
	t.listener.server.streams.remove(t)
}

// bufferedConn is a connection with a reader that has already read from it.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c bufferedConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

const (
	// maxMessage is the longest message in bytes that pion/turn handles. WebRTC sends up to 1500.
	maxMessage  = 1599
	frameBuffer = 2048

	stunHeader    = 20 // bytes, RFC 8489 section 5
	channelHeader = 4  // bytes, RFC 8656 section 12.4
	magicCookie   = 0x2112A442
)

// Errors of streams.
var (
	errNoMessage = errors.New("client sends neither STUN nor ChannelData")
	errRate      = errors.New("client address sends too many requests without an allocation")
)

// isRequest reports whether a packet is a STUN request (RFC 8489 section 5).
func isRequest(b []byte) bool {
	return len(b) >= stunHeader && binary.BigEndian.Uint16(b)&0xC110 == 0
}

// isTLS reports whether a stream that begins with b is TLS: a handshake record begins with 22, a
// STUN message with two zero bits and a method below 16, ChannelData with 01 (RFC 7983).
func isTLS(b byte) bool { return b == 22 }

// readFrame reads one message of a stream: STUN, or ChannelData padded to four bytes (RFC 8656
// section 12.5). It skips messages longer than maxMessage. The result is valid until the next call.
func readFrame(r *bufio.Reader) ([]byte, error) {
	for {
		size, err := frameSize(r)
		if err != nil {
			return nil, err
		}
		if size <= maxMessage {
			frame, err := r.Peek(size)
			if err != nil {
				return nil, err
			}
			_, err = r.Discard(size) // does not move the peeked bytes
			return frame, err
		}
		if _, err := r.Discard(size); err != nil {
			return nil, err
		}
	}
}

// frameSize returns the length of the next message in bytes, with header and padding.
func frameSize(r *bufio.Reader) (int, error) {
	h, err := r.Peek(channelHeader)
	if err != nil {
		return 0, err
	}
	length := int(binary.BigEndian.Uint16(h[2:]))
	switch h[0] >> 6 {
	case 0: // STUN
		if h, err = r.Peek(stunHeader); err != nil {
			return 0, err
		}
		if binary.BigEndian.Uint32(h[4:]) != magicCookie || length%4 != 0 {
			return 0, errNoMessage
		}
		return stunHeader + length, nil
	case 1: // ChannelData: 0x4000 to 0x4FFF, in RFC 5766 and in coturn's client to 0x7FFF
		return channelHeader + (length+3)&^3, nil
	}
	return 0, errNoMessage
}
