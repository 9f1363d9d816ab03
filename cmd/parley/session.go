package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media/quality"
	"parley/media/recorder"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/netem"
)

// session is one call with the media that belong to it.
type session struct {
	*settings
	name       string // the peer, as it is known to the signaling server
	out        bool   // we called
	echo       bool   // what comes goes back
	signaler   *peerSignaler
	call       *peer.Call
	app        channelApp // nil for text
	expect     *event.Expectations
	epoch      *testsignal.Epoch // of test sources
	analyzer   *quality.Analyzer // of those that come back, nil for none
	analyzedAt time.Time         // of the goroutine of runTimers
	emulator   *netem.Emulator   // of the call's own sockets, nil for none

	observers  observers
	middleware []middleware
	apps       []channelHandler

	layers      layers // of the goroutine of the call
	received    receivers
	sending     *senders
	recorder    *recorder.Recorder     // nil without --record
	recorded    map[string]*recordSink // by mid, of the call's goroutine
	recordPaths []string               // that the recorder was given

	offered   time.Time
	connected chan struct{} // closed when the connection is up for the first time
	begun     sync.Once
	started   time.Time // of the connection, valid once connected is closed
	work      sync.WaitGroup
	ctx       context.Context // of what runs beside the call
	cancel    context.CancelFunc
	abort     chan struct{} // closed when a signal ends the call

	disconnectedAt time.Time // since when nothing has come; of the call's goroutine, see pathgap.go

	lastTone atomic.Value  // float64, Hz: the latest tone, for the summary
	metering atomic.Bool   // received audio is decoded to measure its tone and level
	metered  chan struct{} // gets a value when metering is enabled during the call

	mu     sync.Mutex // guards the following
	failed error      // of a source, a sink: it ends the call
	absent error      // the server says that the peer is not there
}

// newSession prepares a call: files are opened, nothing is sent. The end of ctx ends the wait for a source
// that sends nothing.
func newSession(ctx context.Context, s *settings, name string, signaler *peerSignaler, out, echo bool, offer *peer.Description) (*session, error) {
	c, err := openSession(ctx, s, name, out, echo, offer)
	if err != nil {
		return nil, err
	}
	return c, c.place(signaler)
}

// openSession opens the files of a call.
func openSession(ctx context.Context, s *settings, name string, out, echo bool, offer *peer.Description) (*session, error) {
	c := &session{settings: s, name: name, out: out, echo: echo, offered: time.Now(), epoch: testsignal.NewEpoch(), layers: layers{}, recorded: map[string]*recordSink{}, connected: make(chan struct{}), abort: make(chan struct{}), metered: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.sending = &senders{settings: s, epoch: c.epoch, fail: c.fail, ctx: c.ctx}
	c.expect = event.NewExpectations(s.Checks, c.reportCheck)
	c.expect.Watch = func(key string, v event.Value) { c.observers.notifyValue(key, v) }
	for _, attach := range s.attach {
		attach(c)
	}
	c.analyzer = c.newAnalyzer()
	c.metering.Store(c.metersAudio())
	if err := c.openMedia(ctx, offer); err != nil {
		c.closeMedia()
		return nil, err
	}
	return c, nil
}

// place makes the call, once we are signed in: the signaling server may name ICE servers then.
func (c *session) place(signaler *peerSignaler) error {
	c.signaler = signaler
	conf, err := c.configuration(signaler)
	if err == nil {
		c.call, err = peer.New(conf)
		c.sending.call = c.call
	}
	if err != nil {
		c.closeMedia()
		return err
	}
	for _, line := range c.Say {
		c.call.Say(line)
	}
	return nil
}

// openMedia opens what is sent and what is recorded to, before anybody is called: a missing file should not
// cost a call. offer is what an echo answers.
func (c *session) openMedia(ctx context.Context, offer *peer.Description) error {
	if c.echo {
		c.sending.addForwarders(offer)
	}
	if err := c.sending.openSources(ctx); err != nil {
		return err
	}
	return c.openRecorder(offer)
}

// closeMedia ends what runs beside the call, and closes its files.
func (c *session) closeMedia() {
	c.cancel()
	c.closeEmulator()
	c.sending.close()
	c.releaseRecordings()
}

func (c *session) configuration(signaler *peerSignaler) (peer.Config, error) {
	servers, err := signaler.iceServers()
	if c.emulator == nil {
		c.emulator = c.newEmulator()
	}
	conf := peer.Config{
		Signaler: signaler, OnEvent: c.handleEvent, Caller: c.out, Impolite: c.settings.Name < c.name,
		Media: peer.MediaConfig{Tracks: c.sending.tracks(), Codecs: c.offeredCodecs(), VideoCodecs: c.codecs}, Channels: c.dataChannelOptions(),
		ICE: peer.ICEConfig{Servers: servers, FreshServers: signaler.freshICEServers, TLS: c.TLS, RelayOnly: c.RelayOnly, Loopback: c.loopback(),
			MinPort: c.MinPort, MaxPort: c.MaxPort, UDPMux: c.mux, TCPMux: c.tcp, AdvertiseIPs: c.AdvertiseIPs, Interfaces: c.Interfaces},
		KeyLog: c.keyLog, Tap: c.tap(), Netem: c.emulator, Logger: c.logger,
	}
	if c.app != nil {
		conf.ReceiveBuffer = peer.BulkReceiveBuffer
	}
	c.verifying(&conf)
	if c.receives() {
		conf.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
	}
	if c.rtpdump != nil {
		conf.OnRTP = c.rtpdump.WriteRTP
	}
	c.dumpStats(conf)
	signaler.middleware = c.middleware
	return conf, err
}

// channel is the label of the channel that we open as caller, unless set
// otherwise: the text page's, or the two ids joined, as the hello-world page
// names it.
func (c *session) channel() string {
	if c.Dialect == "relay" {
		return c.settings.Name + c.name
	}
	return "channel1"
}

// receives reports whether an offer of ours asks for media: the hello-world page has
// none to give.
func (c *session) receives() bool {
	return c.Dialect == "call" && c.app == nil || c.Video != "" || c.Audio != "" || c.Record != ""
}

// run makes the call and returns when it is over, with all that belongs to it.
func (c *session) run(ctx context.Context) error {
	defer c.closeMedia()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	c.announce()
	var watch sync.WaitGroup
	watch.Go(func() { c.runTimers(ctx, hangUp) })
	end, err := c.call.Run(ctx)
	cause := context.Cause(ctx)
	hangUp(nil)
	watch.Wait()
	return c.conclude(end, err, cause)
}

func (c *session) announce() {
	direction, say := "in", sanitize.Text(c.name)+" calls"
	if c.out {
		direction, say = "out", "calling "+sanitize.Text(c.name)
	}
	c.emit(event.Event{Name: "call", Peer: c.name, Fields: event.Fields("direction", direction), Message: say})
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
		c.expect.Observe("leave", event.TextOf("true"))
	}
	c.measure()
	c.measureQuality(true)
	if c.isConnected() {
		c.signaler.up.Add(-1)
	}
	if errors.As(cause, new(*exit.SignalError)) {
		close(c.abort)
	}
	c.cancel()
	c.work.Wait()
	c.sending.finish()
	err = c.verdict(end, err, cause)
	if recordErr := c.closeRecorder(); err == nil {
		err = recordErr
	}
	c.reportEnd(end, err, cause)
	return err
}

