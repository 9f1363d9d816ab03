package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
)

// ReceiverOptions configure a Receiver.
type ReceiverOptions struct {
	Folder    *filetransfer.Folder
	Into      string        // prefix of the paths that are reported
	Yes, Once bool          // accept all offers; end after the first transfer
	From      []string      // names whose calls are answered; none for all
	MaxSize   int64         // bytes of a transfer, 0 for any number
	Retry     time.Duration // with Once, the wait for a broken transfer to be resumed
	// Ask asks the user a question about a peer.
	Ask      func(ctx context.Context, peer, question string) (bool, error)
	Reporter *event.Reporter
	// Stop ends the command with an error of a call, with Once.
	Stop func(error)
}

// Receiver receives files in any number of calls.
type Receiver struct {
	ReceiverOptions

	mu      sync.Mutex                        // guards the following
	agreed  map[string]bool                   // names and ids of what is wanted
	running map[*transfer]*filetransfer.Offer // nil until there is one
	late    *time.Timer                       // Retry, after a break
}

// NewReceiver returns a receiver.
func NewReceiver(o ReceiverOptions) *Receiver {
	return &Receiver{ReceiverOptions: o, agreed: map[string]bool{}, running: map[*transfer]*filetransfer.Offer{}}
}

// Run answers calls with answer until that returns. The end of ctx ends the transfers before the
// calls, so that their peers get the reason.
func (r *Receiver) Run(ctx context.Context, answer func(context.Context) error) error {
	answering, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() {
		for _, t := range r.underWay() {
			t.end(context.Cause(ctx))
		}
		stop(context.Cause(ctx))
	})()
	return answer(answering)
}

// Admits reports whether a user may call.
func (r *Receiver) Admits(name string) bool {
	return len(r.From) == 0 || slices.Contains(r.From, name)
}

// begin adds a transfer that has no offer yet.
func (r *Receiver) begin(t *transfer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[t] = nil
	r.stopLate()
}

// end removes a transfer.
func (r *Receiver) end(t *transfer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, t)
}

func (r *Receiver) hasAgreed(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agreed[key]
}

// agree notes the offer of a transfer that is wanted, and its key for when it is resumed.
func (r *Receiver) agree(t *transfer, o *filetransfer.Offer, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[t] = o
	if len(r.agreed) < maxAgreed {
		r.agreed[key] = true
	}
}

// underWay are the transfers that are not over.
func (r *Receiver) underWay() []*transfer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.running))
}

// Ends reports whether the command ends with a call that has ended with err.
func (r *Receiver) Ends(in *Incoming, err error) bool {
	if !r.Once || !in.hasBegun() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopLate()
	if !errors.Is(err, filetransfer.ErrBroken) && exit.CodeOf(err) != exit.Connection || r.Retry <= 0 {
		return true
	}
	r.Reporter.Infof("%v; waiting for it to be taken up again", err)
	if len(r.running) == 0 {
		r.late = time.AfterFunc(r.Retry, func() { r.Stop(err) })
	}
	return false
}

// stopLate stops the timer of --retry. The caller holds mu.
func (r *Receiver) stopLate() {
	if r.late != nil {
		r.late.Stop()
		r.late = nil
	}
}

const (
	// stallTime is how long a transfer that receives nothing keeps its files if they are offered
	// again.
	stallTime = 2 * time.Second
	// takeOverTimeout bounds the wait for that. A transfer that goes on keeps its files.
	takeOverTimeout = 3 * stallTime
)

// errTakenOver ends a transfer that has stalled and whose files are offered again, as by a sender
// that was killed and started again while the call of the first one is still up.
var errTakenOver = fmt.Errorf("the files are offered again: %w", filetransfer.ErrBroken)

