package filetransfer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"parley/peer/filetransfer/internal/disk"
)

// ReceiveOptions configure Receive. The zero value accepts everything that fits on the disk.
type ReceiveOptions struct {
	// MaxBytes bounds the size of all files of a transfer. Default: 0, the free space.
	MaxBytes int64
	// Ask decides about an offer that can be stored. It may block. The sender gets a *RefusedError
	// that it returns. Nil accepts every offer.
	Ask func(ctx context.Context, o *Offer) error
	// OnEvent is called with each event, on the goroutine of Receive. It must return quickly:
	// Progress comes with every message. Nil ignores the events.
	OnEvent func(Event)
}

// Receive receives one transfer into a folder. It returns nil once all files are stored, else a
// *RefusedError, a *FailedError, an error that wraps ErrBroken, or the cause of ctx. The offer is
// nil if none was received.
func Receive(ctx context.Context, c Conn, f *Folder, o ReceiveOptions) (*Offer, error) {
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	r := &receiver{ReceiveOptions: o, conn: c, folder: f}
	err := r.run(ctx)
	if r.partial != nil {
		_ = r.partial.Close() // err is more important
	}
	if r.destination != nil {
		r.destination.close()
	}
	writeFinalError(ctx, c, err)
	return r.offer, err
}

// Refuse refuses whatever the sender on a conn offers.
func Refuse(ctx context.Context, c Conn, code, reason string) {
	writeFinalError(ctx, c, &RefusedError{Code: code, Reason: reason})
}

// receiver is one transfer at the receiver.
type receiver struct {
	ReceiveOptions
	conn   Conn
	folder *Folder

	offer       *Offer
	destination *destination
	next        int               // index of the file that must come next
	current     int               // index of the file in progress, if there is one
	partial     *disk.PartialFile // of the file in progress, nil if that is complete
	complete    bool              // the file in progress is complete
	remaining   int64             // bytes of the file in progress
}

func (r *receiver) run(ctx context.Context) error {
	if err := r.readOffer(ctx); err != nil {
		return err
	}
	if err := r.decide(ctx); err != nil {
		return err
	}
	if err := r.accept(ctx); err != nil {
		return err
	}
	r.OnEvent(Accepted{})
	for r.next = r.offer.nextFile(0); r.next < len(r.offer.Entries) || r.inFile(); {
		if err := r.receiveAndHandle(ctx); err != nil {
			return err
		}
	}
	r.destination.setFolderTimes()
	r.awaitBye(ctx)
	return nil
}

// inFile reports whether a file is in progress.
func (r *receiver) inFile() bool { return r.partial != nil || r.complete }

// receive receives one message.
func (r *receiver) receive(ctx context.Context) (data []byte, text bool, err error) {
	data, text, err = r.conn.Receive(ctx)
	switch {
	case err == nil && len(data) > maxChunk:
		return nil, false, failed(FailedProtocol, "message is too long: got %d bytes, want at most %d", len(data), maxChunk)
	case err == nil:
		return data, text, nil
	case ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	}
	return nil, false, broken(err)
}

// receiveControl receives a text message. It returns an error for a binary message and for an error
// message.
func (r *receiver) receiveControl(ctx context.Context) (*message, error) {
	data, text, err := r.receive(ctx)
	if err != nil {
		return nil, err
	}
	if !text {
		return nil, failed(FailedProtocol, "unexpected binary message outside a file")
	}
	m, err := parseMessage(data)
	if err == nil && m.Type == "error" {
		err = m.peerError()
	}
	return m, err
}