// verdict decides between the reasons that a call may have ended for.
func (c *session) verdict(end peer.End, err, cause error) error {
	c.mu.Lock()
	failed, absent := c.failed, c.absent
	c.mu.Unlock()
	switch {
	case failed != nil:
		return failed
	case absent != nil:
		return absent
	case err != nil:
		return c.describe(err)
	case errors.Is(cause, errAllHeld):
		return nil
	case errors.As(cause, new(*exit.SignalError)):
		return &exit.ReportedError{Err: cause}
	case errors.Is(cause, errTimeout) && len(c.Checks) == 0:
		return c.timedOut()
	case end == peer.PeerLeft && c.out && !c.isConnected() && c.call.Answered():
		return exit.Errorf(exit.Absent, "%s hung up before the call was connected: %w", sanitize.Text(c.name), c.call.Why())
	case end == peer.PeerLeft && c.out && !c.isConnected():
		return exit.Errorf(exit.Absent, "%s said no, or is busy", sanitize.Text(c.name))
	case c.app != nil && len(c.Checks) == 0:
		return c.app.result()
	}
	return c.expect.Err()
}

// describe adds whom a call was with.
func (c *session) describe(err error) error {
	var failure *peer.Error
	if errors.As(err, &failure) {
		return &exit.Error{Code: exit.CodeOf(err), Err: fmt.Errorf("the call with %s failed: %w", sanitize.Text(c.name), err)}
	}
	return err
}

// timedOut explains a call that did not come about in time.
func (c *session) timedOut() error {
	code, why := exit.Timeout, c.call.Why()
	if c.call.Answered() {
		code = exit.Connection
	}
	return exit.Errorf(code, "gave up after %s: %w", c.Timeout, why)
}

func (c *session) isConnected() bool {
	select {
	case <-c.connected:
		return true
	default:
		return false
	}
}

// fail ends the call with an error of a file or a device.
func (c *session) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
		c.call.Hangup()
	}
}

// notThere ends the call: the server says that the peer is absent.
func (c *session) notThere() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.absent == nil {
		c.absent = exit.Errorf(exit.Absent, "%s is not signed in at %s", sanitize.Text(c.name), sanitize.Text(c.Server))
		c.call.Hangup()
	}
}

// measureInterval is the time between two looks at what the receivers have measured.
const measureInterval = 50 * time.Millisecond

// looks reports whether anything in the call depends on what the receivers measure meanwhile.
func (c *session) looks() bool {
	return len(c.Checks) > 0 || c.observers.observed() || c.analyzer != nil || c.metering.Load()
}

// enableMetering measures the tone and level of received audio from now on.
func (c *session) enableMetering() {
	c.metering.Store(true)
	select {
	case c.metered <- struct{}{}:
	default:
	}
}

// runTimers ends the call when its time has come, and measures until it is over.
func (c *session) runTimers(ctx context.Context, hangUp context.CancelCauseFunc) {
	look := time.NewTicker(measureInterval)
	defer look.Stop()
	if !c.looks() {
		look.Stop()
	}
	stats := time.NewTicker(max(c.StatsInterval, 10*time.Millisecond))
	defer stats.Stop()
	if c.StatsInterval <= 0 {
		stats.Stop()
	}
	var timeout, duration, linger <-chan time.Time
	if c.out && c.Timeout > 0 {
		timeout = time.After(c.timeLeft)
	}
	connected, held := c.connected, c.expect.Held()
	if c.app != nil {
		connected = c.app.ready()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			c.measure()
		case <-c.metered:
			look.Reset(measureInterval)
		case <-stats.C:
			c.reportStats()
		case <-connected:
			connected = nil
			if len(c.Checks) == 0 {
				timeout = nil // what it bounds has come about
			}
			if c.Duration > 0 {
				duration = time.After(c.Duration)
			}
		case <-held:
			held, timeout = nil, nil
			linger = time.After(max(c.Linger, c.minDuration-time.Since(c.started)))
		case <-timeout:
			hangUp(errTimeout)
		case <-duration:
			hangUp(errDuration)
		case <-linger:
			hangUp(errAllHeld)
		}
	}
}
