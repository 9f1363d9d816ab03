package client

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
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
	replay []outgoing // numbered frames that are written first; the writer owns these three
	ackDue bool
	pacer  *pacer

	mu     sync.Mutex // guards ending and the read deadline
	ending bool

	stop     chan struct{} // closed when the writer has ended; the reader delivers nothing more
	readDone chan struct{} // closed when the reader has ended; readErr is set before
	readErr  error
}

func newTransport(c *Client, ws *websocket.Conn, replay []outgoing) *transport {
	l := &transport{client: c, ws: ws, replay: replay, stop: make(chan struct{}), readDone: make(chan struct{})}
	if c.ours && !c.opts.NoPacing {
		l.pacer = newPacer()
	}
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
	if lost.Code == websocket.CloseAbnormalClosure && err != nil {
		lost.Err = err
	}
	return lost
}

// write writes queued frames and pings until the first error. It returns nil if the reader has ended.
func (l *transport) write() error {
	c := l.client
	ping := time.NewTicker(c.opts.PingInterval)
	defer ping.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		wait, err := l.writePaced(time.Now().Add(writeTimeout))
		if err != nil {
			return err
		}
		pace.Reset(wait)
		out, iceDue, renewalDue := c.out, c.iceTimer.C, c.renewalTimer.C
		if l.pending() || c.session.windowFull() {
			out, iceDue, renewalDue = nil, nil, nil
		}
		select {
		case <-l.readDone:
			return nil
		case <-c.ended.Done():
			return ErrClosed
		case <-pace.C:
		case <-c.session.ackReceived:
		case <-c.session.ackDue:
			l.ackDue = true
		case <-renewalDue:
			c.renewLogin()
		case <-iceDue:
			c.next = &outgoing{frame: c.iceServersRequest(), typ: wire.TypeICEServers}
		case o := <-out:
			c.next = &o
		case <-c.networkChanged:
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

// pending reports whether a message waits for the pacer.
func (l *transport) pending() bool { return len(l.replay) > 0 || l.client.next != nil }

// writePaced writes what is due, as far as the pacer allows. It returns how long to wait until more is allowed.
func (l *transport) writePaced(deadline time.Time) (wait time.Duration, err error) {
	c, wait := l.client, time.Duration(math.MaxInt64)
	if l.ackDue {
		if d := l.pacer.take(wire.TypeAck, time.Now()); d > 0 {
			wait = d
		} else {
			l.ackDue = false
			if frame := c.session.ack(c.codec); frame != nil {
				if err := l.writeFrame(frame, deadline); err != nil {
					return 0, err
				}
			}
		}
	}
	for len(l.replay) > 0 {
		if d := l.pacer.take(l.replay[0].typ, time.Now()); d > 0 {
			return min(wait, d), nil
		}
		if err := l.writeFrame(l.replay[0].frame, deadline); err != nil {
			return 0, err
		}
		l.replay = l.replay[1:]
	}
	if c.next == nil {
		return wait, nil
	}
	if d := l.pacer.take(c.next.typ, time.Now()); d > 0 {
		return min(wait, d), nil
	}
	o := *c.next
	c.next = nil
	if err := l.writeFrame(c.session.number(o), deadline); err != nil {
		return 0, err
	}
	if o.written != nil {
		close(o.written)
	}
	return wait, nil
}

func (l *transport) writeFrame(frame []byte, deadline time.Time) error {
	_ = l.ws.SetWriteDeadline(deadline)
	return l.ws.WriteMessage(websocket.TextMessage, frame)
}

// flush writes the frames queued before Close, then the close frame.
func (l *transport) flush() {
	deadline := time.Now().Add(flushWait)
	for {
		if !l.pending() {
			select {
			case o := <-l.client.out:
				l.client.next = &o
			default:
				l.writeClose(websocket.CloseNormalClosure, "")
				return
			}
		}
		wait, err := l.writePaced(deadline)
		if err != nil {
			return
		}
		if !l.pending() {
			continue
		}
		select {
		case <-time.After(min(wait, time.Until(deadline))):
		case <-l.readDone:
			return
		}
		if !time.Now().Before(deadline) {
			l.writeClose(websocket.CloseNormalClosure, "")
			return
		}
	}
}

func (l *transport) writeClose(code int, reason string) {
	_ = l.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(goodbyeWait))
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
	discard := false
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
		if discard { // the server will send it again
			continue
		}
		err = l.handleFrame(typ, frame)
		if errors.Is(err, errNotDelivered) {
			discard = true // only a close frame is of interest
			continue
		}
		var frameErr *frameError
		if errors.As(err, &frameErr) && l.client.session.resumable() {
			l.writeClose(frameErr.code, frameErr.text)
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
		return &frameError{websocket.CloseUnsupportedData, "a message of the server is binary"}
	case len(frame) > maxIncoming:
		return &frameError{websocket.CloseMessageTooBig, fmt.Sprintf("a message of the server has more than %d bytes", maxIncoming)}
	case !utf8.Valid(frame):
		return &frameError{websocket.CloseInvalidFramePayloadData, "a message of the server is not valid UTF-8"}
	}
	seq, ack := wire.Numbers(frame)
	isNew, inOrder := l.client.session.accept(seq, ack)
	switch {
	case !inOrder:
		return &frameError{signal.CloseBadSequence, "a message is missing before the one that came"}
	case !isNew:
		return wire.ErrNoMessage
	}
	err := l.deliver(frame)
	if !errors.Is(err, errNotDelivered) {
		l.client.session.delivered(seq, len(frame))
	}
	return err
}

// errNotDelivered is the error of a message that came after the writer had ended.
var errNotDelivered = errors.New("the transport has ended")

// frameError is the error of a frame that is ignored. In a session that can be resumed it is final: without the number
// of the frame the client cannot acknowledge it, and the server would send it again after every resumption.
type frameError struct {
	code int // WebSocket close code
	text string
}

func (e *frameError) Error() string { return e.text }

// deliver passes a frame on. It returns errNotDelivered if the writer has ended.
func (l *transport) deliver(frame []byte) error {
	got, err := l.client.codec.Decode(frame)
	switch {
	case err != nil:
		return err
	case got.Login != nil:
		l.client.handleLoginReply(*got.Login)
		return nil
	case got.ICE != nil:
		l.client.setICE(*got.ICE)
		return nil
	case got.ExpiresIn > 0:
		l.client.handleExpiring(got.ExpiresIn)
		return nil
	}
	l.client.partner.noteReceived(got.Message, time.Now())
	select {
	case l.client.in <- got.Message:
		return nil
	case <-l.stop:
		return errNotDelivered
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