func (r *receiver) readOffer(ctx context.Context) error {
	m, err := r.receiveControl(ctx)
	switch {
	case err != nil:
		return err
	case m.Type != "offer" || m.Version == nil || m.Entries == nil || m.Bytes == nil || *m.Entries < 0 || len(m.ID) > maxID:
		return failed(FailedProtocol, "invalid first message: want an offer with version, entries and bytes")
	case *m.Version != version:
		return refused(RefusedVersion, "unsupported protocol version: got %d, want %d", *m.Version, version)
	case *m.Entries > maxEntries:
		return refused(RefusedLimit, "too many entries: got %d, want at most %d; send an archive", *m.Entries, maxEntries)
	}
	o, left := &Offer{ID: m.ID}, *m.Bytes
	for range *m.Entries {
		e, err := r.receiveControl(ctx)
		if err != nil {
			return err
		}
		if e.Type != "entry" {
			return failed(FailedProtocol, "unexpected message %q: want an entry", truncate(e.Type, 20))
		}
		entry, err := e.entry()
		if err != nil {
			return err
		}
		o.Entries = append(o.Entries, entry)
		if left -= entry.Size; left < 0 {
			return failed(FailedSize, "invalid offer: entries have more than the offered %d bytes", *m.Bytes)
		}
	}
	if left > 0 {
		return failed(FailedSize, "invalid offer: entries have %d bytes less than the offered %d", left, *m.Bytes)
	}
	r.offer = o
	return nil
}

// decide returns a *RefusedError if the offer is not acceptable.
func (r *receiver) decide(ctx context.Context) error {
	if n := r.offer.Bytes(); r.MaxBytes > 0 && n > r.MaxBytes {
		return refused(RefusedSize, "offer is too large: got %s, want at most %s", FormatSize(n), FormatSize(r.MaxBytes))
	}
	if err := r.folder.checkOffer(r.offer); err != nil {
		return err
	}
	if r.Ask == nil {
		return nil
	}
	return r.ask(ctx)
}

// ask calls Ask and cancels it when the sender ends the transfer meanwhile.
func (r *receiver) ask(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	receiving, stopReceiving := context.WithCancel(ctx)
	received := make(chan struct{})
	go func() {
		defer close(received)
		_, err := r.receiveControl(receiving)
		switch {
		case receiving.Err() != nil:
		case err == nil:
			stop(failed(FailedProtocol, "unexpected message before the offer is accepted"))
		default:
			stop(err)
		}
	}()
	err := r.Ask(ctx, r.offer)
	stopReceiving()
	<-received
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// accept sends a have for each file that exists in whole or in part, and accept.
func (r *receiver) accept(ctx context.Context) (err error) {
	if r.destination, err = r.folder.open(ctx, r.offer); err != nil {
		return err
	}
	if err := r.destination.makeFolders(); err != nil {
		return err
	}
	for i := range r.offer.Entries {
		have, ok := r.destination.prefix(i)
		if !ok {
			continue
		}
		m := &message{Type: "have", File: &i, Bytes: &have.size, SHA256: hex.EncodeToString(have.sha256)}
		if err := writeMessage(ctx, r.conn, m); err != nil {
			return err
		}
	}
	return writeMessage(ctx, r.conn, &message{Type: "accept"})
}

// receiveAndHandle handles one message after accept.
func (r *receiver) receiveAndHandle(ctx context.Context) error {
	data, text, err := r.receive(ctx)
	if err != nil {
		return r.withPartialName(err)
	}
	if !text {
		return r.handleChunk(data)
	}
	m, err := parseMessage(data)
	if err != nil {
		return err
	}
	switch m.Type {
	case "file":
		return r.handleFile(ctx, m)
	case "zeros":
		return r.handleZeros(ctx, m)
	case "end":
		return r.handleEnd(ctx, m)
	case "error":
		return m.peerError()
	case "bye":
		return failed(FailedSize, "unexpected bye before the last file")
	}
	return nil
}

// withPartialName adds the name of the partial file to the error of a broken transfer.
func (r *receiver) withPartialName(err error) error {
	if errors.Is(err, ErrBroken) && r.partial != nil && r.partial.Size() > 0 {
		return fmt.Errorf("%w; %s is kept as the partial file %s", err, r.entry().Name, r.partial.Name())
	}
	return err
}

// entry returns the entry of the file in progress.
func (r *receiver) entry() *Entry { return &r.offer.Entries[r.current] }

func (r *receiver) handleFile(ctx context.Context, m *message) (err error) {
	i, err := r.offer.file(m)
	if err != nil {
		return err
	}
	e := &r.offer.Entries[i]
	if r.inFile() || i != r.next || m.Offset == nil || *m.Offset > e.Size {
		return failed(FailedProtocol, "unexpected file message for %s: want each file in order, with an offset within it", e.Name)
	}
	r.current, r.next, r.remaining = i, r.offer.nextFile(i+1), e.Size-*m.Offset
	if have, ok := r.destination.complete[i]; ok && have.size == *m.Offset {
		r.complete = true
	} else if r.partial, err = r.destination.openFile(ctx, i, *m.Offset); err != nil {
		return err
	}
	r.OnEvent(FileStarted{Entry: e, Offset: *m.Offset})
	if *m.Offset > 0 {
		r.OnEvent(Progress{Bytes: *m.Offset, Skipped: true})
	}
	return nil
}

// consume checks that the file in progress has n more bytes.
func (r *receiver) consume(n int64) error {
	if r.partial == nil {
		return failed(FailedProtocol, "unexpected data outside a file")
	}
	if n > r.remaining {
		return failed(FailedSize, "%s has more than the offered %d bytes", r.entry().Name, r.entry().Size)
	}
	r.remaining -= n
	return nil
}

func (r *receiver) handleChunk(data []byte) error {
	if err := r.consume(int64(len(data))); err != nil {
		return err
	}
	if err := r.partial.Append(data); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("no space left on the disk; the partial file is %s", r.partial.Name())
		}
		return diskError(r.entry(), err)
	}
	r.OnEvent(Progress{Bytes: int64(len(data))})
	return nil
}

