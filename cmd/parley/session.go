package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/netem"
	"parley/signal"
)

// session is one call with the media that belong to it.
type session struct {
	options   *options
	resources *resources

	name     string // the peer, as it is known to the signaling server
	out      bool   // we called
	echo     bool   // what comes goes back
	offered  time.Time
	signaler *peerSignaler
	call     *peer.Call      // nil before place
	app      channelApp      // nil for text
	emulator *netem.Emulator // of the call's own sockets, nil for none

	sending  *senders
	received *receivers
	events   callEvents
	stats    callStats
	expect   *event.Expectations

	observers  observers
	middleware []middleware
	apps       []channelHandler

	connected chan struct{} // closed when the connection is up for the first time
	begun     sync.Once
	started   time.Time // of the connection, valid once connected is closed
	work      sync.WaitGroup
	ctx       context.Context // of what runs beside the call
	cancel    context.CancelFunc
	abort     chan struct{} // closed when a signal ends the call

	mu     sync.Mutex // guards the following
	failed error      // of a source, a sink: it ends the call
	absent error      // the server says that the peer is not there
}

// A sessionConfig says what openSession opens.
type sessionConfig struct {
	options   *options
	resources *resources
	peer      string            // its name
	caller    bool              // we call
	echo      bool              // what comes goes back
	offer     *peer.Description // that is answered, nil for a call of ours
}

