package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
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

func receiveCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "receive",
		Usage:     "take files and folders that somebody sends",
		ArgsUsage: " ",
		Description: `Answers every call, and takes the files that "parley send", or a browser tab,
offers. It asks at the terminal about each offer; a script says --yes. The path of
each file that came, whole and verified, is printed to stdout.

   parley receive                                  # asks, stores in this folder
   parley receive --as inbox --into ~/Downloads --yes --max-size 2GiB
   parley receive --once --yes --from alice        # one transfer, of alice alone

Nothing is written outside the folder, and no file is replaced without --overwrite.
What a broken transfer leaves is NAME.parley-part, and goes on when it is sent again.`,
		Flags:        slices.Concat(receiveFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			if cmd.Args().Present() {
				return exit.Usagef("%s takes no %q: it answers every caller; --from NAME limits them", cmd.FullName(), sanitize.Text(cmd.Args().First()))
			}
			s, err := readSettings(cmd, std)
			if err != nil {
				return err
			}
			defer s.report.CloseInto(&err)
			if s.Name == "" {
				s.Name = "receive"
			}
			j, err := readReceive(cmd, s)
			if err != nil {
				return err
			}
			defer func() { _ = j.folder.Close() }() // nothing is buffered in it
			return j.run(ctx)
		},
	}
}

// maxUnasked bounds what is taken without asking, unless set otherwise.
const maxUnasked = 10 << 30

func receiveFlags() []cli.Flag {
	return []cli.Flag{
		config.String("into", ".", "store in `DIR`, which is made if it is not there"),
		config.Bool("yes", "take everything without asking", "y"),
		config.Strings("from", "take files of `NAME` alone; repeatable"),
		config.String("max-size", "", "refuse transfers of more than `SIZE`, such as 500MiB or 2GiB (default: 10GiB with --yes; else you are asked)"),
		config.Bool("overwrite", "replace files that are there already"),
		config.Bool("once", "end after the first transfer, with its exit code"),
		config.Duration("retry", time.Minute, "with --once, wait for `D` for a transfer that broke to be taken up again"),
		config.Duration("timeout", 0, "give up after `D` without a transfer"),
		&cli.IntFlag{Name: "max-calls", Usage: "take `N` calls at once, 0 for any number; other callers are rejected as busy", Sources: config.Variable("max-calls")},
	}
}

// receiving is what all transfers to here share.
type receiving struct {
	*settings
	answerer  *answerer
	folder    *filetransfer.Folder
	into      string
	yes, once bool
	from      []string
	maxSize   int64
	retry     time.Duration

	mu      sync.Mutex                        // guards the following
	agreed  map[string]bool                   // names and ids of what is wanted
	running map[*transfer]*filetransfer.Offer // nil until there is one
	late    *time.Timer                       // --retry, after a break
}

func readReceive(cmd *cli.Command, s *settings) (*receiving, error) {
	j := &receiving{settings: s, yes: cmd.Bool("yes"), once: cmd.Bool("once"), from: cmd.StringSlice("from"),
		retry: cmd.Duration("retry"), agreed: map[string]bool{}, running: map[*transfer]*filetransfer.Offer{}}
	if s.Dialect == signal.DialectRelay {
		return nil, exit.Usagef("receive works in the call dialect only: the relay dialect does not name the caller")
	}
	if j.yes {
		j.maxSize = maxUnasked
	} else if err := writeTerminal(""); err != nil {
		return nil, exit.Usagef("%v; --yes takes files without asking", err)
	}
	if v := cmd.String("max-size"); v != "" {
		var err error
		if j.maxSize, err = byteSize(v); err != nil {
			return nil, exit.Usagef("--max-size %q: %v", sanitize.Text(v), err)
		}
	}
	var err error
	if j.folder, err = filetransfer.OpenFolder(cmd.String("into"), cmd.Bool("overwrite")); err != nil {
		return nil, exit.Errorf(exit.Device, "--into: %w", err)
	}
	if dir := filepath.Clean(cmd.String("into")); dir != "." {
		j.into = dir + string(filepath.Separator)
	}
	return j, nil
}

