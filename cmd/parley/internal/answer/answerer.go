// Package answer answers calls.
package answer

import (
	"context"
	"errors"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/mediaout"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/media/source"
	"parley/media/testsignal"
	"parley/peer"
	"parley/signal"
)

// Answerer answers calls, several at once.
type Answerer struct {
	options   *session.Options
	resources *resources.Resources
	Signaling *signaling.Conn
	Partner   string // the caller in the relay dialect, whose messages do not name it
	Once      bool
	Echo      bool
	// sourceTimeout bounds the wait for the first media of a source, such as a program, after which
	// the caller is rejected.
	sourceTimeout time.Duration
	signIn        func(context.Context, *session.Options, *resources.Resources) (*signaling.Conn, error)
	Ready         func()                                         // called once calls can come; nil for none
	Admits        func(name string) bool                         // reports whether a user may call; nil for everybody
	Ends          func(c *session.Session, err error) (end bool) // decides if a call was the last; nil for the usual rule
	User          User                                           // nil to answer all calls
	Timeout       time.Duration                                  // without a call that ends the answerer, 0 for none

	Calls session.Calls
	work  sync.WaitGroup
	Stop  context.CancelCauseFunc

	mu      sync.Mutex              // guards the following, and that a call is in one of opening and calls
	opening map[string]*openingCall // by name
	gone    error                   // why there is no signaling server any more
}

// User decides about the calls of an answerer, and follows them. The methods are called by several
// goroutines.
type User interface {
	// Start is called once calls can come. ctx ends with the answerer, which then calls stop.
	Start(ctx context.Context) (stop func(), err error)
	// Accept reports whether a call is to be answered. ctx ends when the caller hangs up.
	Accept(ctx context.Context, name string) (bool, error)
	// Left is called when a caller has hung up before the call was answered.
	Left(name string)
	// Failed is called when a call to a peer has not begun, with no error if it was canceled.
	Failed(name string, err error)
	// Begun is called before a call runs, and Ended after it.
	Begun(*session.Session)
	Ended(ctx context.Context, c *session.Session, err error)
}

func (a *Answerer) Run(ctx context.Context) error {
	if err := a.tryMedia(ctx); err != nil {
		return err
	}
	if err := a.resources.Open(a.options.ResourcesOptions()); err != nil {
		return err
	}
	defer a.resources.Close()
	var err error
	if a.Signaling, err = a.signIn(ctx, a.options, a.resources); err != nil {
		return err
	}
	defer a.Signaling.Close()
	if a.User == nil {
		a.resources.Report.Infof("waiting for calls to %s", sanitize.Text(a.options.Name))
	}
	if a.Ready != nil {
		a.Ready()
	}
	ctx, a.Stop = context.WithCancelCause(ctx)
	defer a.Stop(nil)
	if a.Timeout > 0 {
		timer := time.AfterFunc(a.Timeout, func() { a.Stop(session.ErrTimeout) })
		defer timer.Stop()
	}
	a.Signaling.OnSessionLost(a.Calls.SignalingRestored)
	stopInput, err := session.ReadInput(a.options, a.resources, a.Calls.Find)
	if err != nil {
		return err
	}
	defer stopInput()
	stopUser := func() {}
	if a.User != nil {
		if stopUser, err = a.User.Start(ctx); err != nil {
			return err
		}
	}
	a.route(ctx)
	stopUser()
	a.work.Wait()
	return a.result(ctx)
}

// tryMedia opens what would be sent once, and checks that a recording can be
// created, so that a missing file is known before anybody calls. Standard input and a FIFO can be
// read once only, and a program may do more than write media.
func (a *Answerer) tryMedia(ctx context.Context) error {
	if !a.Once && (a.options.Video == "-" || a.options.Audio == "-") {
		return exit.Usagef("standard input can go to one call only: add --once")
	}
	tried := *a.options
	if source.IsReadOnce(tried.Video) {
		tried.Video = ""
	}
	if source.IsReadOnce(tried.Audio) {
		tried.Audio = ""
	}
	sources := mediaout.New(ctx, mediaout.Options{MediaOut: tried.MediaOut, Stdin: a.resources.Stdin, Devices: a.resources.Devices, Epoch: testsignal.NewEpoch(), Warn: a.resources.Warn, Logger: a.resources.Logger})
	defer sources.Close()
	if err := sources.OpenSources(ctx); err != nil {
		return err
	}
	return mediain.CheckRecordFile(a.options.MediaIn)
}

