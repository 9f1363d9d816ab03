// Package session runs a call.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/mediaout"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/netem"
	"parley/signal"
)

// Session is one call: what it sends, what it receives, and its signaling. Other packages only read
// the exported fields, except App.
type Session struct {
	options   *Options
	resources *resources.Resources

	peer     string    // its name at the signaling server
	Caller   bool      // this peer calls
	echo     bool      // what comes goes back
	Began    time.Time // when New was called
	signaler *signaling.Signaler
	Call     *peer.Call      // nil before Place
	App      ChannelApp      // nil for text; to be set by a function of Options.Attach
	Emulator *netem.Emulator // of the call's own sockets, nil for none

	Sending  *mediaout.Senders
	Received *mediain.Receivers
	events   callEvents
	stats    callStats
	expect   *event.Expectations

	observers  observers
	middleware []signaling.Middleware
	presence   *Presence // nil without --wait
	apps       []ChannelHandler

	connected chan struct{} // closed when the connection is up for the first time
	begun     sync.Once
	ended     sync.Once // End of the observers
	started   time.Time // of the connection, valid once connected is closed
	work      sync.WaitGroup
	ctx       context.Context // of what runs beside the call
	cancel    context.CancelFunc
	abort     chan struct{} // closed when a signal ends the call
	silence   *time.Timer   // of watchSilence, used by the goroutine of the call; nil while something comes
	unsaid    bool          // a text of --say was rejected; used by the goroutine of the call

	mu     sync.Mutex // guards the following
	failed error      // of a source, a sink: it ends the call
	absent error      // the server says that the peer is not there
}

// A Config says what New opens.
type Config struct {
	Options   *Options
	Resources *resources.Resources
	Peer      string            // its name
	Caller    bool              // we call
	Echo      bool              // what comes goes back
	Offer     *peer.Description // that is answered, nil for a call of ours
}

