// Package signaling connects calls to the signaling server.
package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling/whipcall"
	"parley/peer"
	"parley/signal"
	"parley/signal/client"
)

// DialTimeout bounds reaching and logging in to the signaling server, where
// --timeout does not.
const DialTimeout = 10 * time.Second

// Options are the options of a Conn.
type Options struct {
	config.Signaling
	ICEServers []webrtc.ICEServer // in addition to those that the server hands out
	RelayOnly  bool               // a TURN server is needed
	Timeout    time.Duration      // that bounds SignIn, for its errors; 0 for none
	RetryTaken bool               // a name that is taken is tried again until Timeout
	WHIP       config.WHIP        // an endpoint in place of the server
	// Open opens a transport in place of the connection to the signaling server, and Server names
	// it in messages. Its error has an exit code. Nil for the server.
	Open   func(ctx context.Context) (Transport, error)
	Report *event.Reporter
	Logger *slog.Logger
}

// Conn is this peer's connection to the signaling server.
type Conn struct {
	Options
	transport    Transport
	server       *client.Client // of transport; nil if that is of another kind than a signaling server
	disconnected atomic.Bool    // the server is lost, and not back
	up           atomic.Int32   // calls that are up, and may need the server again
	sessionLost  atomic.Value   // func(): called when the server is back and has forgotten the calls
}

// SignIn opens the transport, which reaches the server and logs in.
func SignIn(ctx context.Context, o Options) (*Conn, error) {
	l := &Conn{Options: o}
	if o.WHIP.Endpoint != nil {
		l.transport = whipTransport{whipcall.New(l.whipOptions())}
		return l, nil
	}
	connect := l.dial
	if o.Open != nil {
		connect = l.open
	}
	if err := connect(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens the transport of another kind than a signaling server.
func (l *Conn) open(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	t, err := l.Open(opening)
	switch {
	case err == nil:
	case exit.Interruption(ctx) != nil:
		return exit.Interruption(ctx)
	case ctx.Err() != nil:
		return exit.Errorf(exit.Timeout, "gave up after %s: %w", l.Timeout, err)
	default:
		return err
	}
	l.transport = t
	l.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "connected", "server", l.Server)})
	l.reportLogin(nil)
	return nil
}

// dial reaches the signaling server and logs in.
func (l *Conn) dial(ctx context.Context) error {
	o := &l.Options
	dialing, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	c, err := client.Dial(dialing, o.Server, &client.Options{
		Dialect: o.Dialect, Header: o.Header, TLS: o.TLS, Token: o.Token, Resume: true, OnState: l.changed, Logger: o.Logger,
		ShouldRetry: func() bool { return l.up.Load() > 0 },
	})
	if err != nil {
		return o.unreached(ctx, err)
	}
	o.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "connected", "server", o.Server),
		Message: "reached " + sanitize.Text(o.Server), Detail: true})
	if err := o.logIn(ctx, c); err != nil {
		_ = c.Close() // the login says more
		return err
	}
	l.server, l.transport = c, serverTransport{c}
	return nil
}

// unreached is the error of a server that was not reached.
func (s *Options) unreached(ctx context.Context, err error) error {
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	if ctx.Err() != nil {
		return exit.Errorf(exit.Timeout, "gave up after %s: the signaling server %s does not answer", s.Timeout, sanitize.Text(s.Server))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exit.Errorf(exit.Signaling, "the signaling server %s does not answer", sanitize.Text(s.Server))
	}
	return err
}

// logIn logs in, and tries again while the name is taken, see retryLogin.
func (s *Options) logIn(ctx context.Context, c *client.Client) error {
	err := s.tryLogin(ctx, c)
	if isTaken(err) {
		err = s.retryLogin(ctx, c, err)
	}
	s.reportLogin(err)
	switch {
	case exit.Interruption(ctx) != nil:
		return exit.Interruption(ctx)
	case isTaken(err):
		return err
	case ctx.Err() != nil:
		return exit.Errorf(exit.Timeout, "gave up after %s: the signaling server %s does not answer the login", s.Timeout, sanitize.Text(s.Server))
	}
	return err
}

// tryLogin logs in once. Where nothing else does, DialTimeout bounds the wait for the reply.
func (s *Options) tryLogin(ctx context.Context, c *client.Client) error {
	if _, bounded := ctx.Deadline(); bounded {
		return c.Login(ctx, s.Name)
	}
	limited, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	err := c.Login(limited, s.Name)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return exit.Errorf(exit.Signaling, "the signaling server %s does not answer the login", sanitize.Text(s.Server))
	}
	return err
}

