package client

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/internal/wire"
)

const (
	// maxIncoming is the longest frame in bytes that a client decodes; longer ones are skipped. It has room
	// for the members that a server adds to the longest frame of another client.
	maxIncoming = 2 * signal.MaxFrame
	// maxSkipped is the longest frame in bytes that is skipped; a longer one ends the connection.
	maxSkipped = 16 << 20
	// flushWait bounds the time for the queued frames after Close, goodbyeWait the wait for the server's
	// close frame.
	flushWait   = 2 * time.Second
	goodbyeWait = time.Second
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
)

// transport is one socket of a Client, with a goroutine that reads and one that writes.
type transport struct {
	client *Client
	ws     *websocket.Conn
	replay [][]byte // numbered frames that are written first

	mu     sync.Mutex // guards ending and the read deadline
	ending bool

	stop     chan struct{} // closed when the writer has ended; the reader delivers nothing more
	readDone chan struct{} // closed when the reader has ended; readErr is set before
	readErr  error
}

func newTransport(c *Client, ws *websocket.Conn, again [][]byte) *transport {
	l := &transport{client: c, ws: ws, replay: again, stop: make(chan struct{}), readDone: make(chan struct{})}
	ws.SetReadLimit(maxSkipped)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		l.extendReadDeadline()
		return pong(data)
	})
	ws.SetPongHandler(func(string) error {
		l.extendReadDeadline()
		return nil
	})
	return l
}

// run reads and writes until Close or an error. It returns ErrClosed or a *LostError.
func (l *transport) run() error {
	go func() {
		defer close(l.readDone)
		l.readErr = l.read()
	}()
	err := l.write()
	if errors.Is(err, ErrClosed) {
		l.flush()
	}
	l.endReading()
	<-l.readDone
	_ = l.ws.Close()
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	lost := newLostError(l.readErr)
	if lost.Err != nil && err != nil {
		lost.Err = err
	}
	return lost
}

// write writes queued frames and pings until the first error. It returns nil if the reader has ended.
func (l *transport) write() error {
	ping := time.NewTicker(l.client.opts.PingInterval)
	defer ping.Stop()
	for _, frame := range l.replay {
		if err := l.writeFrame(frame, time.Now().Add(writeTimeout)); err != nil {
			return err
		}
	}
	t := l.client.session
	for {
		out, iceDue, renewalDue := l.client.out, l.client.iceTimer.C, l.client.renewalTimer.C
		if t.windowFull() {
			out, iceDue, renewalDue = nil, nil, nil
		}
		select {
		case <-l.readDone:
			return nil
		case <-l.client.ended.Done():
			return ErrClosed
		case <-t.ackReceived:
		case <-t.ackDue:
			if frame := t.ack(l.client.codec); frame != nil {
				if err := l.writeFrame(frame, time.Now().Add(writeTimeout)); err != nil {
					return err
				}
			}
		case <-renewalDue:
			l.client.renewLogin()
		case <-iceDue:
			if err := l.writeOne(outgoing{frame: l.client.iceServersRequest()}, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		case o := <-out:
			if err := l.writeOne(o, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		case <-l.client.networkChanged:
			if l.localAddrGone() {
				return errNetworkChanged
			}
		case <-ping.C:
			if err := l.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		}
	}
}

func (l *transport) writeOne(o outgoing, deadline time.Time) error {
	if err := l.writeFrame(l.client.session.number(o.frame), deadline); err != nil {
		return err
	}
	if o.written != nil {
		close(o.written)
	}
	return nil
}

func (l *transport) writeFrame(frame []byte, deadline time.Time) error {
	_ = l.ws.SetWriteDeadline(deadline)
	return l.ws.WriteMessage(websocket.TextMessage, frame)
}

// flush writes the frames queued before Close, then the close frame.
func (l *transport) flush() {
	deadline := time.Now().Add(flushWait)
	for {
		select {
		case o := <-l.client.out:
			if l.writeOne(o, deadline) != nil {
				return
			}
			continue
		default:
		}
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = l.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(goodbyeWait))
		return
	}
}

// extendReadDeadline gives the server time for another ping and its answer.
func (l *transport) extendReadDeadline() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ending {
		_ = l.ws.SetReadDeadline(time.Now().Add(l.client.opts.PingInterval + l.client.opts.PongTimeout))
	}
}

// endReading gives the reader a moment for a close frame, which says more than a failed write.
func (l *transport) endReading() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	_ = l.ws.SetReadDeadline(time.Now().Add(goodbyeWait))
	close(l.stop)
}

// read handles frames until the first error.
func (l *transport) read() error {
	for {
		l.extendReadDeadline()
		typ, r, err := l.ws.NextReader()
		if err != nil {
			return err
		}
		frame, err := io.ReadAll(io.LimitReader(r, maxIncoming+1))
		if err != nil {
			return err
		}
		if len(frame) > maxIncoming {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
		}
		err = l.handleFrame(typ, frame)
		if errors.Is(err, errSequence) {
			return err
		}
		if err != nil && !errors.Is(err, wire.ErrNoMessage) {
			l.client.log.Debug("frame ignored", slog.Int("bytes", len(frame)), slog.String("why", err.Error()))
		}
	}
}

// handleFrame delivers one frame, or returns why it is ignored: it may be the greeting of an original
// server, of an unknown type, or malformed.
func (l *transport) handleFrame(typ int, frame []byte) error {
	switch {
	case typ != websocket.TextMessage:
		return errors.New("it is binary")
	case len(frame) > maxIncoming:
		return errors.New("it is too long")
	case !utf8.Valid(frame):
		return errors.New("it is not valid UTF-8")
	}
	seq, ack := wire.Numbers(frame)
	isNew, inOrder := l.client.session.accept(seq, ack)
	switch {
	case !inOrder:
		return errSequence
	case !isNew:
		return wire.ErrNoMessage
	}
	delivered, err := l.deliver(frame)
	if delivered {
		l.client.session.delivered(seq, len(frame))
	}
	return err
}

// errSequence ends a transport whose server has skipped a message.
var errSequence = errors.New("a message is missing before the one that came")

// deliver passes a frame on. It is not delivered if the writer has ended: the server will send it again.
func (l *transport) deliver(frame []byte) (delivered bool, err error) {
	got, err := l.client.codec.Decode(frame)
	if err != nil {
		return true, err
	}
	switch {
	case got.Login != nil:
		l.client.handleLoginReply(*got.Login)
		return true, nil
	case got.ICE != nil:
		l.client.setICE(*got.ICE)
		return true, nil
	case got.ExpiresIn > 0:
		l.client.handleExpiring(got.ExpiresIn)
		return true, nil
	}
	l.client.partner.noteReceived(got.Message, time.Now())
	select {
	case l.client.in <- got.Message:
		return true, nil
	case <-l.stop:
		return false, nil
	}
}

// errNetworkChanged ends a transport whose local address is gone.
var errNetworkChanged = errors.New("the local address of the connection is gone")

// NetworkChanged makes the client check the local address of its connection. If that address is gone, it
// reconnects at once instead of after the next ping. It does nothing if the session cannot be resumed.
func (c *Client) NetworkChanged() {
	select {
	case c.networkChanged <- struct{}{}:
	default:
	}
}

// localAddrGone reports whether the local address of the transport is gone and the session can be resumed.
func (l *transport) localAddrGone() bool {
	if !l.client.session.resumable() {
		return false
	}
	own, ok := l.ws.NetConn().LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(own.IP) {
			return false
		}
	}
	return true
}
