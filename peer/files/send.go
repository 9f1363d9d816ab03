package files

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// SendOptions say how files are sent. The zero value works.
type SendOptions struct {
	// OnEvent is told what happens, from one goroutine at a time; Moved comes
	// with every message, so it should be quick. Nil drops the events.
	OnEvent func(Event)
}

// Send offers a list of files, and sends them if they are wanted. It returns
// nil once the other side has verified all of them; else a *Refused, a *Failed,
// an error that wraps ErrBroken, or the cause of ctx.
func Send(ctx context.Context, c Conn, l *List, o SendOptions) error {
	s := &sender{conn: c, list: l, left: l.Files(), had: map[int]had{}, accepted: make(chan struct{}), finished: make(chan struct{})}
	s.onEvent = func(e Event) {
		if o.OnEvent != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			o.OnEvent(e)
		}
	}
	err := s.run(ctx)
	tell(ctx, c, err)
	return err
}

// sender is one transfer, seen from the side that has the files. One goroutine
// reads files, one listens to the receiver, and the one of Send sends.
type sender struct {
	conn    Conn
	list    *List
	onEvent func(Event)
	mu      sync.Mutex // one event at a time

	had      map[int]had   // of listen, until accepted is closed
	accepted chan struct{} // closed when the files may come
	begun    atomic.Int64  // entries whose bytes were all sent, or that are folders
	left     int           // of listen: files that are not done
	isDone   []bool        // of listen
	finished chan struct{} // closed when all are done
}

func (s *sender) run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	s.isDone = make([]bool, len(s.list.Entries))
	var work sync.WaitGroup
	heardAll := make(chan struct{})
	defer func() {
		if errors.Is(err, ErrBroken) {
			awaitLastWord(heardAll)
		}
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause // what the other side said, not its consequences
		}
		stop(nil)
		work.Wait()
	}()
	work.Go(func() {
		defer close(heardAll)
		if err := s.listen(ctx); err != nil {
			stop(err)
		}
	})
	if err := s.offer(ctx); err != nil {
		return err
	}
	if err := wait(ctx, s.accepted); err != nil {
		return err
	}
	s.onEvent(Accepted{})
	r := newReader(s.list, s.had, dataSize(s.conn))
	work.Go(func() {
		if err := r.run(ctx); err != nil {
			stop(err)
		}
	})
	if err := s.pump(ctx, r); err != nil {
		return err
	}
	if err := wait(ctx, s.finished); err != nil {
		return err
	}
	_ = send(ctx, s.conn, &message{Type: "bye"}) // all is well even if it is lost
	return nil
}

// awaitLastWord waits until what the other side said before it closed was read.
func awaitLastWord(heardAll <-chan struct{}) {
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-heardAll:
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

func (s *sender) offer(ctx context.Context) error {
	entries, bytes := len(s.list.Entries), s.list.Bytes()
	offer := &message{Type: "offer", Version: new(version), ID: s.list.ID, Entries: &entries, Bytes: &bytes}
	if err := send(ctx, s.conn, offer); err != nil {
		return err
	}
	for i := range s.list.Entries {
		if err := send(ctx, s.conn, s.list.Entries[i].message()); err != nil {
			return err
		}
	}
	return nil
}

// pump sends what the reader reads.
func (s *sender) pump(ctx context.Context, r *reader) error {
	for {
		var p piece
		var ok bool
		select {
		case p, ok = <-r.out:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch {
		case !ok && ctx.Err() != nil:
			return context.Cause(ctx)
		case !ok:
			return nil
		case p.control != nil:
			if err := s.control(ctx, p); err != nil {
				return err
			}
		default:
			if err := s.conn.Write(ctx, p.data, false); err != nil {
				return sendError(ctx, err)
			}
			s.onEvent(Moved{Bytes: int64(len(p.data))})
			r.free <- p.data
		}
	}
}

func (s *sender) control(ctx context.Context, p piece) error {
	m := p.control
	switch m.Type {
	case "file":
		s.onEvent(Began{Entry: p.entry, Offset: *m.Offset})
		if *m.Offset > 0 {
			s.onEvent(Moved{Bytes: *m.Offset, Skipped: true})
		}
	case "zeros":
		s.onEvent(Moved{Bytes: *m.Bytes, Skipped: true})
	case "end":
		s.begun.Store(int64(*m.File) + 1) // before it goes: the answer may be quick
	}
	return send(ctx, s.conn, m)
}

// listen takes what the receiver says until all files are done.
func (s *sender) listen(ctx context.Context) error {
	for {
		data, text, err := s.conn.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return broken(err)
		case !text:
			return failed(FailedProtocol, "the receiver sent data")
		}
		m, err := parse(data)
		if err == nil {
			err = s.heard(m)
		}
		if err != nil {
			return err
		}
		if s.left == 0 && s.isAccepted() {
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

func (s *sender) heard(m *message) error {
	switch m.Type {
	case "have":
		return s.has(m)
	case "accept":
		if s.isAccepted() {
			return failed(FailedProtocol, "the receiver accepted twice")
		}
		close(s.accepted)
	case "done":
		return s.done(m)
	case "refuse":
		return &Refused{Code: m.Code, Reason: m.Reason, ByPeer: true}
	case "error":
		return &Failed{Code: m.Code, Err: errors.New(m.Reason), ByPeer: true}
	}
	return nil
}

// file is the file that a message is about.
func (o *Offer) file(m *message) (int, error) {
	if m.File == nil || *m.File < 0 || *m.File >= len(o.Entries) || o.Entries[*m.File].Dir {
		return 0, failed(FailedProtocol, "%q is about no file of the list", m.Type)
	}
	return *m.File, nil
}

func (s *sender) has(m *message) error {
	i, err := s.list.file(m)
	if err != nil {
		return err
	}
	sum, err := m.sum()
	if err != nil {
		return err
	}
	if _, twice := s.had[i]; twice || s.isAccepted() || m.Bytes == nil || *m.Bytes > s.list.Entries[i].Size {
		return failed(FailedProtocol, "the receiver cannot have what it says to have of %s", s.list.Entries[i].Name)
	}
	s.had[i] = had{*m.Bytes, sum}
	return nil
}

func (s *sender) done(m *message) error {
	i, err := s.list.file(m)
	if err != nil {
		return err
	}
	if s.isDone[i] || int64(i) >= s.begun.Load() {
		return failed(FailedProtocol, "the receiver says that %s is done, which it cannot be", s.list.Entries[i].Name)
	}
	s.isDone[i] = true
	s.left--
	s.onEvent(Done{Entry: &s.list.Entries[i]})
	return nil
}