// retryLogin repeats a login whose name is taken, because the holder may be an earlier run whose
// connection the server has not found dead. It goes on until --timeout if that was given, and
// otherwise for DialTimeout. Without --timeout it ends as soon as the server has found the holder
// connected.
func (s *Options) retryLogin(ctx context.Context, c *client.Client, taken error) error {
	until := "until --timeout"
	if !s.RetryTaken {
		until = fmt.Sprintf("for %.0fs", DialTimeout.Seconds())
		limited, cancel := context.WithTimeout(ctx, DialTimeout)
		defer cancel()
		ctx = limited
	}
	for err, warned := taken, false; ; warned = true {
		switch {
		case ctx.Err() != nil:
			return taken
		case !isTaken(err):
			return err
		case !s.RetryTaken && isConnected(err):
			return fmt.Errorf("%w, or wait for it with --timeout", err)
		case !warned:
			s.Report.Warnf("the name %s is taken; trying again %s", strconv.Quote(s.Name), until)
		}
		select {
		case <-time.After(takenPause):
			err = s.tryLogin(ctx, c)
		case <-ctx.Done():
		}
	}
}

// isConnected reports whether a login failed because its name is taken by a client that is
// connected.
func isConnected(err error) bool {
	var login *client.LoginError
	return errors.As(err, &login) && login.Connected
}

// takenPause is the time between two logins with a name that is taken.
const takenPause = 500 * time.Millisecond

// isTaken reports whether a login failed because its name is taken.
func isTaken(err error) bool {
	var login *client.LoginError
	return errors.As(err, &login) && login.Code == signal.CodeTaken
}

func (s *Options) reportLogin(err error) {
	say := fmt.Sprintf("signed in as %s at %s", sanitize.Text(s.Name), sanitize.Text(s.Server))
	if err != nil || s.Manual {
		say = ""
	}
	s.Report.Report(event.Event{Name: "login", Fields: event.Fields("name", s.Name, "success", err == nil), Message: say})
}

// Close says goodbye to the server.
func (l *Conn) Close() {
	_ = l.transport.Close() // it may be lost already
	l.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "closed")})
}

// changed reports that the server is lost for now, or that it is back.
func (l *Conn) changed(s client.State) {
	if s.Lost {
		l.disconnected.Store(true)
		l.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "lost", "error", s.Err.Error()),
			Message: sanitize.Text(s.Err.Error()) + "; trying to come back"})
		return
	}
	l.disconnected.Store(false)
	say := "the signaling server is back"
	if forgotten, ok := l.sessionLost.Load().(func()); ok && !s.Resumed {
		forgotten()
	}
	if !s.Resumed {
		say += ", and has forgotten the calls that were being set up"
	}
	l.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "connected", "server", l.Server, "resumed", s.Resumed), Message: say})
}

// Lost reports that the server is gone for good.
func (l *Conn) Lost(err error) {
	if l.disconnected.Swap(true) {
		return
	}
	l.Report.Report(event.Event{Name: "signaling", Fields: event.Fields("state", "lost", "error", err.Error())})
}

// Receive returns the next message of the server.
func (l *Conn) Receive(ctx context.Context) (signal.Message, error) {
	return l.transport.Receive(ctx)
}

// Watch waits until a client is signed in by a name, see client.Client.
func (l *Conn) Watch(ctx context.Context, name string) error {
	if l.server == nil {
		return client.ErrNotWatched
	}
	return l.server.Watch(ctx, name)
}

// ReportsAbsence reports whether the server reports an absent peer.
func (l *Conn) ReportsAbsence() bool { return l.server == nil || l.server.ReportsAbsence() }

// OnSessionLost has f called when the server is back and has forgotten the calls.
func (l *Conn) OnSessionLost(f func()) { l.sessionLost.Store(f) }

// IsDisconnected reports whether the server is lost for now.
func (l *Conn) IsDisconnected() bool { return l.disconnected.Load() }

// Connection returns what the connection to the server is like.
func (l *Conn) Connection() client.Connection {
	if l.server == nil {
		return client.Connection{}
	}
	return l.server.Connection()
}

// EndsCalls reports whether calls that are connected end with an error of Receive.
func EndsCalls(err error) bool {
	var ends interface{ EndsCalls() bool }
	return errors.As(err, &ends) && ends.EndsCalls()
}

