package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
	"parley/signal"
)

func sendCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "send",
		Usage:     "send files and folders to NAME",
		ArgsUsage: "FILE... NAME",
		Description: `Calls NAME, offers the files, and sends them if they are accepted. The peer is
"parley receive", or a browser tab. Each file is verified there by its SHA-256.
A transfer that breaks is taken up where it was: by itself within --retry, or when
the same command is run again.

   parley receive                       # here
   parley send report.pdf receive       # there

   parley send holiday/ notes.txt tab   # a folder and a file, to a page
   parley send big.iso bob --retry 1h   # bob may go and come back meanwhile

It ends with 0 when all files are there, with 12 if they were not wanted, and with
20 if a file cannot be read.`,
		Flags:        slices.Concat(sendFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, err := readSettings(cmd, std)
			if err != nil {
				return err
			}
			defer s.report.CloseInto(&err)
			args := cmd.Args().Slice()
			if len(args) < 2 {
				return exit.Usagef("%s needs a file, and whom to send it to; see %s --help", cmd.FullName(), cmd.FullName())
			}
			name := args[len(args)-1]
			if err := signal.CheckPeerName(name); err != nil {
				return exit.Usagef("the name %q cannot be called: %v", sanitize.Text(name), err)
			}
			if s.Name == "" {
				s.Name = "sender-" + randomHex(3)
			}
			return sendFiles(ctx, s, args[:len(args)-1], name, cmd.Duration("retry"))
		},
	}
}

func sendFlags() []cli.Flag {
	return []cli.Flag{
		config.Duration("timeout", 30*time.Second, "give up after `D` without a connection"),
		config.Duration("retry", time.Minute, "when the call breaks, try for `D` to take it up again; 0 for never"),
	}
}

// sendFiles sends files, in as many calls as it takes.
func sendFiles(ctx context.Context, s *settings, paths []string, name string, retry time.Duration) error {
	list, err := filetransfer.Collect(paths, func(path, why string) {
		s.report.Warnf("%s is not sent: %s", sanitize.Text(path), why)
	})
	if err != nil {
		return exit.Errorf(exit.Device, "%w", err)
	}
	tuneForBulk(false)
	j := &sending{settings: s, list: list}
	s.attach = append(s.attach, func(c *session) { c.app = j.newCall(c) })
	return j.sendWithRetry(ctx, name, retry)
}

// sending is a transfer from here, over all of its calls.
type sending struct {
	*settings
	list *filetransfer.List

	mu   sync.Mutex    // protects last
	last *outgoingCall // the call that is up, or was last; nil before
}

func (j *sending) latest() *outgoingCall {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// sendWithRetry calls until the files are there, or it makes no more sense.
func (j *sending) sendWithRetry(ctx context.Context, name string, retry time.Duration) error {
	begun := false
	var since time.Time // of the break
	for {
		err := j.call(ctx, name)
		last := j.latest()
		progress := last != nil && last.hasMoved()
		begun = begun || progress
		if progress || since.IsZero() {
			since = time.Now()
		}
		if err == nil || !begun || ctx.Err() != nil || !worthAnother(err) || time.Since(since) >= retry {
			return err
		}
		j.report.Infof("%v; trying again", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return exit.Interruption(ctx)
		}
	}
}

func (j *sending) call(ctx context.Context, name string) error {
	calling, hangUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer hangUp(nil)
	defer context.AfterFunc(ctx, func() {
		if o := j.latest(); o != nil && o.hasBegun() {
			o.end(context.Cause(ctx))
		}
		hangUp(context.Cause(ctx))
	})()
	return call(calling, j.settings, name)
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

// outgoingCall is the channelApp of a call in which files are sent.
type outgoingCall struct {
	*transfer
	list  *filetransfer.List
	begun chan struct{} // closed when the channel is open
}

func (j *sending) newCall(c *session) channelApp {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = &outgoingCall{transfer: newTransfer(c, "out"), list: j.list, begun: make(chan struct{})}
	return j.last
}

func (o *outgoingCall) ready() <-chan struct{} { return o.begun }

func (o *outgoingCall) hasBegun() bool {
	select {
	case <-o.begun:
		return true
	default:
		return false
	}
}

// hasMoved reports, of a call that is over, if the transfer got on in it.
func (o *outgoingCall) hasMoved() bool {
	select {
	case <-o.over:
		return o.moved
	default:
		return false
	}
}

func (o *outgoingCall) channels() []datachannel.Options {
	return []datachannel.Options{{Label: "files", Protocol: filetransfer.Protocol, Detached: true}}
}

func (o *outgoingCall) opened(ch *datachannel.Channel) {
	if ch.OpenedByPeer() {
		refuseTransfer(o.session, ch)
		return
	}
	close(o.begun)
	o.session.Go(func() {
		o.run(ch)
		o.session.call.Hangup()
	})
}

// run sends the files by a channel.
func (o *outgoingCall) run(ch *datachannel.Channel) {
	o.offered(&o.list.Offer)
	o.session.report.Infof("waiting for %s to take %s", sanitize.Text(o.session.name), summary(&o.list.Offer))
	o.ended(ch, filetransfer.Send(o.ctx, ch, o.list, filetransfer.SendOptions{OnEvent: o.happened}))
}

func (o *outgoingCall) result() error {
	select {
	case <-o.over:
		return o.explain()
	default:
		return exit.Errorf(exit.Absent, "%s hung up before a data channel was open; does it take files", sanitize.Text(o.session.name))
	}
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
