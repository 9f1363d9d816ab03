package files

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ReceiveOptions say what is taken. The zero value takes everything that there
// is room for.
type ReceiveOptions struct {
	// MaxBytes bounds the size of all files of a transfer. Default 0: the free
	// space does.
	MaxBytes int64
	// Ask decides about an offer that could be stored; it may take its time. A
	// *Refused that it returns is said to the sender. Nil takes everything.
	Ask func(ctx context.Context, o *Offer) error
	// OnEvent is told what happens, from the goroutine of Receive; Moved comes
	// with every message, so it should be quick. Nil drops the events.
	OnEvent func(Event)
}

// Receive takes one transfer into a folder. It returns nil once all files are
// there; else a *Refused, a *Failed, an error that wraps ErrBroken, or the cause
// of ctx. The offer is nil if it did not come.
func Receive(ctx context.Context, c Conn, f *Folder, o ReceiveOptions) (*Offer, error) {
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	r := &receiver{ReceiveOptions: o, conn: c, folder: f}
	err := r.run(ctx)
	if r.part != nil {
		_ = r.part.close() // err says why it is kept
	}
	if r.plan != nil {
		r.plan.close()
	}
	tell(ctx, c, err)
	return r.offer, err
}

// Refuse tells the sender on a conn that nobody takes its files.
func Refuse(ctx context.Context, c Conn, code, reason string) {
	tell(ctx, c, &Refused{Code: code, Reason: reason})
}

// receiver is one transfer, seen from the side that takes the files.
type receiver struct {
	ReceiveOptions
	conn   Conn
	folder *Folder

	offer *Offer
	plan  *plan
	next  int   // the file that must come next
	at    int   // the file under way, if part or same
	part  *part // it is being written
	same  bool  // it is there already
	left  int64 // bytes of it that are to come
}