// takeOver ends a transfer that has the files of an offer and has stalled.
func (r *Receiver) takeOver(ctx context.Context, t *transfer, o *filetransfer.Offer) {
	for deadline := time.Now().Add(takeOverTimeout); time.Now().Before(deadline); {
		old := r.withFilesOf(t, o)
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

// withFilesOf returns another transfer under way that has a file of an offer to t, nil if there is
// none.
func (r *Receiver) withFilesOf(t *transfer, o *filetransfer.Offer) *transfer {
	names := map[string]bool{}
	for i := range o.Entries {
		names[o.Entries[i].Name] = !o.Entries[i].Dir
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, offer := range r.running {
		if other == t || offer == nil || other.isOver() {
			continue
		}
		if slices.ContainsFunc(offer.Entries, func(e filetransfer.Entry) bool { return names[e.Name] }) {
			return other
		}
	}
	return nil
}

// Incoming is the channel application of a call in which files come, in any number of
// transfers.
type Incoming struct {
	receiver *Receiver
	call     Call
	begun    chan struct{} // closed when files are offered
	once     sync.Once

	mu  sync.Mutex // guards err
	err error      // of the first transfer that did not go well
}

// NewCall returns the channel application of a call.
func (r *Receiver) NewCall(c Call) *Incoming {
	return &Incoming{receiver: r, call: c, begun: make(chan struct{})}
}

// Channels returns no channels: a receiver does not call.
func (i *Incoming) Channels() []datachannel.Options { return nil }

// Ready returns a channel that is closed when files are offered.
func (i *Incoming) Ready() <-chan struct{} { return i.begun }

func (i *Incoming) hasBegun() bool {
	select {
	case <-i.begun:
		return true
	default:
		return false
	}
}

// Opened receives files by a channel of the peer.
func (i *Incoming) Opened(ch *datachannel.Channel) {
	if !ch.OpenedByPeer() || ch.Protocol() != filetransfer.Protocol {
		return
	}
	ch.Detach()
	i.once.Do(func() { close(i.begun) })
	t := newTransfer(i.call, "in")
	t.into = i.receiver.Into
	i.receiver.begin(t)
	i.call.Go(func() { i.receive(t, ch) })
}

// receive takes one transfer.
func (i *Incoming) receive(t *transfer, ch *datachannel.Channel) {
	offer, err := filetransfer.Receive(t.ctx, ch, i.receiver.Folder, filetransfer.ReceiveOptions{
		MaxBytes: i.receiver.MaxSize, Ask: func(ctx context.Context, o *filetransfer.Offer) error { return i.ask(ctx, t, o) }, OnEvent: t.handleEvent,
	})
	if t.offer == nil {
		t.offer = offer
	}
	t.ended(ch, err)
	i.receiver.end(t)
	explained := t.explain()
	i.mu.Lock()
	if i.err == nil {
		i.err = explained
	}
	i.mu.Unlock()
	switch {
	case i.receiver.Once:
		i.call.Hangup()
	case explained != nil && exit.CodeOf(explained) != exit.Interrupted:
		i.call.Reporter().Warnf("%v", explained)
	}
}

// ask decides about an offer.
func (i *Incoming) ask(ctx context.Context, t *transfer, o *filetransfer.Offer) error {
	t.offered(o)
	name := sanitize.Text(i.call.Peer())
	key := i.call.Peer() + "\x00" + o.ID
	if !i.receiver.Yes && !i.receiver.hasAgreed(key) {
		i.call.Reporter().ClearStatus()
		wanted, err := i.receiver.Ask(ctx, i.call.Peer(), fmt.Sprintf("%s sends %s\ntake it? [y/N] ", name, summary(o)))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			i.call.Reporter().Warnf("%v", err)
			return &filetransfer.RefusedError{Code: filetransfer.RefusedDeclined, Reason: "the user cannot be asked"}
		case !wanted:
			return &filetransfer.RefusedError{Code: filetransfer.RefusedDeclined, Reason: "they were not wanted"}
		}
	} else {
		i.call.Reporter().Infof("%s sends %s", name, summary(o))
	}
	i.receiver.takeOver(ctx, t, o)
	i.receiver.agree(t, o, key)
	return nil
}

// maxAgreed is how many transfers are remembered to have been wanted.
const maxAgreed = 10_000

// Result returns how the first failed transfer ended, after the call.
func (i *Incoming) Result() error {
	if !i.receiver.Once {
		return nil // each was reported
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}
