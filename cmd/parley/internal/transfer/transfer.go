// Package transfer sends files in calls, receives them, and reports their progress.
package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
)

// Call is the call in which files are transferred.
type Call interface {
	// Peer returns the name of the peer.
	Peer() string
	// Context returns a context that ends with the call.
	Context() context.Context
	// Go runs a function on a goroutine that the call waits for.
	Go(func())
	Hangup()
	Emit(event.Event)
	Reporter() *event.Reporter
	Logger() *slog.Logger
}

// transfer is what both directions of a transfer of files have in common: what
// is reported of it, and how it ended.
type transfer struct {
	call      Call
	direction string        // out or in
	into      string        // prefix of the paths that are reported
	over      chan struct{} // closed when err is valid
	err       error

	ctx    context.Context // of the transfer
	cancel context.CancelCauseFunc

	lastEvent atomic.Int64 // Unix time in ns

	// The rest belongs to the goroutine that moves the files.
	offer *filetransfer.Offer
	meter meter
	moved bool // something went by
}

func newTransfer(c Call, direction string) *transfer {
	t := &transfer{call: c, direction: direction, over: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancelCause(c.Context())
	t.lastEvent.Store(time.Now().UnixNano())
	return t
}

// isOver reports whether err is valid.
func (t *transfer) isOver() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// idle returns how long the transfer has had no event.
func (t *transfer) idle() time.Duration { return time.Since(time.Unix(0, t.lastEvent.Load())) }

// closeTimeout bounds the wait for the last messages to and from the peer.
const closeTimeout = 3 * time.Second

// end ends the transfer before the call, so that the peer gets the reason.
func (t *transfer) end(cause error) {
	t.cancel(cause)
	select {
	case <-t.over:
	case <-time.After(closeTimeout):
	}
}

// reportEvent reports an event of the transfer.
func (t *transfer) reportEvent(name string, say, data string, fields ...event.Field) {
	fields = append(event.Fields("direction", t.direction, "id", t.offer.ID), fields...)
	t.call.Emit(event.Event{Name: name, Peer: t.call.Peer(), Fields: fields, Message: say, Output: data})
}

func (t *transfer) offered(o *filetransfer.Offer) {
	t.offer = o
	t.reportEvent("transfer", "", "", event.Field{Key: "state", Value: "offered"}, event.Field{Key: "files", Value: o.Files()}, event.Field{Key: "bytes", Value: o.Bytes()})
}

// handleEvent handles the events of package filetransfer.
func (t *transfer) handleEvent(e filetransfer.Event) {
	t.lastEvent.Store(time.Now().UnixNano())
	switch e := e.(type) {
	case filetransfer.Accepted:
		t.meter = newMeter(t.offer.Bytes())
		t.reportEvent("transfer", "", "", event.Field{Key: "state", Value: "accepted"})
	case filetransfer.FileStarted:
		t.meter.name = e.Entry.Name
		say := ""
		if e.Offset > 0 && e.Offset < e.Entry.Size {
			say = fmt.Sprintf("%s goes on after %s", sanitize.Text(e.Entry.Name), filetransfer.FormatSize(e.Offset))
		}
		t.reportEvent("file", say, "", event.Field{Key: "state", Value: "began"}, event.Field{Key: "name", Value: e.Entry.Name}, event.Field{Key: "size", Value: e.Entry.Size}, event.Field{Key: "offset", Value: e.Offset})
	case filetransfer.FileDone:
		t.moved = true
		fields := event.Fields("state", "done", "name", e.Entry.Name, "size", e.Entry.Size)
		data := ""
		if t.direction == "in" {
			fields = append(fields, event.Field{Key: "sha256", Value: hex.EncodeToString(e.SHA256)})
			data = sanitize.Text(t.into + e.Entry.Name)
		}
		t.reportEvent("file", "", data, fields...)
	case filetransfer.Progress:
		t.moved = t.moved || !e.Skipped
		if t.meter.add(e) {
			t.call.Reporter().Status(t.meter.String())
		}
	}
}

// ended waits for the end of the transfer and reports its result.
func (t *transfer) ended(ch *datachannel.Channel, err error) {
	t.drainAndClose(ch)
	t.err = err
	defer close(t.over)
	defer t.cancel(nil)
	state := "done"
	var refused *filetransfer.RefusedError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		state = "refused"
	case errors.Is(err, filetransfer.ErrBroken):
		state = "broken"
	default:
		state = "failed"
	}
	fields := event.Fields("state", state)
	say := ""
	switch {
	case err != nil:
		fields = append(fields, event.Field{Key: "reason", Value: err.Error()})
	default:
		say = t.meter.outcome(t)
	}
	if t.offer == nil {
		return // nothing was offered
	}
	t.reportEvent("transfer", say, "", fields...)
}

