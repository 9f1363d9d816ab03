package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media/testsignal"
	"parley/peer"
	"parley/signal"
)

// answerer answers calls, several at once.
type answerer struct {
	*settings
	signaling *signalingConn
	partner   string // the caller in the relay dialect, whose messages do not name it
	once      bool
	echo      bool
	// sourceTimeout bounds the wait for the first media of a source, such as a program, after which the
	// caller is rejected.
	sourceTimeout time.Duration
	ready         func()                                 // called once calls can come; nil for none
	admits        func(name string) bool                 // reports whether a user may call; nil for everybody
	ends          func(c *session, err error) (end bool) // decides if a call was the last; nil for the usual rule

	calls callSet
	work  sync.WaitGroup
	stop  context.CancelCauseFunc

	mu      sync.Mutex              // guards the following, and that a call is in one of opening and calls
	opening map[string]*openingCall // by name
}

func (a *answerer) run(ctx context.Context) error {
	if err := a.tryMedia(ctx); err != nil {
		return err
	}
	release, err := a.openShared()
	if err != nil {
		return err
	}
	defer release()
	leave, err := a.openShow()
	if err != nil {
		return err
	}
	defer leave()
	if a.signaling, err = a.signIn(ctx); err != nil {
		return err
	}
	defer a.signaling.close()
	a.report.Infof("waiting for calls to %s", sanitize.Text(a.Name))
	if a.ready != nil {
		a.ready()
	}
	ctx, a.stop = context.WithCancelCause(ctx)
	defer a.stop(nil)
	if a.Timeout > 0 {
		timer := time.AfterFunc(a.Timeout, func() { a.stop(errTimeout) })
		defer timer.Stop()
	}
	a.signaling.onSessionLost(a.calls.signalingRestored)
	stopInput, err := a.commands(a.calls.find)
	if err != nil {
		return err
	}
	defer stopInput()
	a.route(ctx)
	a.work.Wait()
	return a.result(ctx)
}

// tryMedia opens what would be sent once, and checks that a recording can be
// created, so that a missing file is known before anybody calls. Standard input comes but once, and a program may do more
// than write media.
func (a *answerer) tryMedia(ctx context.Context) error {
	if !a.once && (a.Video == "-" || a.Audio == "-") {
		return exit.Usagef("standard input can go to one call only: add --once")
	}
	tried := *a.settings
	if runsOnce(tried.Video) {
		tried.Video = ""
	}
	if runsOnce(tried.Audio) {
		tried.Audio = ""
	}
	sources := newSenders(ctx, sendersOptions{MediaOut: tried.MediaOut, Stdin: a.stdin, Devices: a.devices, Epoch: testsignal.NewEpoch(), Warn: a.warn, Logger: a.logger})
	defer sources.close()
	if err := sources.openSources(ctx); err != nil {
		return err
	}
	return checkRecordFile(a.MediaIn)
}

func runsOnce(source string) bool { return source == "-" || strings.HasPrefix(source, "exec:") }

// result is how the command ends, by the cause of its context.
func (a *answerer) result(ctx context.Context) error {
	cause := context.Cause(ctx)
	var ended *callEnded
	switch {
	case errors.Is(cause, errTimeout) && len(a.Checks) > 0:
		return event.NewExpectations(a.Checks, func(event.Check, bool, event.Value) {}).Err()
	case errors.Is(cause, errTimeout):
		return exit.Errorf(exit.Timeout, "gave up after %s", a.Timeout)
	case errors.As(cause, &ended):
		return ended.err
	case errors.As(cause, new(*exit.SignalError)):
		return &exit.ReportedError{Err: cause}
	}
	return cause
}

// callEnded is the cause for an answerer that ends with a call.
type callEnded struct{ err error }

func (*callEnded) Error() string { return "the call ended" }

// route takes the messages of the server until ctx is done.
func (a *answerer) route(ctx context.Context) {
	for {
		m, err := a.signaling.receive(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.lost(err)
			return
		}
		if m.Peer == "" {
			m.Peer = a.partner
		}
		switch {
		case a.keep(m):
		case m.Type == signal.Offer:
			a.offered(ctx, m)
		default:
			if c := a.calls.get(m.Peer); c != nil {
				c.deliver(m)
			}
		}
	}
}

// lost ends the answerer once the calls that are up have ended by themselves.
func (a *answerer) lost(err error) {
	a.signaling.lost(err)
	a.mu.Lock()
	for _, o := range a.opening {
		o.cancel(err)
	}
	for _, c := range a.calls.all() {
		c.signalingLost(err)
	}
	a.mu.Unlock()
	a.work.Wait()
	a.stop(err)
}

// offered takes an offer: of a call that is up, or of a new one.
func (a *answerer) offered(ctx context.Context, m signal.Message) {
	old := a.calls.get(m.Peer)
	if old != nil && old.continues(m.SDP) {
		old.deliver(m)
		return
	}
	if old != nil {
		old.call.DeliverLeave() // a page that was loaded anew
	}
	if m.Peer == "" {
		a.report.Warnf("an offer came from nobody, and was ignored")
		return
	}
	if old == nil && (a.busy() || a.admits != nil && !a.admits(m.Peer)) {
		a.signaling.rejectBusy(ctx, m)
		return
	}
	a.answer(ctx, m)
}

