package filetransfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"parley/peer/filetransfer/internal/disk"
)

// SendOptions configure Send. The zero value is valid.
type SendOptions struct {
	// OnEvent is called with each event, by one goroutine at a time. It must return quickly:
	// Progress comes with every message. Nil ignores the events.
	OnEvent func(Event)
}

// Send offers the files of a list and sends them if the receiver accepts. It returns nil once the
// receiver has verified all of them, else a *RefusedError, a *FailedError, an error that wraps
// ErrBroken, or the cause of ctx.
func Send(ctx context.Context, c Conn, l *List, o SendOptions) error {
	s := &sender{conn: c, list: l, missing: l.Files(), have: map[int]prefix{}, done: make([]bool, len(l.Entries)),
		accepted: make(chan struct{}), finished: make(chan struct{})}
	s.onEvent = func(e Event) {
		if o.OnEvent != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			o.OnEvent(e)
		}
	}
	err := s.run(ctx)
	writeFinalError(ctx, c, err)
	return err
}

// sender is one transfer at the sender. One goroutine reads files, one receives messages, and that
// of Send sends.
type sender struct {
	conn    Conn
	list    *List
	onEvent func(Event)
	mu      sync.Mutex // guards calls of onEvent

	accepted chan struct{} // closed when the receiver has accepted the offer
	finished chan struct{} // closed when the receiver has all files
	sent     atomic.Int64  // all files before this entry were sent

	// The rest belongs to receiveLoop; have belongs to the other goroutines once accepted is
	// closed.
	have    map[int]prefix
	done    []bool // by entry
	missing int    // files that are not done
}

func (s *sender) run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	var work sync.WaitGroup
	receiveDone := make(chan struct{})
	defer func() {
		if errors.Is(err, ErrBroken) {
			waitFor(receiveDone, closingTimeout) // the peer may have sent the reason before it closed
		}
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause // the first error, not what followed from it
		}
		stop(nil)
		work.Wait()
	}()
	work.Go(func() {
		defer close(receiveDone)
		if err := s.receiveLoop(ctx); err != nil {
			stop(err)
		}
	})
	if err := s.sendOffer(ctx); err != nil {
		return err
	}
	if err := wait(ctx, s.accepted); err != nil {
		return err
	}
	s.onEvent(Accepted{})
	r := newReader(s.list, s.have, min(max(s.conn.MaxMessage(), 1), chunkSize))
	work.Go(func() {
		if err := r.run(ctx); err != nil {
			stop(err)
		}
	})
	if err := s.sendLoop(ctx, r); err != nil {
		return err
	}
	if err := wait(ctx, s.finished); err != nil {
		return err
	}
	_ = writeMessage(ctx, s.conn, &message{Type: "bye"}) // the receiver does not need it
	return nil
}

// waitFor waits until a channel is closed, no longer than a timeout.
func waitFor(c <-chan struct{}, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	}
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *sender) sendOffer(ctx context.Context) error {
	entries, bytes := len(s.list.Entries), s.list.Bytes()
	offer := &message{Type: "offer", Version: new(version), ID: s.list.ID, Entries: &entries, Bytes: &bytes}
	if err := writeMessage(ctx, s.conn, offer); err != nil {
		return err
	}
	for i := range s.list.Entries {
		if err := writeMessage(ctx, s.conn, s.list.Entries[i].message()); err != nil {
			return err
		}
	}
	return nil
}

// sendLoop sends what the reader reads.
func (s *sender) sendLoop(ctx context.Context, r *reader) error {
	for {
		var out outgoing
		var ok bool
		select {
		case out, ok = <-r.out:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch {
		case !ok && ctx.Err() != nil:
			return context.Cause(ctx)
		case !ok:
			return nil
		case out.control != nil:
			if err := s.sendControl(ctx, out); err != nil {
				return err
			}
		default:
			if err := s.conn.Write(ctx, out.chunk, false); err != nil {
				return writeError(ctx, err)
			}
			s.onEvent(Progress{Bytes: int64(len(out.chunk))})
			r.free <- out.chunk
		}
	}
}

func (s *sender) sendControl(ctx context.Context, out outgoing) error {
	m := out.control
	switch m.Type {
	case "file":
		s.onEvent(FileStarted{Entry: out.entry, Offset: *m.Offset})
		if *m.Offset > 0 {
			s.onEvent(Progress{Bytes: *m.Offset, Skipped: true})
		}
	case "zeros":
		s.onEvent(Progress{Bytes: *m.Bytes, Skipped: true})
	case "end":
		s.sent.Store(int64(*m.File) + 1) // before the message, which the receiver may answer at once
	}
	return writeMessage(ctx, s.conn, m)
}

// receiveLoop handles the receiver's messages until all files are done.
func (s *sender) receiveLoop(ctx context.Context) error {
	for {
		data, text, err := s.conn.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return broken(err)
		case !text:
			return failed(FailedProtocol, "unexpected binary message from the receiver")
		}
		m, err := parseMessage(data)
		if err == nil {
			err = s.handle(m)
		}
		if err != nil {
			return err
		}
		if s.missing == 0 && s.isAccepted() {
			close(s.finished)
			return nil
		}
	}
}

func (s *sender) isAccepted() bool {
	select {
	case <-s.accepted:
		return true
	default:
		return false
	}
}