// result is how the command ends, by the cause of its context.
func (a *Answerer) result(ctx context.Context) error {
	cause := context.Cause(ctx)
	var ended *CallEnded
	switch {
	case errors.Is(cause, session.ErrTimeout) && len(a.options.Checks) > 0:
		return event.NewExpectations(a.options.Checks, func(event.Check, bool, event.Value) {}).Err()
	case errors.Is(cause, session.ErrTimeout):
		return exit.Errorf(exit.Timeout, "gave up after %s", a.options.Timeout)
	case errors.As(cause, &ended):
		return ended.Err
	case errors.As(cause, new(*exit.SignalError)):
		return &exit.ReportedError{Err: cause}
	}
	return cause
}

// CallEnded is the cause for an answerer that ends with a call.
type CallEnded struct{ Err error }

func (*CallEnded) Error() string { return "the call ended" }

// route takes the messages of the server until ctx is done.
func (a *Answerer) route(ctx context.Context) {
	for {
		m, err := a.Signaling.Receive(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.lost(err)
			return
		}
		if m.Peer == "" {
			m.Peer = a.Partner
		}
		switch {
		case a.keep(ctx, m):
		case m.Type == signal.Offer:
			a.offered(ctx, m)
		default:
			if c := a.Calls.Get(m.Peer); c != nil {
				c.Deliver(m)
			}
		}
	}
}

// lost ends the answerer once the calls that are up have ended by themselves.
func (a *Answerer) lost(err error) {
	a.Signaling.Lost(err)
	a.mu.Lock()
	a.gone = err
	for _, o := range a.opening {
		o.cancel(err)
	}
	for _, c := range a.Calls.All() {
		c.SignalingLost(err)
	}
	a.mu.Unlock()
	a.work.Wait()
	a.Stop(err)
}

