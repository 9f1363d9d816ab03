package datachannel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// StreamProtocol is the name of the subprotocol of a [Stream], which the opener of the channel
// gives it.
const StreamProtocol = "parley.stream"

// errEarlyEnd is the error of a byte stream that ends without the message that ends it.
var errEarlyEnd = fmt.Errorf("the peer left, or closed the data channel, before the end of the data: %w", io.ErrUnexpectedEOF)

// streamMessage is the size of the messages that a stream is cut into, where the peer receives
// that, in bytes. Larger ones gain nothing, and all messages of one side queue behind each other.
const streamMessage = 64 << 10

// A Stream is a byte stream with half-close on a reliable, ordered channel.
//
// A message carries bytes, whatever its size and kind. An empty binary message ends one direction,
// while the other goes on. An empty text message carries nothing: the side that did not open the
// channel sends it to say that it speaks this protocol. A page that does not know the protocol can
// take part, for bytes are plain messages; what it sends ends by an empty message, or with the
// channel. With any other peer, an end without that message is an error.
//
// Each direction may be used by one goroutine.
type Stream struct {
	ch  *Channel
	ctx context.Context // of the stream: its end unblocks reads and writes

	rest   []byte // of the message that was read last
	ended  bool   // the peer ended its direction
	strict bool   // the peer speaks this protocol

	writing sync.Mutex // guards the following
	closed  bool
}

// NewStream returns a stream on a detached channel. It works until ctx ends.
func NewStream(ctx context.Context, ch *Channel) (*Stream, error) {
	s := &Stream{ch: ch, ctx: ctx}
	if ch.OpenedByPeer() && ch.Protocol() == StreamProtocol {
		s.strict = true
		return s, ch.Write(ctx, nil, true)
	}
	return s, nil
}

// Channel returns the channel of the stream.
func (s *Stream) Channel() *Channel { return s.ch }

// next waits for more bytes: rest is not empty, or there is an error.
func (s *Stream) next() error {
	for len(s.rest) == 0 {
		if s.ended {
			return io.EOF
		}
		data, text, err := s.ch.Receive(s.ctx)
		switch {
		case err == io.EOF && s.strict:
			return errEarlyEnd
		case err != nil:
			return err
		case len(data) == 0 && text:
			s.strict = true
		case len(data) == 0:
			s.ended = true
		}
		s.rest = data
	}
	return nil
}

// Read implements io.Reader. The error is io.EOF at the end, wraps io.ErrUnexpectedEOF if the
// channel ended before that, else it is that of the context.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.next(); err != nil {
		return 0, err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: each message is written as it came.
func (s *Stream) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := s.next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(s.rest)
		total += int64(n)
		s.rest = nil
		if err != nil {
			return total, err
		}
	}
}

// Write implements io.Writer. It waits while too much is queued.
func (s *Stream) Write(p []byte) (total int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	most := min(streamMessage, s.ch.MaxMessage())
	for len(p) > 0 {
		n := min(len(p), most)
		if err := s.ch.Write(s.ctx, p[:n], false); err != nil {
			return total, err
		}
		total, p = total+n, p[n:]
	}
	return total, nil
}

// ReadFrom implements io.ReaderFrom: what a read returns is sent at once.
func (s *Stream) ReadFrom(r io.Reader) (total int64, err error) {
	buffer := make([]byte, min(streamMessage, s.ch.MaxMessage()))
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, err := s.Write(buffer[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, fmt.Errorf("failed to read the data to send: %w", err)
		}
	}
}

// CloseWrite ends our direction, once.
func (s *Stream) CloseWrite() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.ch.Write(s.ctx, nil, false)
}

// Drain waits until the peer has closed the channel, and drops what still comes. The error is that
// of the context.
func (s *Stream) Drain() error {
	for {
		_, _, err := s.ch.Receive(s.ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Finish ends a stream of which everything was read and CloseWrite was called: it closes the
// channel and waits until the peer, which has read everything by then, has closed it too. The error
// is that of the context.
func (s *Stream) Finish() error {
	if err := s.ch.Close(); err != nil && !s.ch.Closed() {
		return fmt.Errorf("failed to close the data channel: %w", err)
	}
	return s.Drain()
}

// Close closes the channel. What was not sent yet goes first; what was not read yet is lost.
func (s *Stream) Close() error { return s.ch.Close() }