func (j *receiving) run(ctx context.Context) error {
	tuneForBulk(false)
	j.attach = append(j.attach, func(c *session) {
		c.app = &incomingCall{receiving: j, session: c, begun: make(chan struct{})}
	})
	j.answerer = newAnswerer(j.settings)
	j.answerer.admits, j.answerer.ends = j.admits, j.ends
	answering, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() {
		for _, t := range j.underWay() {
			t.end(context.Cause(ctx))
		}
		stop(context.Cause(ctx))
	})()
	return j.answerer.run(answering)
}

// admits reports whether NAME may call.
func (j *receiving) admits(name string) bool {
	return len(j.from) == 0 || slices.Contains(j.from, name)
}

// underWay are the transfers that are not over.
func (j *receiving) underWay() []*transfer {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Keys(j.running))
}

// ends decides if the command ends with a call.
func (j *receiving) ends(c *session, err error) bool {
	in := c.app.(*incomingCall)
	if !j.once || !in.hasBegun() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopLate()
	if !errors.Is(err, filetransfer.ErrBroken) && exit.CodeOf(err) != exit.Connection || j.retry <= 0 {
		return true
	}
	j.report.Infof("%v; waiting for it to be taken up again", err)
	if len(j.running) == 0 {
		j.late = time.AfterFunc(j.retry, func() { j.answerer.stop(&callEnded{err}) })
	}
	return false
}

// stopLate stops the timer of --retry. The caller holds mu.
func (j *receiving) stopLate() {
	if j.late != nil {
		j.late.Stop()
		j.late = nil
	}
}

const (
	// stallTime is how long a transfer that receives nothing keeps its files if they are offered again.
	stallTime = 2 * time.Second
	// takeOverTimeout bounds the wait for that. A transfer that goes on keeps its files.
	takeOverTimeout = 3 * stallTime
)

// errTakenOver ends a transfer that has stalled and whose files are offered again, as by a sender that was
// killed and started again while the call of the first one is still up.
var errTakenOver = fmt.Errorf("the files are offered again: %w", filetransfer.ErrBroken)

// takeOver ends a transfer that has the files of an offer and has stalled.
func (j *receiving) takeOver(ctx context.Context, t *transfer, o *filetransfer.Offer) {
	for deadline := time.Now().Add(takeOverTimeout); time.Now().Before(deadline); {
		old := j.withFilesOf(t, o)
		if old == nil {
			return
		}
		idle := old.idle()
		if idle >= stallTime {
			old.end(errTakenOver)
			return
		}
		select {
		case <-old.over:
		case <-time.After(stallTime - idle):
		case <-ctx.Done():
			return
		}
	}
}