func (r *receiver) handleZeros(ctx context.Context, m *message) error {
	if m.Bytes == nil || *m.Bytes > maxZeros {
		return failed(FailedProtocol, "invalid zeros message: want at most %d bytes", maxZeros)
	}
	if err := r.consume(*m.Bytes); err != nil {
		return err
	}
	if err := r.partial.AppendZeros(ctx, *m.Bytes); err != nil {
		return err
	}
	r.OnEvent(Progress{Bytes: *m.Bytes, Skipped: true})
	return nil
}

func (r *receiver) handleEnd(ctx context.Context, m *message) error {
	i, err := r.offer.file(m)
	if err != nil {
		return err
	}
	sum, err := m.hash()
	if err != nil {
		return err
	}
	e := r.entry()
	switch {
	case !r.inFile() || i != r.current:
		return failed(FailedProtocol, "unexpected end: the file is not in progress")
	case r.remaining > 0:
		return failed(FailedSize, "%s is too short: got %d bytes, want the offered %d", e.Name, e.Size-r.remaining, e.Size)
	}
	if err := r.finishFile(sum); err != nil {
		return err
	}
	r.OnEvent(FileDone{Entry: e, SHA256: sum})
	return writeMessage(ctx, r.conn, &message{Type: "done", File: &i})
}

// finishFile verifies the file in progress and renames it to its final name.
func (r *receiver) finishFile(sum []byte) error {
	e := r.entry()
	if r.complete {
		r.complete = false
		if !bytes.Equal(sum, r.destination.complete[r.current].sha256) {
			return failed(FailedExists, "%s already exists with different content", e.Name)
		}
		return nil
	}
	p := r.partial
	r.partial = nil
	if got := p.Sum(); !bytes.Equal(sum, got) {
		_ = p.Discard() // the mismatch is more important
		return failed(FailedHash, "SHA-256 mismatch of %s: got %x, want %x; the file was discarded", e.Name, got, sum)
	}
	err := p.Finish(r.folder.overwrite)
	if errors.Is(err, fs.ErrExist) {
		return failed(FailedExists, "%s was created by another program; the received file is %s", e.Name, p.Name())
	}
	if err != nil {
		return diskError(e, err)
	}
	return nil
}

// awaitBye waits until the sender has received the last done. The files are stored in any case.
func (r *receiver) awaitBye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*closingTimeout)
	defer cancel()
	for {
		data, text, err := r.receive(ctx)
		if err != nil {
			return
		}
		if text {
			if m, err := parseMessage(data); err != nil || m.Type == "bye" {
				return
			}
		}
	}
}