// RejectBusy rejects a caller: we are busy.
func (l *Conn) RejectBusy(ctx context.Context, m signal.Message) {
	if m.Type != signal.Offer {
		return
	}
	l.Report.Infof("%s calls, and is rejected: we are busy", sanitize.Text(m.Peer))
	to := l.To(m.Peer)
	defer to.End()
	if err := to.Leave(ctx); err != nil {
		l.Logger.Debug("the rejection was not sent", "error", err)
	}
}

// To returns the Signaler of a new call with a peer.
func (l *Conn) To(name string) *Signaler {
	return &Signaler{Conn: l, peer: name, call: l.transport.To(name)}
}

// Signaler is the signaling of one call: a peer.Signaler.
type Signaler struct {
	*Conn
	peer       string
	call       CallTransport
	once       sync.Once // ends call
	middleware []Middleware
}

// Intercept has the messages to the peer go through all of some middleware.
func (l *Signaler) Intercept(all []Middleware) { l.middleware = all }

// NetworkChanged has the connection to the server checked at once.
func (l *Signaler) NetworkChanged() {
	if l.server != nil {
		l.server.NetworkChanged()
	}
}

// GatheringComplete notes that all candidates for the latest description were sent.
func (l *Signaler) GatheringComplete() { l.call.GatheringComplete() }

// End notes that the call is over. It may be called again.
func (l *Signaler) End() { l.once.Do(l.call.End) }

// SetUp notes that the call is up, or is no longer.
func (l *Signaler) SetUp(up bool) {
	if up {
		l.up.Add(1)
	} else {
		l.up.Add(-1)
	}
}

// send sends a message to the peer through the middleware.
func (l *Signaler) send(ctx context.Context, m signal.Message) error {
	m.Peer = l.peer
	return sendBy(l.middleware, l.call.Send)(ctx, m)
}

func (l *Signaler) Offer(ctx context.Context, d peer.SessionDescription) error {
	return l.send(ctx, signal.Message{Type: signal.Offer, SDP: d.SDP, Extension: wireExtension(d.Extension)})
}

func (l *Signaler) Answer(ctx context.Context, d peer.SessionDescription) error {
	return l.send(ctx, signal.Message{Type: signal.Answer, SDP: d.SDP, Extension: wireExtension(d.Extension)})
}

// wireExtension returns the extension of a description as it goes over the wire.
func wireExtension(x *peer.Extension) *signal.Extension {
	if x == nil {
		return nil
	}
	return &signal.Extension{
		Version: signal.ExtensionVersion, Number: x.Number, Processed: x.Processed, Browser: x.Browser, NoOffers: x.NoOffers,
		Rejected: x.Rejected, AnswerRejected: x.AnswerRejected,
	}
}

// Description returns the description in an offer or an answer.
func Description(m signal.Message) peer.SessionDescription {
	d := peer.SessionDescription{SDP: m.SDP}
	if x := m.Extension; x != nil {
		d.Extension = &peer.Extension{
			Number: x.Number, Processed: x.Processed, Browser: x.Browser, NoOffers: x.NoOffers, Rejected: x.Rejected, AnswerRejected: x.AnswerRejected,
		}
	}
	return d
}

func (l *Signaler) Candidate(ctx context.Context, c webrtc.ICECandidateInit) error {
	return l.send(ctx, signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{
		Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex, UsernameFragment: c.UsernameFragment,
	}})
}

func (l *Signaler) Leave(ctx context.Context) error {
	return l.send(ctx, signal.Message{Type: signal.Leave})
}

// Deliver hands a message of the peer to a call. It ignores errors of the server.
func Deliver(call *peer.Call, m signal.Message) {
	switch m.Type {
	case signal.Offer:
		call.DeliverOffer(Description(m))
	case signal.Answer:
		if m.SDP == "" && m.Text != "" {
			call.DeliverRejection(m.Text)
			return
		}
		call.DeliverAnswer(Description(m))
	case signal.ICECandidate:
		call.DeliverCandidate(CandidateInit(m.Candidate))
	case signal.Leave:
		call.DeliverLeave()
	}
}

// CandidateInit is a candidate of the wire as Pion has it; nil is the end.
func CandidateInit(c *signal.Candidate) webrtc.ICECandidateInit {
	if c == nil {
		return webrtc.ICECandidateInit{}
	}
	return webrtc.ICECandidateInit{
		Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex, UsernameFragment: c.UsernameFragment,
	}
}