func (r *receiver) run(ctx context.Context) error {
	if err := r.takeOffer(ctx); err != nil {
		return err
	}
	if err := r.decide(ctx); err != nil {
		return err
	}
	if err := r.accept(ctx); err != nil {
		return err
	}
	r.OnEvent(Accepted{})
	for r.next = r.offer.next(0); r.next < len(r.offer.Entries) || r.busy(); {
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	r.plan.times()
	r.goodbye(ctx)
	return nil
}

func (r *receiver) busy() bool { return r.part != nil || r.same }

// message receives one message.
func (r *receiver) message(ctx context.Context) (data []byte, text bool, err error) {
	data, text, err = r.conn.Receive(ctx)
	switch {
	case err == nil && len(data) > maxData:
		return nil, false, failed(FailedProtocol, "a message is longer than %d bytes", maxData)
	case err == nil:
		return data, text, nil
	case ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	}
	return nil, false, broken(err)
}

// control receives a text message of a known type; data in its place is wrong.
func (r *receiver) control(ctx context.Context) (*message, error) {
	data, text, err := r.message(ctx)
	if err != nil {
		return nil, err
	}
	if !text {
		return nil, failed(FailedProtocol, "data came where none may come")
	}
	m, err := parse(data)
	if err == nil && m.Type == "error" {
		err = &Failed{Code: m.Code, Err: errors.New(m.Reason), ByPeer: true}
	}
	return m, err
}

func (r *receiver) takeOffer(ctx context.Context) error {
	m, err := r.control(ctx)
	switch {
	case err != nil:
		return err
	case m.Type != "offer" || m.Version == nil || m.Entries == nil || m.Bytes == nil || *m.Entries < 0 || len(m.ID) > maxID:
		return failed(FailedProtocol, "the first message is no offer")
	case *m.Version != version:
		return &Refused{Code: CodeVersion, Reason: fmt.Sprintf("version %d of the protocol is not known here, only %d", *m.Version, version)}
	case *m.Entries > maxEntries:
		return &Refused{Code: CodeLimit, Reason: fmt.Sprintf("these are %d files, at most %d are taken; send an archive", *m.Entries, maxEntries)}
	}
	o, left := &Offer{ID: m.ID}, *m.Bytes
	for range *m.Entries {
		e, err := r.control(ctx)
		if err != nil {
			return err
		}
		if e.Type != "entry" {
			return failed(FailedProtocol, "%q came in place of an entry", cut(e.Type, 20))
		}
		entry, err := e.entry()
		if err != nil {
			return err
		}
		o.Entries = append(o.Entries, entry)
		if left -= entry.Size; left < 0 {
			return failed(FailedSize, "the files have more than the %d bytes that were announced", *m.Bytes)
		}
	}
	if left > 0 {
		return failed(FailedSize, "the files have %d bytes less than the %d that were announced", left, *m.Bytes)
	}
	r.offer = o
	return nil
}

// decide returns a *Refused if the files are not wanted.
func (r *receiver) decide(ctx context.Context) error {
	if n := r.offer.Bytes(); r.MaxBytes > 0 && n > r.MaxBytes {
		return &Refused{Code: CodeSize, Reason: fmt.Sprintf("%s are more than the %s that are taken here", Size(n), Size(r.MaxBytes))}
	}
	if err := r.folder.refuses(r.offer); err != nil {
		return err
	}
	if r.Ask == nil {
		return nil
	}
	return r.ask(ctx)
}

// ask asks, and listens meanwhile, for the sender may give up.
func (r *receiver) ask(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	listening, hush := context.WithCancel(ctx)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, err := r.control(listening)
		switch {
		case listening.Err() != nil:
		case err == nil:
			stop(failed(FailedProtocol, "a message came before the offer was accepted"))
		default:
			stop(err)
		}
	}()
	err := r.Ask(ctx, r.offer)
	hush()
	<-heard
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// accept tells what is there already, and that the rest may come.
func (r *receiver) accept(ctx context.Context) (err error) {
	if r.plan, err = r.folder.prepare(ctx, r.offer); err != nil {
		return err
	}
	if err := r.plan.folders(); err != nil {
		return err
	}
	for i := range r.offer.Entries {
		h, ok := r.plan.whole[i]
		if p := r.plan.parts[i]; p != nil && p.size > 0 {
			h, ok = had{p.size, p.sum.Sum(nil)}, true
		}
		if !ok {
			continue
		}
		m := &message{Type: "have", File: &i, Bytes: &h.bytes, SHA256: hex.EncodeToString(h.sum)}
		if err := send(ctx, r.conn, m); err != nil {
			return err
		}
	}
	return send(ctx, r.conn, &message{Type: "accept"})
}

// step takes one message.
func (r *receiver) step(ctx context.Context) error {
	data, text, err := r.message(ctx)
	if err != nil {
		return r.inMidFile(err)
	}
	if !text {
		return r.data(data)
	}
	m, err := parse(data)
	if err != nil {
		return err
	}
	switch m.Type {
	case "file":
		return r.file(ctx, m)
	case "zeros":
		return r.zeros(ctx, m)
	case "end":
		return r.end(ctx, m)
	case "error":
		return &Failed{Code: m.Code, Err: errors.New(m.Reason), ByPeer: true}
	case "bye":
		return failed(FailedSize, "the sender said goodbye with files left to send")
	}
	return nil
}

// inMidFile adds to a broken transfer where the rest is kept.
func (r *receiver) inMidFile(err error) error {
	if errors.Is(err, ErrBroken) && r.part != nil && r.part.size > 0 {
		return fmt.Errorf("%w; what came of %s is kept in %s", err, r.entry().Name, r.part.name)
	}
	return err
}

func (r *receiver) entry() *Entry { return &r.offer.Entries[r.at] }

func (r *receiver) file(ctx context.Context, m *message) (err error) {
	i, err := r.offer.file(m)
	if err != nil {
		return err
	}
	e := &r.offer.Entries[i]
	if r.busy() || i != r.next || m.Offset == nil || *m.Offset > e.Size {
		return failed(FailedProtocol, "%s comes out of turn", e.Name)
	}
	r.at, r.next, r.left = i, r.offer.next(i+1), e.Size-*m.Offset
	if h, ok := r.plan.whole[i]; ok && h.bytes == *m.Offset {
		r.same = true
	} else if r.part, err = r.plan.begin(ctx, i, *m.Offset); err != nil {
		return err
	}
	r.OnEvent(Began{Entry: e, Offset: *m.Offset})
	if *m.Offset > 0 {
		r.OnEvent(Moved{Bytes: *m.Offset, Skipped: true})
	}
	return nil
}

// room checks that n more bytes belong to the file under way.
func (r *receiver) room(n int64) error {
	if r.part == nil {
		return failed(FailedProtocol, "data came that belong to no file")
	}
	if n > r.left {
		return failed(FailedSize, "%s has more than the %d bytes that were announced", r.entry().Name, r.entry().Size)
	}
	r.left -= n
	return nil
}

func (r *receiver) data(data []byte) error {
	if err := r.room(int64(len(data))); err != nil {
		return err
	}
	if err := r.part.write(data); err != nil {
		return r.notStored(err)
	}
	r.OnEvent(Moved{Bytes: int64(len(data))})
	return nil
}

func (r *receiver) zeros(ctx context.Context, m *message) error {
	if m.Bytes == nil || *m.Bytes > mostZeros {
		return failed(FailedProtocol, "zeros without a number, or too many at once")
	}
	if err := r.room(*m.Bytes); err != nil {
		return err
	}
	if err := r.part.skip(ctx, *m.Bytes); err != nil {
		return err
	}
	r.OnEvent(Moved{Bytes: *m.Bytes, Skipped: true})
	return nil
}

func (r *receiver) notStored(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("the disk is full; what came is kept in %s", r.part.name)
	}
	return disk(r.entry(), err)
}