// openSession opens the files of a call, before anybody is called: a missing file should not cost a call. The
// end of ctx ends the wait for a source that sends nothing.
func openSession(ctx context.Context, conf sessionConfig) (*session, error) {
	o, r := conf.options, conf.resources
	c := &session{options: o, resources: r, name: conf.peer, out: conf.caller, echo: conf.echo, offered: time.Now(), connected: make(chan struct{}), abort: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.events = callEvents{peer: c.name, emit: c.Emit}
	c.expect = event.NewExpectations(o.Checks, c.events.check)
	c.expect.Watch = func(key string, v event.Value) { c.observers.notifyValue(key, v) }
	for _, attach := range o.attach {
		attach(c)
	}
	epoch := testsignal.NewEpoch()
	c.sending = newSenders(c.ctx, sendersOptions{MediaOut: o.MediaOut, Stdin: r.stdin, Devices: r.devices, Epoch: epoch, Fail: c.Fail, Warn: r.warn, Logger: r.logger})
	c.received = newReceivers(c.ctx, c.receiversOptions(epoch))
	c.stats = callStats{session: c}
	if c.echo {
		c.sending.addForwarders(conf.offer)
	}
	err := c.sending.openSources(ctx)
	if err == nil {
		err = c.received.openRecorder(conf.offer)
	}
	if err != nil {
		c.closeMedia()
		return nil, err
	}
	return c, nil
}

func (c *session) receiversOptions(epoch *testsignal.Epoch) receiversOptions {
	o := receiversOptions{
		MediaIn: c.options.MediaIn, Peer: c.name, Begin: c.offered, Measure: measurementsOf(c.options.measurements, c.options.Checks), Test: c.options.MediaOut, Epoch: epoch,
		Decodable: c.options.decodable, KeepAll: c.echo || c.options.input, RecordPartly: c.options.recordPartly,
		Recordings: c.resources.recordings, Speaker: c.resources.speaker, Watcher: c.resources.watcher,
		Emit: c.Emit, Observe: c.expect.Observe, Connected: c.isConnected, Fail: c.Fail, Warn: c.resources.warn, Info: c.resources.report.Infof, Logger: c.resources.logger,
	}
	if c.resources.statsDump != nil {
		o.Measure.tone = true
	}
	if c.echo {
		o.Forward = c.sending.addForwarder
	}
	return o
}

// place makes the call, once we are signed in: the signaling server may name ICE servers then.
func (c *session) place(signaler *peerSignaler) error {
	c.signaler = signaler
	conf, err := c.configuration(signaler)
	if err == nil {
		c.call, err = peer.New(conf)
	}
	if err != nil {
		c.closeMedia()
		return err
	}
	c.sending.place(c.call)
	c.received.place(c.call)
	for _, line := range c.options.Say {
		c.call.Say(line)
	}
	return nil
}

// closeMedia ends what runs beside the call, and closes its files.
func (c *session) closeMedia() {
	c.cancel()
	if c.emulator != nil {
		out, in := c.emulator.Counts()
		c.resources.logger.Debug("impairment", "out", out, "in", in)
		_ = c.emulator.Close()
		c.emulator = nil
	}
	c.sending.close()
	c.received.release()
}

func (c *session) configuration(signaler *peerSignaler) (peer.Config, error) {
	servers, err := signaler.iceServers()
	if c.emulator == nil {
		c.emulator = c.resources.newEmulator(c.options.Network)
	}
	conf := peer.Config{
		Signaler: signaler, OnEvent: c.handleEvent, Caller: c.out, Impolite: c.options.Name < c.name,
		Media:    peer.MediaConfig{Tracks: c.sending.tracks(), Codecs: c.received.offeredCodecs(c.sending.codecs()), VideoCodecs: c.options.codecs},
		Channels: dataChannelOptions(c),
		ICE: peer.ICEConfig{Servers: servers, FreshServers: signaler.freshICEServers, TLS: c.options.TLS, RelayOnly: c.options.RelayOnly, Loopback: offersLoopback(c.options.Server),
			MinPort: c.options.MinPort, MaxPort: c.options.MaxPort, UDPMux: c.resources.mux, TCPMux: c.resources.tcp, AdvertiseIPs: c.options.AdvertiseIPs, Interfaces: c.options.Interfaces},
		KeyLog: c.resources.keyLog, Tap: c.resources.tap(), Netem: c.emulator, Logger: c.resources.logger,
	}
	conf.Verification.Certificate = c.resources.identity
	conf.Verification.Required = c.options.Verify == config.VerifyAsk
	if !conf.Verification.Required {
		conf.Verification.Code = c.options.Verify
	}
	if c.app != nil {
		conf.ReceiveBuffer = peer.BulkReceiveBuffer
	}
	// The hello-world page has no media to give.
	if c.options.Dialect == signal.DialectCall && c.app == nil || c.options.Video != "" || c.options.Audio != "" || c.options.Record != "" {
		conf.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
	}
	if c.resources.rtpdump != nil {
		conf.OnRTP = c.resources.rtpdump.WriteRTP
	}
	dumpStats(c, conf)
	signaler.intercept(c.middleware)
	return conf, err
}

// label is the label of the channel that we open as caller, unless set otherwise: the text page's, or the
// two ids joined, as the hello-world page names it.
func (c *session) label() string {
	if c.options.Dialect == signal.DialectRelay {
		return c.options.Name + c.name
	}
	return "channel1"
}

// run makes the call and returns when it is over, with all that belongs to it.
func (c *session) run(ctx context.Context) error {
	defer c.closeMedia()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	c.events.begin(c.out)
	if len(c.options.Checks) > 0 || c.observers.observed() || c.received.measures() {
		c.received.changes.wanted.Store(true)
	}
	var watch sync.WaitGroup
	watch.Go(func() { c.runTimers(ctx, hangUp) })
	end, err := c.call.Run(ctx)
	cause := context.Cause(ctx)
	hangUp(nil)
	watch.Wait()
	return c.conclude(end, err, cause)
}

// Why a session hangs up by itself, as the cause of its context.
var (
	errDuration = errors.New("the time of the call is over")
	errAllHeld  = errors.New("all expectations hold")
	errTimeout  = errors.New("the time to wait is over")
)

// conclude stops what runs beside the call, and makes one error of how it all
// ended.
func (c *session) conclude(end peer.End, err, cause error) error {
	if end == peer.PeerLeft {
		c.expect.Observe("remote-hangup", event.TextOf("true"))
	}
	c.measure()
	if c.isConnected() {
		c.signaler.setUp(false)
	}
	if errors.As(cause, new(*exit.SignalError)) {
		close(c.abort)
	}
	c.cancel()
	c.work.Wait()
	c.received.finish()
	c.sending.finish()
	err = c.verdict(end, err, cause)
	if recordErr := c.received.closeRecorder(); err == nil {
		err = recordErr
	}
	c.stats.reportEnd(end, err, cause)
	c.observers.notifyEnd()
	return err
}

// verdict decides between the reasons that a call may have ended for.
func (c *session) verdict(end peer.End, err, cause error) error {
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
		return &exit.Error{Code: exit.CodeOf(err), Err: fmt.Errorf("the call with %s failed: %w", sanitize.Text(c.name), err)}
	case err != nil:
		return err
	case errors.Is(cause, errAllHeld):
		return nil
	case errors.As(cause, new(*exit.SignalError)):
		return &exit.ReportedError{Err: cause}
	case errors.Is(cause, errTimeout) && len(c.options.Checks) == 0 && c.call.Answered():
		return exit.Errorf(exit.Connection, "gave up after %s: %w", c.options.Timeout, c.call.Why())
	case errors.Is(cause, errTimeout) && len(c.options.Checks) == 0:
		return exit.Errorf(exit.Timeout, "gave up after %s: %w", c.options.Timeout, c.call.Why())
	case end == peer.PeerLeft && c.out && !c.isConnected() && c.call.Answered():
		return exit.Errorf(exit.Absent, "%s hung up before the call was connected: %w", sanitize.Text(c.name), c.call.Why())
	case end == peer.PeerLeft && c.out && !c.isConnected():
		return exit.Errorf(exit.Absent, "%s said no, or is busy", sanitize.Text(c.name))
	case c.app != nil && len(c.options.Checks) == 0:
		return c.app.Result()
	}
	return c.expect.Err()
}