// New returns a call that is not placed. It opens the files of a call before anybody is called: a
// missing file should not cost a call. The end of ctx ends the wait for a source that sends
// nothing.
func New(ctx context.Context, conf Config) (*Session, error) {
	o, r := conf.Options, conf.Resources
	c := &Session{options: o, resources: r, peer: conf.Peer, Caller: conf.Caller, echo: conf.Echo, Began: time.Now(), connected: make(chan struct{}), abort: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.events = callEvents{peer: c.peer, emit: c.Emit}
	c.expect = event.NewExpectations(o.Checks, c.events.check)
	c.expect.Watch = func(key string, v event.Value) { c.observers.notifyValue(key, v) }
	for _, attach := range o.Attach {
		attach(c)
	}
	epoch := cmp.Or(o.Epoch, testsignal.NewEpoch())
	c.Sending = mediaout.New(c.ctx, mediaout.Options{MediaOut: o.MediaOut, Stdin: r.Stdin, Devices: r.Devices, Epoch: epoch, Fail: c.Fail, Warn: r.Warn, Logger: r.Logger})
	c.Received = mediain.New(c.ctx, receiverOptions(c, epoch))
	c.stats = callStats{session: c}
	if c.echo {
		c.Sending.AddForwarders(conf.Offer)
	}
	err := c.Sending.OpenSources(ctx)
	if err == nil {
		err = c.Received.OpenRecorder(conf.Offer)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// receiverOptions returns the options of what a call receives.
func receiverOptions(c *Session, epoch *testsignal.Epoch) mediain.Options {
	o := mediain.Options{
		MediaIn: c.options.MediaIn, Peer: c.peer, Begin: c.Began, Measurements: mediain.MeasurementsOf(c.options.Measurements, c.options.Checks), Test: c.options.MediaOut, Epoch: epoch,
		Decodable: c.options.decodable, KeepAll: c.echo || c.options.Input, RecordPartly: c.options.RecordPartly,
		Recordings: c.resources.Recordings, Speaker: c.resources.Speaker, Watcher: c.resources.Watcher,
		Emit: c.Emit, Observe: c.expect.Observe, Connected: c.IsConnected, Fail: c.Fail, Warn: c.resources.Warn, Info: c.resources.Report.Infof, Logger: c.resources.Logger,
	}
	if c.resources.StatsDump != nil {
		o.Measurements.Tone = true
	}
	if c.echo {
		o.Forward, o.EndForward = c.Sending.AddForwarder, c.Sending.EndForwarder
	}
	return o
}

// Place makes the call, once we are signed in: the signaling server may name ICE servers then.
func (c *Session) Place(signaler *signaling.Signaler) error {
	c.signaler = signaler
	conf, err := peerConfig(c, signaler)
	if err == nil {
		c.Call, err = peer.New(conf)
	}
	if err != nil {
		c.Close()
		return err
	}
	c.Sending.Place(c.Call)
	c.Received.Place(c.Call)
	for _, line := range c.options.Say {
		c.Call.Say(line)
	}
	return nil
}

// Close ends what runs beside the call, and closes its files.
func (c *Session) Close() {
	c.cancel()
	c.ended.Do(c.observers.notifyEnd)
	if c.signaler != nil {
		c.signaler.End()
	}
	if c.Emulator != nil {
		out, in := c.Emulator.Counts()
		c.resources.Logger.Debug("impairment", "out", out, "in", in)
		_ = c.Emulator.Close()
		c.Emulator = nil
	}
	c.Sending.Close()
	c.Received.Release()
}

// peerConfig returns the configuration of the peer of a call.
func peerConfig(c *Session, signaler *signaling.Signaler) (peer.Config, error) {
	servers, err := signaler.AllICEServers()
	if c.Emulator == nil {
		c.Emulator = c.resources.NewEmulator(c.options.Network)
	}
	conf := peer.Config{
		Signaler: signaler, OnEvent: c.handleEvent, Caller: c.Caller, Impolite: c.options.Name < c.peer,
		Media:    peer.MediaConfig{Tracks: c.Sending.Tracks(), Codecs: c.Received.OfferedCodecs(c.Sending.Codecs()), VideoCodecs: c.options.Codecs},
		Channels: dataChannelOptions(c),
		ICE: peer.ICEConfig{Servers: servers, FreshServers: signaler.FreshICEServers, TLS: c.options.TLS, RelayOnly: c.options.RelayOnly, Loopback: resources.OffersLoopback(c.options.Server),
			MinPort: c.options.MinPort, MaxPort: c.options.MaxPort, UDPMux: c.resources.UDPMux, TCPMux: c.resources.TCPMux, AdvertiseIPs: c.options.AdvertiseIPs, Interfaces: c.options.Interfaces},
		Timeouts: c.options.Timeouts, KeyLog: c.resources.KeyLog, Tap: c.resources.Tap(), Netem: c.Emulator, Logger: c.resources.Logger,
	}
	conf.Verification.Certificate = c.resources.Identity
	conf.Verification.Required = c.options.ExpectCode == config.AskCode
	if !conf.Verification.Required {
		conf.Verification.Code = c.options.ExpectCode
	}
	if c.App != nil {
		conf.ReceiveBuffer = peer.BulkReceiveBuffer
	}
	// The hello-world page has no media to give.
	if c.options.Dialect == signal.DialectCall && c.App == nil || c.options.Video != "" || c.options.Audio != "" || c.options.Record != "" {
		conf.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
	}
	if e := c.options.Endpoint; e != nil {
		conf.NoRenegotiation, conf.Channels, conf.ICE.GatherAfterAnswer = true, nil, c.options.GatherAfter
		if conf.Media.SendOnly = c.options.Publishes(); conf.Media.SendOnly {
			conf.Media.Receive = nil
		}
	}
	if c.options.Manual {
		conf.Timeouts.Failed = manualPatience
	}
	if c.resources.RTPDump != nil {
		conf.OnRTP = c.resources.RTPDump.WriteRTP
	}
	dumpStats(c, conf)
	signaler.Intercept(c.middleware)
	return conf, err
}

// IsPeerAwaited reports whether the call waits for the peer to sign in.
func (c *Session) IsPeerAwaited() bool { return c.presence != nil && !c.presence.isPresent() }

// RelayOnly reports whether the call does not reveal the addresses of this host.
func (c *Session) RelayOnly() bool { return c.options.RelayOnly }

// Label is the label of the channel that we open as caller, unless set otherwise: the text page's,
// or the two ids joined, as the hello-world page names it.
func (c *Session) Label() string {
	if c.options.Dialect == signal.DialectRelay {
		return c.options.Name + c.peer
	}
	return "channel1"
}

// Run makes the call and returns when it is over, with all that belongs to it.
func (c *Session) Run(ctx context.Context) error {
	defer c.Close()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	c.events.begin(c.Caller)
	if len(c.options.Checks) > 0 || c.observers.observed() || c.Received.Measures() {
		c.Received.Changes.Wanted.Store(true)
	}
	var watch sync.WaitGroup
	watch.Go(func() { c.runTimers(ctx, hangUp) })
	if c.presence != nil {
		watch.Go(func() { c.presence.run(ctx) })
	}
	end, err := c.Call.Run(ctx)
	c.watchSilence(false)
	cause := context.Cause(ctx)
	hangUp(nil)
	watch.Wait()
	return c.conclude(end, err, cause)
}

// Why a session hangs up by itself, as the cause of its context.
var (
	errDuration = errors.New("the time of the call is over")
	ErrAllHeld  = errors.New("all expectations hold")
	ErrTimeout  = errors.New("the time to wait is over")
)

// conclude stops what runs beside the call, and makes one error of how it all
// ended.
func (c *Session) conclude(end peer.End, err, cause error) error {
	if end == peer.PeerLeft {
		c.expect.Observe("remote-hangup", event.TextOf("true"))
	}
	c.measure()
	if c.IsConnected() {
		c.signaler.SetUp(false)
	}
	if errors.As(cause, new(*exit.SignalError)) {
		close(c.abort)
	}
	c.cancel()
	c.work.Wait()
	c.Received.Finish()
	c.Sending.Finish()
	err = c.verdict(end, err, cause)
	if recordErr := c.Received.CloseRecorder(); err == nil {
		err = recordErr
	}
	c.stats.reportEnd(end, err, cause)
	return err
}

// verdict decides between the reasons that a call may have ended for.
func (c *Session) verdict(end peer.End, err, cause error) error {
	c.mu.Lock()
	failed, absent := c.failed, c.absent
	c.mu.Unlock()
	var failure *peer.Error
	switch {
	case failed != nil:
		return failed
	case absent != nil:
		return absent
	case errors.As(err, &failure):
		return &exit.Error{Code: exit.CodeOf(err), Err: fmt.Errorf("the call with %s failed: %w", sanitize.Text(c.peer), err)}
	case err != nil:
		return err
	case errors.Is(cause, ErrAllHeld):
		return c.sayErr()
	case errors.As(cause, new(*exit.SignalError)):
		return &exit.ReportedError{Err: cause}
	case errors.Is(cause, ErrTimeout) && len(c.options.Checks) == 0 && c.Call.Answered():
		return exit.Errorf(exit.Connection, "gave up after %s: %w", c.options.Timeout, c.Call.Why())
	case errors.Is(cause, ErrTimeout) && len(c.options.Checks) == 0:
		return exit.Errorf(exit.Timeout, "gave up after %s: %w", c.options.Timeout, c.Call.Why())
	case end == peer.PeerLeft && c.Caller && !c.IsConnected() && c.Call.Answered():
		return exit.Errorf(exit.Absent, "%s hung up before the call was connected: %w", sanitize.Text(c.peer), c.Call.Why())
	case end == peer.PeerLeft && c.Caller && !c.IsConnected():
		return exit.Errorf(exit.Absent, "%s said no, or is busy", sanitize.Text(c.peer))
	case c.App != nil && len(c.options.Checks) == 0:
		return c.App.Result()
	}
	if err := c.expect.Err(); err != nil {
		return err
	}
	return c.sayErr()
}

// sayErr returns an error if a text of --say was not sent.
func (c *Session) sayErr() error {
	if !c.unsaid {
		return nil
	}
	return exit.Errorf(exit.Failure, "not all of --say was sent; each text has its reason above")
}

// Context returns a context that is done when the call is over.
func (c *Session) Context() context.Context { return c.ctx }

// Go runs f beside the call, which does not end before it.
func (c *Session) Go(f func()) { c.work.Go(f) }

// Connected returns a channel that is closed when the connection is up for the first time.
func (c *Session) Connected() <-chan struct{} { return c.connected }

// Aborted returns a channel that is closed when a signal ends the call.
func (c *Session) Aborted() <-chan struct{} { return c.abort }

// IsConnected reports whether the call has been connected.
func (c *Session) IsConnected() bool {
	select {
	case <-c.connected:
		return true
	default:
		return false
	}
}

// Fail ends the call with an error of a file or a device.
func (c *Session) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
		c.Call.Hangup()
	}
}

// notThere ends the call with an error, because the peer is absent.
func (c *Session) notThere(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.absent == nil {
		c.absent = err
		c.Call.Hangup()
	}
}

// measure lets the expectations and the observers get what has changed. It reports whether values
// change as time passes.
func (c *Session) measure() (changing bool) {
	changing = c.Received.Measure()
	c.observers.notifyMeasurement()
	return changing
}

// runTimers ends the call when its time has come, and measures until it is over.
func (c *Session) runTimers(ctx context.Context, hangUp context.CancelCauseFunc) {
	changes := c.Received.Changes
	defer changes.Stop()
	stats := time.NewTicker(max(c.options.StatsInterval, 10*time.Millisecond))
	defer stats.Stop()
	if c.options.StatsInterval <= 0 {
		stats.Stop()
	}
	var timeout, duration, linger <-chan time.Time
	var present <-chan struct{} // --timeout begins then; nil if it has begun
	switch {
	case !c.Caller || c.options.Timeout <= 0:
	case c.presence != nil:
		present = c.presence.present
	default:
		timeout = time.After(c.options.TimeLeft)
	}
	connected, held := c.Connected(), c.expect.Held()
	if c.App != nil {
		connected = c.App.Ready()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-present:
			present = nil
			if held != nil && (connected != nil || len(c.options.Checks) > 0) {
				timeout = time.After(c.options.TimeLeft)
			}
		case <-changes.Due.C:
			changes.Begin()
			if c.measure() {
				changes.Post()
			}
		case <-stats.C:
			c.stats.report()
		case <-connected:
			connected = nil
			if len(c.options.Checks) == 0 {
				timeout = nil // what it bounds has come about
			}
			if c.options.Duration > 0 {
				duration = time.After(c.options.Duration)
			}
		case <-held:
			held, timeout = nil, nil
			linger = time.After(max(c.options.Linger, c.options.MinDuration-time.Since(c.started)))
		case <-timeout:
			hangUp(ErrTimeout)
		case <-duration:
			hangUp(errDuration)
		case <-linger:
			hangUp(ErrAllHeld)
		}
	}
}