func (r *receiver) end(ctx context.Context, m *message) error {
	i, err := r.offer.file(m)
	if err != nil {
		return err
	}
	sum, err := m.sum()
	if err != nil {
		return err
	}
	e := r.entry()
	switch {
	case !r.busy() || i != r.at:
		return failed(FailedProtocol, "the end of a file came that has not begun")
	case r.left > 0:
		return failed(FailedSize, "%s ended after %d bytes, %d were announced", e.Name, e.Size-r.left, e.Size)
	}
	if err := r.finish(sum); err != nil {
		return err
	}
	r.OnEvent(Done{Entry: e, SHA256: sum})
	return send(ctx, r.conn, &message{Type: "done", File: &i})
}

// finish verifies the file under way and gives it its name.
func (r *receiver) finish(sum []byte) error {
	e := r.entry()
	if r.same {
		r.same = false
		if !bytes.Equal(sum, r.plan.whole[r.at].sum) {
			return failed(FailedExists, "%s is there already, with other content", e.Name)
		}
		return nil
	}
	p := r.part
	if !bytes.Equal(sum, p.sum.Sum(nil)) {
		r.part = nil
		_ = p.discard() // the hash is what matters
		return failed(FailedHash, "%s has another SHA-256 than announced, and was thrown away", e.Name)
	}
	r.part = nil
	err := p.finish(e, r.folder.overwrite)
	if errors.Is(err, fs.ErrExist) {
		return failed(FailedExists, "%s appeared here meanwhile; what came is kept in %s", e.Name, p.name)
	}
	if err != nil {
		return disk(e, err)
	}
	return nil
}

// goodbye waits until the sender has heard that all is done. It makes no
// difference to what is here.
func (r *receiver) goodbye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*farewell)
	defer cancel()
	for {
		data, text, err := r.message(ctx)
		if err != nil {
			return
		}
		if text {
			if m, err := parse(data); err != nil || m.Type == "bye" {
				return
			}
		}
	}
}
