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
	// maxIncoming is the longest frame in bytes that a client decodes; longer ones are skipped. It
	// has room for the members that a server adds to the longest frame of another client.
	maxIncoming = 2 * signal.MaxFrame
	// maxSkipped is the longest frame in bytes that is skipped; a longer one ends the connection.
	maxSkipped = 16 << 20
	// flushWait bounds the time for the queued frames after Close, goodbyeWait the wait for the
	// server's close frame.
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
	t := &transport{client: c, ws: ws, replay: replay, stop: make(chan struct{}), readDone: make(chan struct{})}
	if c.ours && !c.opts.NoPacing {
		t.pacer = newPacer()
	}
	ws.SetReadLimit(maxSkipped)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		t.extendReadDeadline()
		return pong(data)
	})
	ws.SetPongHandler(func(string) error {
		t.extendReadDeadline()
		return nil
	})
	return t
}

// run reads and writes until Close or an error. It returns ErrClosed or a *LostError.
func (t *transport) run() error {
	go func() {
		defer close(t.readDone)
		t.readErr = t.read()
	}()
	err := t.write()
	if errors.Is(err, ErrClosed) {
		t.flush()
	}
	t.endReading()
	<-t.readDone
	_ = t.ws.Close()
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	lost := newLostError(t.readErr)
	if lost.Code == websocket.CloseAbnormalClosure && err != nil {
		lost.Err = err
	}
	return lost
}

// write writes queued frames and pings until the first error. It returns nil if the reader has
// ended.
func (t *transport) write() error {
	c := t.client
	ping := time.NewTicker(c.opts.PingInterval)
	defer ping.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		wait, err := t.writePaced(time.Now().Add(writeTimeout))
		if err != nil {
			return err
		}
		pace.Reset(wait)
		out, iceDue, renewalDue := c.out, c.iceTimer.C, c.renewalTimer.C
		if t.pending() || c.session.windowFull() {
			out, iceDue, renewalDue = nil, nil, nil
		}
		select {
		case <-t.readDone:
			return nil
		case <-c.ended.Done():
			return ErrClosed
		case <-pace.C:
		case <-c.session.ackReceived:
		case <-c.session.ackDue:
			t.ackDue = true
		case <-renewalDue:
			c.renewLogin()
		case <-iceDue:
			c.next = &outgoing{frame: c.iceServersRequest(), typ: wire.TypeICEServers}
		case o := <-out:
			c.next = &o
		case <-c.networkChanged:
			if t.localAddrGone() {
				return errNetworkChanged
			}
		case <-ping.C:
			if err := t.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		}
	}
}

// pending reports whether a message waits for the pacer.
func (t *transport) pending() bool { return len(t.replay) > 0 || t.client.next != nil }

// writePaced writes what is due, as far as the pacer allows. It returns how long to wait until more
// is allowed.
func (t *transport) writePaced(deadline time.Time) (wait time.Duration, err error) {
	c, wait := t.client, time.Duration(math.MaxInt64)
	if t.ackDue {
		if d := t.pacer.take(wire.TypeAck, c.calls.count(), time.Now()); d > 0 {
			wait = d
		} else {
			t.ackDue = false
			if frame := c.session.ack(c.codec); frame != nil {
				if err := t.writeFrame(frame, deadline); err != nil {
					return 0, err
				}
			}
		}
	}
	for len(t.replay) > 0 {
		if d := t.pacer.take(t.replay[0].typ, c.calls.count(), time.Now()); d > 0 {
			return min(wait, d), nil
		}
		if err := t.writeFrame(t.replay[0].frame, deadline); err != nil {
			return 0, err
		}
		t.replay = t.replay[1:]
	}
	if c.next == nil {
		return wait, nil
	}
	if d := t.pacer.take(c.next.typ, c.calls.count(), time.Now()); d > 0 {
		return min(wait, d), nil
	}
	o := *c.next
	c.next = nil
	if err := t.writeFrame(c.session.number(o), deadline); err != nil {
		return 0, err
	}
	if o.written != nil {
		close(o.written)
	}
	return wait, nil
}

func (t *transport) writeFrame(frame []byte, deadline time.Time) error {
	_ = t.ws.SetWriteDeadline(deadline)
	return t.ws.WriteMessage(websocket.TextMessage, frame)
}

// flush writes the frames queued before Close, then the close frame.
func (t *transport) flush() {
	deadline := time.Now().Add(flushWait)
	for {
		if !t.pending() {
			select {
			case o := <-t.client.out:
				t.client.next = &o
			default:
				t.writeClose(websocket.CloseNormalClosure, "")
				return
			}
		}
		wait, err := t.writePaced(deadline)
		if err != nil {
			return
		}
		if !t.pending() {
			continue
		}
		select {
		case <-time.After(min(wait, time.Until(deadline))):
		case <-t.readDone:
			return
		}
		if !time.Now().Before(deadline) {
			t.writeClose(websocket.CloseNormalClosure, "")
			return
		}
	}
}