// offered takes an offer: of a call that is up, or of a new one.
func (a *Answerer) offered(ctx context.Context, m signal.Message) {
	old := a.Calls.Get(m.Peer)
	if old != nil && old.Continues(m.SDP) {
		old.Deliver(m)
		return
	}
	if old != nil {
		old.Call.DeliverLeave() // a page that was loaded anew
	}
	if m.Peer == "" {
		a.resources.Report.Warnf("an offer came from nobody, and was ignored")
		return
	}
	if old == nil && (a.busy() || a.Admits != nil && !a.Admits(m.Peer)) {
		a.Signaling.RejectBusy(ctx, m)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start(ctx, &openingCall{peer: m.Peer, asking: a.User != nil, messages: []signal.Message{m}})
}

// busy reports whether there is no room for one more call.
func (a *Answerer) busy() bool {
	most := a.options.MaxCalls
	if a.Once {
		most = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	asking := 0
	for _, o := range a.opening {
		if o.asking {
			asking++
		}
	}
	return asking >= maxAsking || most > 0 && len(a.Calls.All())+len(a.opening)-asking >= most
}

// openingCall is a call that the user is asked about, or whose sources are being opened, guarded by
// answerer.mu.
type openingCall struct {
	peer     string
	caller   bool              // we call
	wait     time.Duration     // for the peer to sign in, 0 for not at all
	presence *session.Presence // set by open, nil without wait
	asking   bool              // the user has not accepted it yet
	messages []signal.Message  // of the peer: the offer and what has come since
	cancel   context.CancelCauseFunc
}

// Bounds of the calls that are opened.
const (
	maxAsking          = 32        // calls that the user is asked about
	maxOpeningMessages = 500       // messages of a peer
	maxOpeningBytes    = 256 << 10 // of those
)

// add keeps a message, unless there are too many.
func (o *openingCall) add(m signal.Message) {
	size := 0
	for _, m := range append(o.messages, m) {
		size += len(m.SDP)
		if m.Candidate != nil {
			size += len(m.Candidate.Candidate)
		}
	}
	if len(o.messages) < maxOpeningMessages && size <= maxOpeningBytes {
		o.messages = append(o.messages, m)
	}
}

// defaultSourceTimeout is the usual answerer.sourceTimeout.
const defaultSourceTimeout = 30 * time.Second

// New returns an answerer without calls.
func New(o *session.Options, r *resources.Resources) *Answerer {
	return &Answerer{options: o, resources: r, sourceTimeout: defaultSourceTimeout, signIn: session.SignIn, Timeout: o.Timeout, opening: map[string]*openingCall{}}
}

// Why a call does not begin once its sources are open.
var (
	errCallerLeft     = errors.New("the caller has hung up")
	errCallerReplaced = errors.New("the caller calls again")
	errDeclined       = errors.New("the user has declined the call")
	errHungUp         = errors.New("the user has hung up")
)

// keep keeps a message of a peer whose call is being opened. It reports whether it is one.
func (a *Answerer) keep(ctx context.Context, m signal.Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.opening[m.Peer]
	if m.Peer == "" && m.Type != signal.Offer && len(a.opening) == 1 { // the wire does not name the sender
		for _, o = range a.opening {
		}
	}
	if o == nil {
		return false
	}
	again := m.Type == signal.Offer && (len(o.messages) == 0 || m.SDP != o.messages[0].SDP) // a page that was loaded anew
	switch {
	case m.Type == signal.Leave && o.caller:
		o.messages = nil // they are of a call that the peer has given up
	case m.Type == signal.Leave:
		o.cancel(errCallerLeft)
	case again && (o.caller || o.asking):
		o.messages = []signal.Message{m}
	case again:
		o.cancel(errCallerReplaced)
		a.start(ctx, &openingCall{peer: m.Peer, messages: []signal.Message{m}})
	default:
		o.add(m)
	}
	return true
}

// Call calls a user once the sources are open and, within wait, the user is signed in. It returns
// at once. Until the call has begun it can be canceled.
func (a *Answerer) Call(ctx context.Context, name string, wait time.Duration) (cancel func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.Calls.Get(name); a.opening[name] != nil || c != nil && c.Context().Err() == nil {
		return nil, errors.New("there is a call already")
	}
	if a.gone != nil {
		return nil, a.gone
	}
	o := &openingCall{peer: name, caller: true, wait: wait}
	a.start(ctx, o)
	return func() { o.cancel(errHungUp) }, nil
}

// start makes a call once the user has accepted it and its sources are open. Meanwhile others are
// made: a program may take its time before it sends media. The caller holds mu.
func (a *Answerer) start(ctx context.Context, o *openingCall) {
	opening, cancel := context.WithCancelCause(ctx)
	o.cancel = cancel
	a.opening[o.peer] = o
	a.work.Go(func() {
		defer cancel(nil)
		c, err := a.open(opening, o)
		if c, err = a.begin(opening, o, c, err); err != nil {
			a.reject(ctx, o, err)
			return
		}
		if a.User != nil {
			a.User.Begun(c)
		}
		err = c.Run(ctx)
		a.Calls.Remove(c)
		a.ended(ctx, c, err)
	})
}

// accepted asks the user about a call, and returns its offer, nil for a call of ours.
func (a *Answerer) accepted(ctx context.Context, o *openingCall) (*peer.Description, error) {
	if o.caller {
		return nil, nil
	}
	if o.asking {
		yes, err := a.User.Accept(ctx, o.peer)
		if err != nil {
			return nil, err
		}
		if !yes {
			return nil, errDeclined
		}
	}
	a.mu.Lock()
	o.asking = false
	offer := o.messages[0]
	a.mu.Unlock()
	d, err := peer.ParseDescription(offer.SDP)
	if err != nil {
		return nil, &peer.Error{Stage: peer.Negotiation, Err: err}
	}
	return d, nil
}

// open opens the sources of a call that the user accepts. The error is the cause of the end of ctx,
// if that was why.
func (a *Answerer) open(ctx context.Context, o *openingCall) (*session.Session, error) {
	offer, err := a.accepted(ctx, o)
	if err != nil {
		return nil, err
	}
	patient, stop := context.WithTimeoutCause(ctx, a.sourceTimeout, exit.Errorf(exit.Device, "the source sent no media within %s", a.sourceTimeout))
	defer stop()
	c, err := session.New(patient, session.Config{Options: a.options, Resources: a.resources, Peer: o.peer, Caller: o.caller, Echo: a.Echo, Offer: offer})
	if err != nil && patient.Err() != nil {
		err = context.Cause(patient)
	}
	if err != nil {
		return nil, err
	}
	if o.presence, err = session.AwaitPresence(ctx, a.Signaling, o.peer, o.wait, a.resources.Report, false); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// begin makes a call whose sources are open, with the messages that came meanwhile. It returns err,
// and the cause of the end of ctx if the caller has left.
func (a *Answerer) begin(ctx context.Context, o *openingCall, c *session.Session, err error) (*session.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opening[o.peer] == o {
		delete(a.opening, o.peer)
	}
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		c.Close()
		return nil, context.Cause(ctx)
	}
	o.presence.Attach(c)
	if err := c.Place(a.Signaling.To(o.peer)); err != nil {
		return nil, err
	}
	a.Calls.Add(c)
	for _, m := range o.messages {
		c.Deliver(m)
	}
	return c, nil
}

// leaveTimeout bounds sending that a call is not answered.
const leaveTimeout = 2 * time.Second

// reject ends a call that does not begin because of err.
func (a *Answerer) reject(ctx context.Context, o *openingCall, err error) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	to := a.Signaling.To(o.peer)
	defer to.End()
	switch {
	case o.caller:
		a.mu.Lock()
		called := len(o.messages) > 0
		a.mu.Unlock()
		if called { // by the peer, at the same time
			_ = to.Leave(sending)
		}
		if errors.Is(err, errHungUp) || ctx.Err() != nil {
			err = nil
		}
		a.User.Failed(o.peer, err)
		return
	case errors.Is(err, errCallerReplaced):
		return
	case errors.Is(err, errCallerLeft) && a.User != nil:
		a.User.Left(o.peer)
	case errors.Is(err, errCallerLeft):
		a.resources.Report.Infof("%s hung up before the call was answered", sanitize.Text(o.peer))
		err = nil
	case ctx.Err() != nil, errors.Is(err, errDeclined):
		_ = to.Leave(sending) // lost signaling is noticed by route
		return
	default:
		a.resources.Report.Warnf("the call of %s is not answered: %v", sanitize.Text(o.peer), err)
		a.mu.Lock()
		offer := o.messages[0]
		a.mu.Unlock()
		if rejection, ok := peer.Reject(signaling.Description(offer), err); ok {
			_ = to.Answer(sending, rejection)
		}
		_ = to.Leave(sending) // lost signaling is noticed by route
	}
	if a.Once {
		a.Stop(&CallEnded{err})
	}
}

// ended decides if the answerer ends with a call.
func (a *Answerer) ended(ctx context.Context, c *session.Session, err error) {
	switch {
	case a.User != nil:
		a.User.Ended(ctx, c, err)
	case ctx.Err() != nil:
	case a.Ends != nil:
		if a.Ends(c, err) {
			a.Stop(&CallEnded{err})
		} else if err == nil {
			a.resources.Report.Infof("waiting for the next call")
		}
	case a.Once, err == nil && len(a.options.Checks) > 0:
		a.Stop(&CallEnded{err})
	case err != nil:
		a.resources.Report.Warnf("%v", err)
	default:
		a.resources.Report.Infof("waiting for the next call")
	}
}