// Context returns a context that is done when the call is over.
func (c *session) Context() context.Context { return c.ctx }

// Go runs f beside the call, which does not end before it.
func (c *session) Go(f func()) { c.work.Go(f) }

// Connected returns a channel that is closed when the connection is up for the first time.
func (c *session) Connected() <-chan struct{} { return c.connected }

// Aborted returns a channel that is closed when a signal ends the call.
func (c *session) Aborted() <-chan struct{} { return c.abort }

// isConnected reports whether the call has been connected.
func (c *session) isConnected() bool {
	select {
	case <-c.connected:
		return true
	default:
		return false
	}
}

// Fail ends the call with an error of a file or a device.
func (c *session) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
		c.call.Hangup()
	}
}

// measure lets the expectations and the observers get what has changed. It reports whether values change as time
// passes.
func (c *session) measure() (changing bool) {
	changing = c.received.measure()
	c.observers.notifyMeasurement()
	return changing
}

// runTimers ends the call when its time has come, and measures until it is over.
func (c *session) runTimers(ctx context.Context, hangUp context.CancelCauseFunc) {
	changes := c.received.changes
	defer changes.stop()
	stats := time.NewTicker(max(c.options.StatsInterval, 10*time.Millisecond))
	defer stats.Stop()
	if c.options.StatsInterval <= 0 {
		stats.Stop()
	}
	var timeout, duration, linger <-chan time.Time
	if c.out && c.options.Timeout > 0 {
		timeout = time.After(c.options.timeLeft)
	}
	connected, held := c.Connected(), c.expect.Held()
	if c.app != nil {
		connected = c.app.Ready()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes.due.C:
			changes.begin()
			if c.measure() {
				changes.post()
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
			linger = time.After(max(c.options.Linger, c.options.minDuration-time.Since(c.started)))
		case <-timeout:
			hangUp(errTimeout)
		case <-duration:
			hangUp(errDuration)
		case <-linger:
			hangUp(errAllHeld)
		}
	}
}
