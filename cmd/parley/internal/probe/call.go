package probe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/probe/facts"
	"parley/cmd/parley/internal/probe/mutator"
	"parley/cmd/parley/internal/probe/observe"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/media/device"
	"parley/peer"
	"parley/peer/netem"
	"parley/signal"
)

// call is one call of a probe.
type call struct {
	session   *session.Session
	observed  *observe.Observer
	events    *bytes.Buffer // NDJSON, whole once end has returned
	cancel    context.CancelFunc
	running   context.Context // of what belongs to the call
	work      sync.WaitGroup
	ended     chan struct{} // closed when the call is over, err is set then
	err       error
	signaling *signaling.Conn
	presence  *session.Presence // nil unless NAME was waited for
	artifacts *artifacts        // nil without --evidence
	remote    *remotePeer       // nil unless the peer cooperates, and somebody wants that
}

// inconclusive is an error of this side, not of the peer.
type inconclusive struct{ err error }

func (c *inconclusive) Error() string { return c.err.Error() }
func (c *inconclusive) Unwrap() error { return c.err }

// notCalled: the peer did not call.
type notCalled struct{ text string }

func (n *notCalled) Error() string { return n.text }

// parseCallWords reads what stands behind call.
func parseCallWords(s *session.Options, words []string) (*mutator.Mutator, error) {
	var altered *mutator.Mutator
	for _, w := range words {
		name, value, has := strings.Cut(w, "=")
		var err error
		switch {
		case name == "audio" && !has, name == "video" && !has:
			value = "test"
			fallthrough
		case name == "audio" || name == "video":
			if name == "audio" {
				s.Audio = value
			} else {
				s.Video = value
			}
		case name == "codec":
			var mime string
			if mime, err = config.VideoMIME(value); err == nil {
				s.Codecs = []string{mime}
			}
		case name == "size":
			s.Width, s.Height, s.FrameRate, err = config.VideoSize(value)
		case w == "relay":
			s.RelayOnly = true
		case w == "polite" || w == "impolite": // see named
		case name == "impair":
			var c netem.Config
			c, err = parseImpair(value)
			s.Impair = &c
		case name == "offer":
			altered, err = mutator.New(value)
		default:
			err = fmt.Errorf("call has no %q; there are audio, video, size, codec, relay, impair, offer, polite and impolite", w)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.Video == "test" && s.Width == 0 { // small, for what it costs
		s.Width, s.Height, s.FrameRate = 160, 120, 10
	}
	return altered, nil
}

// begin signs in and calls, or waits to be called, as the first line of scenarios that share a call
// says.
func (p *prober) begin(ctx context.Context, group ...scenario.Scenario) (*call, error) {
	step := group[0].Steps[0]
	s, r := *p.Call, *p.Resources
	if s.Impair == nil && group[0].Does("impair") {
		s.Impair = &netem.Config{}
	}
	s.Measurements = mediain.Measurements{Tone: true, FrameIDs: true, Quality: p.asksQuality(group)}
	r.Devices, s.Timeout = &device.Shared{}, 0
	altered, err := parseCallWords(&s, step.Args)
	if err != nil {
		return nil, &inconclusive{err}
	}
	if p.isPlayer() {
		s.Audio, s.Video = "", "" // the size is that of the video that somebody publishes
	}
	if s.Name, err = p.named(step.Args); err != nil {
		return nil, err
	}
	a := &call{observed: observe.New(), events: &bytes.Buffer{}, ended: make(chan struct{})}
	s.Attach = slices.Clone(s.Attach)
	if altered != nil {
		altered.OnCrossed = func() { a.observed.Note("crossed", "true") }
		s.Attach = append(s.Attach, altered.Attach)
	}
	s.Attach = append(s.Attach, a.observed.Attach)
	r.Report = event.NewReporter(event.Options{Out: a.events, Err: &bytes.Buffer{}, NDJSON: true, Quiet: true})
	s.StatsInterval = time.Second
	if a.artifacts, err = p.newArtifacts(&s, &r); err != nil {
		return nil, err
	}
	a.observed.OnSend = a.artifacts.sends
	began := time.Now()
	signing, cancel := context.WithTimeout(ctx, signaling.DialTimeout)
	defer cancel()
	if a.signaling, err = signaling.SignIn(signing, session.SignalingOptions(&s, &r)); err != nil {
		a.artifacts.discard()
		return nil, exit.OrInterruption(ctx, err)
	}
	if s.Endpoint == nil {
		a.observed.Metric("login.ms", milliseconds(time.Since(began)))
	}
	if a.presence, err = session.AwaitPresence(ctx, a.signaling, p.Target, s.Wait, p.Resources.Report, true); err != nil {
		a.signaling.Close()
		a.artifacts.discard()
		return nil, err
	}
	if err := a.open(ctx, p, &s, &r, group); err != nil {
		a.signaling.Close()
		a.artifacts.discard()
		return nil, err
	}
	return a, nil
}

// asksQuality reports whether scenarios, or a requirement, ask for a key of QualityKeys.
func (p *prober) asksQuality(group []scenario.Scenario) bool {
	if slices.ContainsFunc(p.Requirements, func(q scenario.Requirement) bool { return mediain.IsQuality(q.Metric()) }) {
		return true
	}
	return slices.ContainsFunc(group, func(s scenario.Scenario) bool {
		return slices.ContainsFunc(s.Steps, func(step scenario.Step) bool {
			if step.Verb != "expect" && step.Verb != "never" {
				return false
			}
			key := strings.FieldsFunc(step.Args[0], func(r rune) bool { return strings.ContainsRune("+!<>=~", r) })
			return len(key) > 0 && mediain.IsQuality(key[0])
		})
	})
}

// open makes the session and runs it.
func (a *call) open(ctx context.Context, p *prober, s *session.Options, r *resources.Resources, group []scenario.Scenario) (err error) {
	step := group[0].Steps[0]
	var first *signal.Message
	if step.Verb == "await-call" {
		if first, err = a.called(ctx, p, step.For); err != nil {
			return err
		}
	}
	if first == nil {
		s.Attach = append(s.Attach, a.presence.Attach)
		a.session, err = session.New(ctx, session.Config{Options: s, Resources: r, Peer: p.Target, Caller: true})
	} else {
		offer, bad := peer.ParseDescription(first.SDP)
		if bad != nil {
			return fmt.Errorf("%s calls with an offer that is refused: %w", p.Target, bad)
		}
		a.session, err = session.New(ctx, session.Config{Options: s, Resources: r, Peer: p.Target, Offer: offer})
	}
	if err == nil {
		err = a.session.Place(a.signaling.To(p.Target))
	}
	if err != nil {
		return &inconclusive{err}
	}
	running, cancel := context.WithCancel(ctx)
	a.cancel, a.running = cancel, running
	a.presence.DeliverEarly()
	if first != nil {
		a.session.Deliver(*first)
	}
	if p.capabilities["cooperation"] && (p.Evidence != "" || slices.ContainsFunc(group, func(s scenario.Scenario) bool { return slices.Contains(s.Needs, "cooperation") })) {
		a.cooperate()
	}
	a.work.Go(func() { a.session.Route(running, a.signaling) })
	a.work.Go(func() { a.observed.SampleStats(a.session, a.ended) })
	a.work.Go(func() {
		a.err = a.session.Run(running)
		a.observed.Note("state", "ended")
		close(a.ended)
	})
	return nil
}

// called waits for an offer of the peer.
func (a *call) called(ctx context.Context, p *prober, within time.Duration) (*signal.Message, error) {
	waiting, cancel := context.WithTimeout(ctx, min(within, max(p.WaitForCall, time.Millisecond)))
	defer cancel()
	for {
		m, err := a.signaling.Receive(waiting)
		switch {
		case err != nil && ctx.Err() == nil && waiting.Err() != nil:
			return nil, &notCalled{fmt.Sprintf("%s did not call %s within %s", p.Target, p.Call.Name, min(within, p.WaitForCall))}
		case err != nil:
			return nil, err
		case m.Type == signal.Offer && (m.Peer == p.Target || m.Peer == ""):
			m.Peer = p.Target
			return &m, nil
		}
	}
}

// end hangs up and waits until all of the call is gone.
func (a *call) end() {
	a.session.Call.Hangup()
	select {
	case <-a.ended:
	case <-time.After(15 * time.Second): // Hangup flushes for two seconds at most
	}
	a.cancel()
	a.work.Wait()
	a.signaling.Close()
	_ = a.session.Reporter().Close() // its writers are buffers
	a.artifacts.end()
}

// hasRelay reports whether a TURN server is known.
func (a *call) hasRelay() bool {
	servers, err := a.signaling.AllICEServers()
	if err != nil {
		return false
	}
	for _, s := range servers {
		if slices.ContainsFunc(s.URLs, func(u string) bool { return strings.HasPrefix(u, "turn") }) {
			return true
		}
	}
	return false
}

// steps runs the steps of one scenario in a call.
type steps struct {
	*call

	mu   sync.Mutex     // guards used
	used map[string]int // by check, the number after the occurrence that a step has used
}

func (a *call) newSteps() *steps { return &steps{call: a, used: map[string]int{}} }

// since returns the number of the first value that may satisfy a check: of occurrences, the first
// that no step has used; of states, the one after those that were there before the step.
func (s *steps) since(c event.Check) int {
	if s.observed.Validity(c.Key) != facts.Occurrence {
		return s.observed.Count(c.Key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[c.Raw]
}

// use notes that a check is satisfied by the value before number next.
func (s *steps) use(c event.Check, next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[c.Raw] = max(s.used[c.Raw], next)
}

// until waits until a check holds: a state holds now, or something has happened that no equal check
// of this scenario has waited for.
func (s *steps) until(ctx context.Context, raw string, within time.Duration) error {
	c, err := s.read(raw)
	if err != nil {
		return &inconclusive{err}
	}
	since := s.since(c)
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	ended := s.ended
	if c.Key == "signaling.leave" { // the message may come after the connection is closed
		ended = nil
	}
	for {
		change := s.observed.Changed()
		if next, ok := s.observed.Match(c, since); ok {
			s.use(c, next)
			return nil
		}
		select {
		case <-change:
		case <-ended:
			if _, ok := s.observed.Match(c, since); ok {
				return nil
			}
			return s.over(raw)
		case <-timeout.C:
			return s.short(c, raw, within)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// over says that the call ended before something came about.
func (a *call) over(raw string) error {
	if a.err != nil {
		return fmt.Errorf("no %s: %w", raw, a.err)
	}
	return fmt.Errorf("no %s: the peer hung up", raw)
}

// short says that something did not come about in time, and why no call did if
// that is the reason.
func (a *call) short(c event.Check, raw string, within time.Duration) error {
	saw := a.observed.Latest(c.Key)
	switch {
	case saw != "":
		return fmt.Errorf("no %s within %s: %s was %s", raw, within, c.Key, saw)
	case !a.session.IsConnected() && a.observed.Latest("answered") == "":
		return fmt.Errorf("no %s within %s: no answer came to the offer", raw, within)
	case !a.session.IsConnected():
		return fmt.Errorf("no %s within %s: there is no connection (%s; candidates of theirs: %d)", raw, within, cmp.Or(a.observed.Latest("state"), "new"), a.observed.Count("candidate"))
	}
	return fmt.Errorf("no %s within %s: nothing of it was seen", raw, within)
}

// read reads a check; KEY+=N is made a bound from now on.
func (a *call) read(raw string) (event.Check, error) {
	key, grow, ok := strings.Cut(raw, "+=")
	if !ok {
		return event.ParseCheck(raw, observe.Keys())
	}
	by, err := event.ParseCheck(key+">="+grow, observe.Keys())
	if err != nil {
		return by, err
	}
	if by.Kind != event.Number {
		return by, fmt.Errorf("%s: %s does not grow", raw, key)
	}
	base, _ := a.observed.LatestValue(key).Number()
	by.Number += base
	by.Raw = raw
	return by, nil
}

// never fails if a check holds at any time in a while. Of occurrences, those count that have
// happened before, unless an equal check has waited for them, and of answers all in the call.
func (s *steps) never(ctx context.Context, raw string, during time.Duration) error {
	c, err := s.read(raw)
	if err != nil {
		return &inconclusive{err}
	}
	since := s.since(c)
	if facts.IsOfAnswer(c.Key) {
		since = 0
	}
	timeout := time.NewTimer(during)
	defer timeout.Stop()
	for {
		change := s.observed.Changed()
		if _, ok := s.observed.Match(c, since); ok {
			return fmt.Errorf("%s, which should not be: %s is %s", raw, c.Key, s.observed.Latest(c.Key))
		}
		select {
		case <-change:
		case <-timeout.C:
			return nil
		case <-s.ended:
			if !s.session.IsConnected() { // whatever it was, it will not be
				return nil
			}
			return errors.New("the call ended while it was looked at")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