// busy reports whether there is no room for one more call.
func (a *answerer) busy() bool {
	most := a.MaxCalls
	if a.once {
		most = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return most > 0 && len(a.calls.all())+len(a.opening) >= most
}

// openingCall is a call whose sources are being opened. It is guarded by answerer.mu.
type openingCall struct {
	messages []signal.Message // of the peer: the offer and what has come since
	cancel   context.CancelCauseFunc
}

// maxOpeningMessages bounds the messages of a caller that are kept meanwhile.
const maxOpeningMessages = 500

// defaultSourceTimeout is the usual answerer.sourceTimeout.
const defaultSourceTimeout = 30 * time.Second

// newAnswerer returns an answerer without calls.
func newAnswerer(s *settings) *answerer {
	return &answerer{settings: s, sourceTimeout: defaultSourceTimeout, opening: map[string]*openingCall{}}
}

// Why a call is not answered once its sources are open.
var (
	errCallerLeft     = errors.New("the caller has hung up")
	errCallerReplaced = errors.New("the caller calls again")
)

// keep keeps a message of a caller whose call is being opened. It reports whether it is one.
func (a *answerer) keep(m signal.Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.opening[m.Peer]
	if m.Peer == "" && m.Type != signal.Offer && len(a.opening) == 1 { // the wire does not name the sender
		for _, o = range a.opening {
		}
	}
	switch {
	case o == nil:
		return false
	case m.Type == signal.Leave:
		o.cancel(errCallerLeft)
	case m.Type == signal.Offer && m.SDP != o.messages[0].SDP: // a page that was loaded anew
		delete(a.opening, m.Peer)
		o.cancel(errCallerReplaced)
		return false
	case len(o.messages) < maxOpeningMessages:
		o.messages = append(o.messages, m)
	}
	return true
}

// answer answers a call once its sources are open. Meanwhile others are answered: a program may take its
// time before it sends media.
func (a *answerer) answer(ctx context.Context, offer signal.Message) {
	opening, cancel := context.WithCancelCause(ctx)
	o := &openingCall{messages: []signal.Message{offer}, cancel: cancel}
	a.mu.Lock()
	a.opening[offer.Peer] = o
	a.mu.Unlock()
	a.work.Go(func() {
		defer cancel(nil)
		c, err := a.open(opening, offer)
		if c, err = a.begin(opening, o, c, err); err != nil {
			a.reject(ctx, offer, err)
			return
		}
		err = c.run(ctx)
		a.calls.remove(c)
		a.ended(ctx, c, err)
	})
}

// open opens the sources of a call. The error is the cause of the end of ctx, if that was why.
func (a *answerer) open(ctx context.Context, offer signal.Message) (*session, error) {
	d, err := peer.ParseDescription(offer.SDP)
	if err != nil {
		return nil, &peer.Error{Stage: peer.Negotiation, Err: err}
	}
	patient, stop := context.WithTimeoutCause(ctx, a.sourceTimeout, exit.Errorf(exit.Device, "its source sent no media within %s", a.sourceTimeout))
	defer stop()
	c, err := openSession(patient, a.settings, offer.Peer, false, a.echo, d)
	if err != nil && patient.Err() != nil {
		err = context.Cause(patient)
	}
	return c, err
}

// begin makes a call whose sources are open, with the messages that came meanwhile. It returns err, and
// the cause of the end of ctx if the caller has left.
func (a *answerer) begin(ctx context.Context, o *openingCall, c *session, err error) (*session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := o.messages[0].Peer
	if a.opening[name] == o {
		delete(a.opening, name)
	}
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		c.closeMedia()
		return nil, context.Cause(ctx)
	}
	if err := c.place(a.signaling.to(name)); err != nil {
		return nil, err
	}
	a.calls.add(c)
	for _, m := range o.messages {
		c.deliver(m)
	}
	return c, nil
}

// leaveTimeout bounds sending that a call is not answered.
const leaveTimeout = 2 * time.Second

// reject ends a call that is not answered because of err.
func (a *answerer) reject(ctx context.Context, offer signal.Message, err error) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	to := a.signaling.to(offer.Peer)
	switch {
	case errors.Is(err, errCallerReplaced):
		return
	case errors.Is(err, errCallerLeft):
		a.report.Infof("%s hung up before the call was answered", sanitize.Text(offer.Peer))
		err = nil
	case ctx.Err() != nil:
		_ = to.Leave(sending) // the command ends
		return
	default:
		a.report.Warnf("the call of %s is not answered: %v", sanitize.Text(offer.Peer), err)
		if rejection, ok := peer.Reject(description(offer), err); ok {
			_ = to.Answer(sending, rejection)
		}
		_ = to.Leave(sending) // lost signaling is noticed by route
	}
	if a.once {
		a.stop(&callEnded{err})
	}
}

// ended decides if the answerer ends with a call.
func (a *answerer) ended(ctx context.Context, c *session, err error) {
	switch {
	case ctx.Err() != nil:
	case a.ends != nil:
		if a.ends(c, err) {
			a.stop(&callEnded{err})
		} else if err == nil {
			a.report.Infof("waiting for the next call")
		}
	case a.once, err == nil && len(a.Checks) > 0:
		a.stop(&callEnded{err})
	case err != nil:
		a.report.Warnf("%v", err)
	default:
		a.report.Infof("waiting for the next call")
	}
}