func (t *transport) writeClose(code int, reason string) {
	_ = t.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(goodbyeWait))
}

// extendReadDeadline gives the server time for another ping and its answer.
func (t *transport) extendReadDeadline() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ending {
		_ = t.ws.SetReadDeadline(time.Now().Add(t.client.opts.PingInterval + t.client.opts.PongTimeout))
	}
}

// endReading gives the reader a moment for a close frame, which says more than a failed write.
func (t *transport) endReading() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = true
	_ = t.ws.SetReadDeadline(time.Now().Add(goodbyeWait))
	close(t.stop)
}

// read handles frames until the first error.
func (t *transport) read() error {
	discard := false
	for {
		t.extendReadDeadline()
		typ, r, err := t.ws.NextReader()
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
		err = t.handleFrame(typ, frame)
		if errors.Is(err, errNotDelivered) {
			discard = true // only a close frame is of interest
			continue
		}
		var frameErr *frameError
		if errors.As(err, &frameErr) && t.client.session.resumable() {
			t.writeClose(frameErr.code, frameErr.text)
			return err
		}
		if err != nil && !errors.Is(err, wire.ErrNoMessage) {
			t.client.log.Debug("frame ignored", slog.Int("bytes", len(frame)), slog.String("why", err.Error()))
		}
	}
}

// handleFrame delivers one frame, or returns why it is ignored: it may be the greeting of an
// original server, of an unknown type, or malformed.
func (t *transport) handleFrame(typ int, frame []byte) error {
	switch {
	case typ != websocket.TextMessage:
		return &frameError{websocket.CloseUnsupportedData, "a message of the server is binary"}
	case len(frame) > maxIncoming:
		return &frameError{websocket.CloseMessageTooBig, fmt.Sprintf("a message of the server has more than %d bytes", maxIncoming)}
	case !utf8.Valid(frame):
		return &frameError{websocket.CloseInvalidFramePayloadData, "a message of the server is not valid UTF-8"}
	}
	seq, ack := wire.Numbers(frame)
	isNew, inOrder := t.client.session.accept(seq, ack)
	switch {
	case !inOrder:
		return &frameError{signal.CloseBadSequence, "a message is missing before the one that came"}
	case !isNew:
		return wire.ErrNoMessage
	}
	got, err := t.deliver(frame)
	if !errors.Is(err, errNotDelivered) {
		t.client.session.delivered(seq, len(frame), got.Message, got.Number)
	}
	return err
}

// errNotDelivered is the error of a message that came after the writer had ended.
var errNotDelivered = errors.New("the transport has ended")

// frameError is the error of a frame that is ignored. In a session that can be resumed it is final:
// without the number of the frame the client cannot acknowledge it, and the server would send it
// again after every resumption.
type frameError struct {
	code int // WebSocket close code
	text string
}

func (e *frameError) Error() string { return e.text }

// deliver passes a frame on. It returns errNotDelivered if the writer has ended.
func (t *transport) deliver(frame []byte) (got wire.Received, err error) {
	got, err = t.client.codec.Decode(frame)
	switch {
	case err != nil:
		return wire.Received{}, err
	case got.Login != nil:
		t.client.handleLoginReply(*got.Login)
		return got, nil
	case got.ICE != nil:
		t.client.setICE(*got.ICE)
		return got, nil
	case got.ExpiresIn > 0:
		t.client.handleExpiring(got.ExpiresIn)
		return got, nil
	case got.Watch != nil:
		t.client.watches.handleReply(watchReply{WatchReply: *got.Watch})
		return got, nil
	case t.client.watches.handleError(got.Message):
		return wire.Received{}, nil
	}
	t.client.partner.noteReceived(got.Message, time.Now())
	t.client.calls.noteReceived(got.Message)
	select {
	case t.client.in <- got.Message:
		return got, nil
	case <-t.stop:
		return got, errNotDelivered
	}
}

// errNetworkChanged ends a transport whose local address is gone.
var errNetworkChanged = errors.New("the local address of the connection is gone")

// NetworkChanged makes the client check the local address of its connection. If that address is
// gone, it reconnects at once instead of after the next ping. It does nothing if the session cannot
// be resumed.
func (c *Client) NetworkChanged() {
	select {
	case c.networkChanged <- struct{}{}:
	default:
	}
}

// localAddrGone reports whether the local address of the transport is gone and the session can be
// resumed.
func (t *transport) localAddrGone() bool {
	if !t.client.session.resumable() {
		return false
	}
	own, ok := t.ws.NetConn().LocalAddr().(*net.TCPAddr)
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
