package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
)

// Collect returns the files and folders at paths. What cannot be sent of a folder is reported.
func Collect(paths []string, report *event.Reporter) (*filetransfer.List, error) {
	return filetransfer.Collect(paths, func(path, why string) {
		report.Warnf("%s is not sent: %s", sanitize.Text(path), why)
	})
}

// Sender sends files to a peer, in as many calls as it takes.
type Sender struct {
	list   *filetransfer.List
	retry  time.Duration
	report *event.Reporter

	mu   sync.Mutex // guards last
	last *Outgoing  // the call that is up, or was last; nil before
}

// NewSender returns a sender that tries for retry to resume a transfer whose call broke.
func NewSender(list *filetransfer.List, retry time.Duration, report *event.Reporter) *Sender {
	return &Sender{list: list, retry: retry, report: report}
}

func (s *Sender) latest() *Outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Run makes calls until the files are there, or it makes no more sense. call makes a call with
// NewCall as its channel application, and returns its error.
func (s *Sender) Run(ctx context.Context, call func(context.Context) error) error {
	begun := false
	var since time.Time // of the break
	for {
		err := s.call(ctx, call)
		last := s.latest()
		progress := last != nil && last.hasMoved()
		begun = begun || progress
		if progress || since.IsZero() {
			since = time.Now()
		}
		if err == nil || !begun || ctx.Err() != nil || !worthAnother(err) || time.Since(since) >= s.retry {
			return err
		}
		s.report.Infof("%v; trying again", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return exit.Interruption(ctx)
		}
	}
}

func (s *Sender) call(ctx context.Context, call func(context.Context) error) error {
	calling, hangUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer hangUp(nil)
	defer context.AfterFunc(ctx, func() {
		if o := s.latest(); o != nil && o.hasBegun() {
			o.end(context.Cause(ctx))
		}
		hangUp(context.Cause(ctx))
	})()
	return call(calling)
}

// worthAnother reports whether a call that ended so may go better the next time.
func worthAnother(err error) bool {
	if errors.As(err, new(*filetransfer.RefusedError)) || errors.As(err, new(*filetransfer.FailedError)) {
		return false
	}
	switch exit.CodeOf(err) {
	case exit.Connection, exit.Signaling, exit.Timeout, exit.Absent:
		return true
	}
	return errors.Is(err, filetransfer.ErrBroken)
}

// Outgoing is the channel application of a call in which files are sent.
type Outgoing struct {
	*transfer
	list  *filetransfer.List
	begun chan struct{} // closed when the channel is open
}

// NewCall returns the channel application of a call.
func (s *Sender) NewCall(c Call) *Outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = &Outgoing{transfer: newTransfer(c, "out"), list: s.list, begun: make(chan struct{})}
	return s.last
}

// Ready returns a channel that is closed once the channel is open.
func (o *Outgoing) Ready() <-chan struct{} { return o.begun }

func (o *Outgoing) hasBegun() bool {
	select {
	case <-o.begun:
		return true
	default:
		return false
	}
}

// hasMoved reports, of a call that is over, if the transfer got on in it.
func (o *Outgoing) hasMoved() bool {
	select {
	case <-o.over:
		return o.moved
	default:
		return false
	}
}

// Channels returns the channel that the caller opens.
func (o *Outgoing) Channels() []datachannel.Options {
	return []datachannel.Options{{Label: "files", Protocol: filetransfer.Protocol, Detached: true}}
}

// Opened sends the files by the channel that we opened.
func (o *Outgoing) Opened(ch *datachannel.Channel) {
	if ch.OpenedByPeer() {
		Refuse(o.call, ch)
		return
	}
	close(o.begun)
	o.call.Go(func() {
		o.run(ch)
		o.call.Hangup()
	})
}

// run sends the files by a channel.
func (o *Outgoing) run(ch *datachannel.Channel) {
	o.offered(&o.list.Offer)
	o.call.Reporter().Infof("waiting for %s to take %s", sanitize.Text(o.call.Peer()), summary(&o.list.Offer))
	o.ended(ch, filetransfer.Send(o.ctx, ch, o.list, filetransfer.SendOptions{OnEvent: o.handleEvent}))
}

// Result returns how the transfer ended, after the call.
func (o *Outgoing) Result() error {
	select {
	case <-o.over:
		return o.explain()
	default:
		return exit.Errorf(exit.Absent, "%s hung up before a data channel was open; does it take files", sanitize.Text(o.call.Peer()))
	}
}

// Send sends files by a channel of a call, closes the channel and returns how the transfer ended.
func Send(c Call, ch *datachannel.Channel, list *filetransfer.List) error {
	o := &Outgoing{transfer: newTransfer(c, "out"), list: list}
	o.run(ch)
	c.Reporter().Status("")
	return o.explain()
}

// summary is an offer in a few words, such as "3 files, 12.0 MiB: a, b, c".
func summary(o *filetransfer.Offer) string {
	const most = 3
	var names []string
	for i := range o.Entries {
		name, _, inside := strings.Cut(o.Entries[i].Name, "/")
		if inside || o.Entries[i].Dir {
			name += "/"
		}
		if name = sanitize.Text(name); slices.Contains(names, name) {
			continue
		}
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, name)
	}
	n := o.Files()
	what := fmt.Sprintf("%d files", n)
	if n == 1 {
		what = "a file"
	}
	return fmt.Sprintf("%s, %s: %s", what, filetransfer.FormatSize(o.Bytes()), strings.Join(names, ", "))
}