// drainAndClose closes the channel and waits until the peer has closed it, too:
// then it has read everything.
func (t *transfer) drainAndClose(ch *datachannel.Channel) {
	if err := ch.Close(); err != nil {
		t.call.Logger().Debug("data channel not closed", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(t.call.Context(), closeTimeout)
	defer cancel()
	for {
		if _, _, err := ch.Receive(ctx); err != nil {
			return
		}
	}
}

// explain is the error of the transfer as a user sees it, with its exit code.
func (t *transfer) explain() error {
	name := sanitize.Text(t.call.Peer())
	var refused *filetransfer.RefusedError
	var failed *filetransfer.FailedError
	switch {
	case t.err == nil:
		return nil
	case errors.As(t.err, new(*exit.SignalError)):
		return &exit.ReportedError{Err: t.err}
	case errors.As(t.err, &refused) && refused.ByPeer:
		return t.exitError(exit.Absent, "%s did not take the files: %s", name, sanitize.Text(refused.Reason))
	case errors.As(t.err, &refused) && refused.Code == filetransfer.RefusedDeclined:
		return nil // by a person here
	case errors.As(t.err, &refused):
		return t.exitError(refusalCode(refused), "the files of %s were not taken: %s", name, sanitize.Text(refused.Reason))
	case errors.As(t.err, &failed) && failed.ByPeer && failed.Code == filetransfer.FailedExists:
		return t.exitError(exit.Absent, "%s did not take the files: %s", name, sanitize.Text(failed.Error()))
	case errors.As(t.err, &failed) && failed.ByPeer:
		return t.exitError(exit.Failure, "%s could not go on: %s", name, sanitize.Text(failed.Error()))
	case errors.As(t.err, &failed) && (failed.Code == filetransfer.FailedDisk || failed.Code == filetransfer.FailedRead || failed.Code == filetransfer.FailedExists):
		return t.exitError(exit.Device, "%s", sanitize.Text(failed.Error()))
	case errors.As(t.err, &failed):
		return t.exitError(exit.Failure, "the transfer with %s failed: %s", name, sanitize.Text(failed.Error()))
	case errors.Is(t.err, filetransfer.ErrBroken):
		return t.exitError(exit.Failure, "%s hung up in the middle: %s", name, sanitize.Text(t.err.Error()))
	}
	return t.err
}

// exitError returns the error of the transfer with an exit code and a sentence before it.
func (t *transfer) exitError(code exit.Code, format string, a ...any) error {
	return &exit.Error{Code: code, Err: &messageError{fmt.Sprintf(format, a...), t.err}}
}

// messageError is an error in other words.
type messageError struct {
	words string
	err   error
}

func (r *messageError) Error() string { return r.words }
func (r *messageError) Unwrap() error { return r.err }

// refusalCode is the exit code of the side that refused.
func refusalCode(r *filetransfer.RefusedError) exit.Code {
	switch r.Code {
	case filetransfer.RefusedSpace, filetransfer.RefusedExists, filetransfer.RefusedName:
		return exit.Device
	}
	return exit.Failure
}

// Refuse refuses what the peer wants to send by a channel, if the channel is for files.
func Refuse(c Call, ch *datachannel.Channel) {
	if ch.Protocol() != filetransfer.Protocol {
		return
	}
	ch.Detach()
	c.Go(func() {
		filetransfer.Refuse(c.Context(), ch, filetransfer.RefusedUnsupported, "this parley takes no files; parley receive does")
		c.Reporter().Warnf("%s wants to send files; parley receive takes them", sanitize.Text(c.Peer()))
	})
}