// withFilesOf returns another transfer under way that has a file of an offer to t, nil if there is none.
func (j *receiving) withFilesOf(t *transfer, o *filetransfer.Offer) *transfer {
	names := map[string]bool{}
	for i := range o.Entries {
		names[o.Entries[i].Name] = !o.Entries[i].Dir
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for other, offer := range j.running {
		if other == t || offer == nil || other.isOver() {
			continue
		}
		if slices.ContainsFunc(offer.Entries, func(e filetransfer.Entry) bool { return names[e.Name] }) {
			return other
		}
	}
	return nil
}

// incomingCall is the channelApp of a call in which files come, in any number of
// transfers.
type incomingCall struct {
	*receiving
	session *session
	begun   chan struct{} // closed when files are offered
	once    sync.Once

	mu  sync.Mutex // protects err
	err error      // of the first transfer that did not go well
}

func (i *incomingCall) channels() []datachannel.Options { return nil } // we do not call

func (i *incomingCall) ready() <-chan struct{} { return i.begun }

func (i *incomingCall) hasBegun() bool {
	select {
	case <-i.begun:
		return true
	default:
		return false
	}
}

func (i *incomingCall) opened(ch *datachannel.Channel) {
	if !ch.OpenedByPeer() || ch.Protocol() != filetransfer.Protocol {
		return
	}
	ch.Detach()
	i.once.Do(func() { close(i.begun) })
	t := newTransfer(i.session, "in")
	t.into = i.into
	i.receiving.mu.Lock()
	i.running[t] = nil
	i.stopLate()
	i.receiving.mu.Unlock()
	i.session.Go(func() { i.receive(t, ch) })
}

// receive takes one transfer.
func (i *incomingCall) receive(t *transfer, ch *datachannel.Channel) {
	offer, err := filetransfer.Receive(t.ctx, ch, i.folder, filetransfer.ReceiveOptions{
		MaxBytes: i.maxSize, Ask: func(ctx context.Context, o *filetransfer.Offer) error { return i.ask(ctx, t, o) }, OnEvent: t.happened,
	})
	if t.offer == nil {
		t.offer = offer
	}
	t.ended(ch, err)
	i.receiving.mu.Lock()
	delete(i.running, t)
	i.receiving.mu.Unlock()
	explained := t.explain()
	i.mu.Lock()
	if i.err == nil {
		i.err = explained
	}
	i.mu.Unlock()
	switch {
	case i.receiving.once:
		i.session.call.Hangup()
	case explained != nil && exit.CodeOf(explained) != exit.Interrupted:
		i.session.report.Warnf("%v", explained)
	}
}

// ask decides about an offer.
func (i *incomingCall) ask(ctx context.Context, t *transfer, o *filetransfer.Offer) error {
	t.offered(o)
	name := sanitize.Text(i.session.name)
	key := i.session.name + "\x00" + o.ID
	i.receiving.mu.Lock()
	known := i.agreed[key]
	i.receiving.mu.Unlock()
	if !known && !i.yes {
		i.session.report.ClearStatus()
		wanted, err := i.asker.ask(ctx, i.session.name, fmt.Sprintf("%s sends %s\ntake it? [y/N] ", name, summary(o)))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			i.session.report.Warnf("%v", err)
			return &filetransfer.RefusedError{Code: filetransfer.RefusedDeclined, Reason: "nobody is there to be asked"}
		case !wanted:
			return &filetransfer.RefusedError{Code: filetransfer.RefusedDeclined, Reason: "they were not wanted"}
		}
	} else {
		i.session.report.Infof("%s sends %s", name, summary(o))
	}
	i.takeOver(ctx, t, o)
	i.receiving.mu.Lock()
	defer i.receiving.mu.Unlock()
	i.running[t] = o
	if len(i.agreed) < maxAgreed {
		i.agreed[key] = true
	}
	return nil
}

// maxAgreed is how many transfers are remembered to have been wanted.
const maxAgreed = 10_000

// result implements channelApp.
func (i *incomingCall) result() error {
	if !i.receiving.once {
		return nil // each was reported
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// byteSize reads a number of bytes: 500000, 500kB, 2GiB, 2G.
func byteSize(s string) (int64, error) {
	number := strings.TrimRight(s, "KMGTkmgtiBb ")
	unit := strings.ToUpper(strings.TrimSpace(s[len(number):]))
	n, err := strconv.ParseFloat(number, 64)
	base, exact := 1024.0, unit
	switch {
	case strings.HasSuffix(unit, "IB"):
		exact = strings.TrimSuffix(unit, "IB")
	case strings.HasSuffix(unit, "B"):
		exact = strings.TrimSuffix(unit, "B")
		base = 1000
	}
	power := strings.Index("KMGT", exact) + 1
	if exact == "" {
		power = 0
	} else if len(exact) != 1 || power == 0 {
		err = strconv.ErrSyntax
	}
	for range power {
		n *= base
	}
	if err != nil || n < 1 || n > 1<<53 {
		return 0, fmt.Errorf("it is a number of bytes, such as 500MiB or 2GiB")
	}
	return int64(n), nil
}
