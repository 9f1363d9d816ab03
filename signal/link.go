package signal

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const (
	// maxIncoming is the longest frame from a server that a client looks at; longer ones are skipped. It has room for the
	// members that a server adds to the longest frame of another client.
	maxIncoming = 2 * maxFrame
	// maxSkipped is the longest frame that is skipped; a longer one ends the connection.
	maxSkipped = 16 << 20
	// flushWait bounds what Close spends on frames still queued, and goodbyeWait the wait for the server's close frame.
	flushWait   = 2 * time.Second
	goodbyeWait = time.Second
	// writeWait bounds one write.
	writeWait = 10 * time.Second
)

// link is one socket of a Client, with a goroutine that reads and one that writes.
type link struct {
	client *Client
	ws     *websocket.Conn
	again  [][]byte // numbered frames to be written first

	mu     sync.Mutex // guards ending, and the read deadline against heard
	ending bool

	stop    chan struct{} // closed when the writer has ended: the reader delivers nothing more
	readEnd chan struct{} // closed when the reader has ended; readErr is set before
	readErr error
}

func newLink(c *Client, ws *websocket.Conn, again [][]byte) *link {
	l := &link{client: c, ws: ws, again: again, stop: make(chan struct{}), readEnd: make(chan struct{})}
	ws.SetReadLimit(maxSkipped)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		l.heard()
		return pong(data)
	})
	ws.SetPongHandler(func(string) error {
		l.heard()
		return nil
	})
	return l
}

// run serves the link until Close or its loss, and tells which.
func (l *link) run() error {
	go func() {
		defer close(l.readEnd)
		l.readErr = l.read()
	}()
	err := l.write()
	if errors.Is(err, ErrClosed) {
		l.flush()
	}
	l.end()
	<-l.readEnd
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

// write sends what is queued, and pings, until the first error (nil: the reader has ended).
func (l *link) write() error {
	ping := time.NewTicker(l.client.opts.PingInterval)
	defer ping.Stop()
	for _, frame := range l.again {
		if err := l.writeFrame(frame, time.Now().Add(writeWait)); err != nil {
			return err
		}
	}
	t := l.client.track
	for {
		out, renewal := l.client.out, l.client.renewal.C
		if t.full() {
			out, renewal = nil, nil
		}
		select {
		case <-l.readEnd:
			return nil
		case <-l.client.ended.Done():
			return ErrClosed
		case <-t.room:
		case <-t.due:
			if frame := t.ack(l.client.wire); frame != nil {
				if err := l.writeFrame(frame, time.Now().Add(writeWait)); err != nil {
					return err
				}
			}
		case <-renewal:
			if err := l.writeOne(outgoing{frame: l.client.askICE()}, time.Now().Add(writeWait)); err != nil {
				return err
			}
		case o := <-out:
			if err := l.writeOne(o, time.Now().Add(writeWait)); err != nil {
				return err
			}
		case <-l.client.moved:
			if l.stranded() {
				return errMoved
			}
		case <-ping.C:
			if err := l.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
				return err
			}
		}
	}
}

func (l *link) writeOne(o outgoing, deadline time.Time) error {
	if err := l.writeFrame(l.client.track.number(o.frame), deadline); err != nil {
		return err
	}
	if o.written != nil {
		close(o.written)
	}
	return nil
}

func (l *link) writeFrame(frame []byte, deadline time.Time) error {
	_ = l.ws.SetWriteDeadline(deadline)
	return l.ws.WriteMessage(websocket.TextMessage, frame)
}

// flush writes what was queued before Close, then the close frame.
func (l *link) flush() {
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

// heard gives the server time for another ping and its answer.
func (l *link) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ending {
		_ = l.ws.SetReadDeadline(time.Now().Add(l.client.opts.PingInterval + l.client.opts.PongTimeout))
	}
}

// end leaves the reader a moment: a close frame may be on its way and tell more than a failed write.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	_ = l.ws.SetReadDeadline(time.Now().Add(goodbyeWait))
	close(l.stop)
}

// read takes frames in until the first error.
func (l *link) read() error {
	for {
		l.heard()
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
		err = l.take(typ, frame)
		if errors.Is(err, errSequence) {
			return err
		}
		if err != nil && !errors.Is(err, errNothing) {
			l.client.log.Debug("frame ignored", slog.Int("bytes", len(frame)), slog.String("why", err.Error()))
		}
	}
}

// take delivers one frame, or tells why it is ignored: the original's greeting, a type of the future, a hostile shape.
func (l *link) take(typ int, frame []byte) error {
	switch {
	case typ != websocket.TextMessage:
		return errors.New("it is binary")
	case len(frame) > maxIncoming:
		return errors.New("it is too long")
	case !utf8.Valid(frame):
		return errors.New("it is not valid UTF-8")
	}
	members := lastOf(parseObject(frame), "seq", "ack")
	seq := number(members["seq"])
	isNew, inOrder := l.client.track.arrived(seq, number(members["ack"]))
	switch {
	case !inOrder:
		return errSequence
	case !isNew:
		return errNothing
	}
	delivered, err := l.deliver(frame)
	if delivered {
		l.client.track.delivered(seq, len(frame))
	}
	return err
}

// errSequence ends a link whose server has skipped a message.
var errSequence = errors.New("a message is missing before the one that came")

// deliver hands a frame to whom it is for. Not delivered is what came too late: it will be sent again.
func (l *link) deliver(frame []byte) (delivered bool, err error) {
	got, err := l.client.wire.decode(frame)
	if err != nil {
		return true, err
	}
	switch {
	case got.reply != nil:
		l.client.replied(*got.reply)
		return true, nil
	case got.ice != nil:
		l.client.setICE(*got.ice)
		return true, nil
	}
	l.client.partner.noteReceived(got.message, time.Now())
	select {
	case l.client.in <- got.message:
		return true, nil
	case <-l.stop:
		return false, nil
	}
}