func (s *sender) handle(m *message) error {
	switch m.Type {
	case "have":
		return s.handleHave(m)
	case "accept":
		if s.isAccepted() {
			return failed(FailedProtocol, "unexpected accept: the offer is already accepted")
		}
		close(s.accepted)
	case "done":
		return s.handleDone(m)
	case "refuse":
		return &RefusedError{Code: m.Code, Reason: m.Reason, ByPeer: true}
	case "error":
		return m.peerError()
	}
	return nil
}

func (s *sender) handleHave(m *message) error {
	i, err := s.list.file(m)
	if err != nil {
		return err
	}
	sum, err := m.hash()
	if err != nil {
		return err
	}
	if _, ok := s.have[i]; ok || s.isAccepted() || m.Bytes == nil || *m.Bytes > s.list.Entries[i].Size {
		return failed(FailedProtocol, "invalid have for %s: want it once, before accept, with at most the bytes of the file", s.list.Entries[i].Name)
	}
	s.have[i] = prefix{*m.Bytes, sum}
	return nil
}

func (s *sender) handleDone(m *message) error {
	i, err := s.list.file(m)
	if err != nil {
		return err
	}
	if s.done[i] || int64(i) >= s.sent.Load() {
		return failed(FailedProtocol, "invalid done for %s: want it once, after its end", s.list.Entries[i].Name)
	}
	s.done[i] = true
	s.missing--
	s.onEvent(FileDone{Entry: &s.list.Entries[i]})
	return nil
}

// outgoing is the next message to send: a control message or a chunk of a file.
type outgoing struct {
	control *message
	entry   *Entry // of a file or end message
	chunk   []byte // in a buffer that goes back to reader.free
}

// reader reads files ahead of the network: it hashes and finds holes while earlier chunks are sent.
type reader struct {
	list *List
	have map[int]prefix // of the receiver
	out  chan outgoing
	free chan []byte
}

// readAhead is the number of messages that are read ahead.
const readAhead = 16

func newReader(l *List, have map[int]prefix, chunkSize int) *reader {
	r := &reader{list: l, have: have, out: make(chan outgoing, readAhead), free: make(chan []byte, readAhead)}
	for range readAhead {
		r.free <- make([]byte, chunkSize)
	}
	return r
}

// run reads all files and closes out.
func (r *reader) run(ctx context.Context) error {
	defer close(r.out)
	for i := r.list.nextFile(0); i < len(r.list.Entries); i = r.list.nextFile(i + 1) {
		if err := r.readFile(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) put(ctx context.Context, out outgoing) error {
	select {
	case r.out <- out:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *reader) buffer(ctx context.Context) ([]byte, error) {
	select {
	case b := <-r.free:
		return b[:cap(b)], nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// readFile reads a file after the bytes that the receiver has.
func (r *reader) readFile(ctx context.Context, i int) error {
	e := &r.list.Entries[i]
	f, err := os.Open(r.list.paths[i])
	if err != nil {
		return failed(FailedRead, "%w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err == nil && info.Size() < e.Size {
		err = disk.ErrShorter
	}
	if err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	sum, offset, err := resumeOffset(ctx, f, r.have[i])
	if err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	if err := r.put(ctx, outgoing{control: &message{Type: "file", File: &i, Offset: &offset}, entry: e}); err != nil {
		return err
	}
	if err := r.readContent(ctx, f, sum, offset, e.Size); err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	return r.put(ctx, outgoing{control: &message{Type: "end", File: &i, SHA256: hex.EncodeToString(sum.Sum(nil))}, entry: e})
}

// resumeOffset returns the offset at which sending starts and the hash of the bytes before it.
func resumeOffset(ctx context.Context, f *os.File, have prefix) (sum hash.Hash, offset int64, err error) {
	sum = sha256.New()
	if have.size == 0 {
		return sum, 0, nil
	}
	if err := disk.HashFile(ctx, sum, f, have.size); err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(sum.Sum(nil), have.sha256) {
		return sha256.New(), 0, nil
	}
	return sum, have.size, nil
}

// readContent reads the bytes of a file from offset to size.
func (r *reader) readContent(ctx context.Context, f *os.File, sum hash.Hash, offset, size int64) error {
	for offset < size {
		from, to := disk.NextData(f, offset, size)
		for hole := int64(0); offset < from; offset += hole {
			hole = min(from-offset, maxZeros)
			if err := disk.HashZeros(ctx, sum, hole); err != nil {
				return err
			}
			if err := r.put(ctx, outgoing{control: &message{Type: "zeros", Bytes: new(hole)}}); err != nil {
				return err
			}
		}
		if err := r.readData(ctx, f, sum, from, to); err != nil {
			return err
		}
		offset = to
	}
	return nil
}

// readData reads the bytes from offset to end in chunks.
func (r *reader) readData(ctx context.Context, f *os.File, sum hash.Hash, offset, end int64) error {
	for offset < end {
		buf, err := r.buffer(ctx)
		if err != nil {
			return err
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), end-offset)], offset)
		if n == 0 && err == io.EOF {
			return disk.ErrShorter
		}
		if err != nil && err != io.EOF {
			return err
		}
		sum.Write(buf[:n])
		if err := r.put(ctx, outgoing{chunk: buf[:n]}); err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}
