package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/media"
	"parley/media/testsignal"
	"parley/signal/whip"
)

// Playback is where what a call publishes is played.
type Playback struct {
	config.WHIP                        // an endpoint of WHEP, nil for no playback
	Token       func() (string, error) // of its requests
}

const (
	// playPause is the time between two attempts to play from an endpoint where nobody publishes.
	playPause = 500 * time.Millisecond
	// reportWait is how long an endpoint may take to send reports. Those of audio come every five
	// seconds (RFC 3550 section 6.2).
	reportWait = 8 * time.Second
	// tracksWait is how long a player waits for media of all kinds before it plays again.
	tracksWait = 4 * time.Second
)

// isPlayer reports whether the calls play from an endpoint.
func (p *prober) isPlayer() bool {
	return p.Call.Endpoint != nil && p.Call.Endpoint.Direction == whip.Play
}

// runPlayback publishes test signals, plays them and runs all scenarios in that one call.
func (p *prober) runPlayback(ctx context.Context) *scenario.Report {
	call := *p.Call
	call.Epoch = testsignal.NewEpoch() // by which both calls know when a frame was due
	p.Suite, p.Call = "playback", &call
	r := p.newReport()
	r.Playback = p.Playback.URL
	lag := MeasureTimerLag()
	r.Results, r.Err = p.publishAndPlay(ctx)
	late := scenario.Load{Late: lag.End()}
	late.Overloaded = late.Late.P95 >= milliseconds(MaxTimerLag)
	late.ReclassifyOverloaded(r.Results)
	for _, one := range r.Results {
		one.Metrics[late.Late.Metric] = late.Late.P95
	}
	p.finish(ctx, r)
	return r
}

// publishAndPlay returns the results of all scenarios, or why there is no call to run them in.
func (p *prober) publishAndPlay(ctx context.Context) ([]scenario.Result, error) {
	begin := time.Now()
	p.status("publishing to " + sanitize.Text(p.Target))
	publisher, err := p.connect(ctx, p.Call.Timeout, p.Scenarios...)
	if err != nil {
		return nil, err
	}
	defer publisher.artifacts.discard()
	defer publisher.end()
	for _, kind := range media.Kinds() {
		if publisher.newSteps().until(ctx, kind+".sent>=1", tracksWait) != nil {
			err := exit.Errorf(exit.Negotiation, "no %s is sent to %s: does the server take its codec? see --video-codec", kind, sanitize.Text(p.Target))
			return nil, cmp.Or(exit.Interruption(ctx), publisher.unpublished(), err)
		}
	}
	p.status("playing from " + sanitize.Text(p.Playback.URL))
	player, err := p.player().play(ctx)
	if err != nil {
		return nil, errors.Join(publisher.unpublished(), err)
	}
	defer player.artifacts.discard()
	results := make([]scenario.Result, len(p.Scenarios))
	var looking sync.WaitGroup
	for i, s := range p.Scenarios {
		if p.needsDueTimes(s) {
			results[i] = scenario.Result{Scenario: s, Verdict: scenario.Skip, Reason: "with --video-codec it is not known when a frame was due"}
			continue
		}
		looking.Go(func() { results[i] = p.look(ctx, player, s, begin) })
	}
	looking.Wait()
	err = publisher.unpublished()
	player.observed.Metric("publish.ms", publisher.observed.Metrics()["setup.ms"])
	player.end()
	for i := range results {
		results[i].Metrics = player.observed.Metrics()
		if results[i].Verdict != scenario.Pass {
			results[i].Evidence = p.keep(player, &results[i])
		}
	}
	return results, err
}

// needsDueTimes reports whether a scenario needs to know when a frame was due, which is not known
// of a test video of another codec.
func (p *prober) needsDueTimes(s scenario.Scenario) bool {
	other := p.Call.Encoding != "" && p.Call.Encoding != webrtc.MimeTypeVP8
	return other && slices.ContainsFunc(s.Steps, func(step scenario.Step) bool {
		return strings.Contains(step.Text, "video.latency") || strings.Contains(step.Text, "av-sync")
	})
}

// unpublished returns why a call that publishes has ended by itself, nil if it goes on.
func (a *call) unpublished() error {
	select {
	case <-a.ended:
	default:
		return nil
	}
	if a.err != nil {
		return fmt.Errorf("publishing has ended: %w", a.err)
	}
	return exit.Errorf(exit.Connection, "publishing has ended: the server has hung up")
}

// player returns the prober that plays what p publishes.
func (p *prober) player() *prober {
	other, s := *p, *p.Call
	s.WHIP, s.Server, s.Token = p.Playback.WHIP, p.Playback.Endpoint.URL.String(), p.Playback.Token
	other.Target, other.Call = p.Playback.URL, &s
	return &other
}

// play plays from an endpoint as soon as something is published there. A server may not know all
// tracks of a publisher that has just connected: a player that misses one plays once more.
func (p *prober) play(ctx context.Context) (*call, error) {
	waiting, cancel := context.WithTimeout(ctx, p.Call.Timeout)
	defer cancel()
	for again := false; ; {
		a, err := p.connect(ctx, p.Call.Timeout, p.Scenarios...)
		switch {
		case err != nil && exit.CodeOf(err) != exit.Absent:
			return nil, err
		case err == nil && (again || !a.lacksKind(waiting)):
			return a, nil
		case err == nil:
			a.end()
			a.artifacts.discard()
			again = true
			continue
		}
		select {
		case <-time.After(playPause):
		case <-waiting.Done():
			return nil, err
		}
	}
}

// lacksKind reports whether within tracksWait audio comes without video, or video without audio.
func (a *call) lacksKind(ctx context.Context) bool {
	waiting, cancel := context.WithTimeout(ctx, tracksWait)
	defer cancel()
	steps, comes := a.newSteps(), map[bool]bool{}
	for _, kind := range media.Kinds() {
		comes[steps.until(waiting, kind+".frames>=1", tracksWait) == nil] = true
	}
	return len(comes) > 1
}

// connect makes a call with an endpoint and returns it once it is connected. The error has the exit
// code of what is wrong.
func (p *prober) connect(ctx context.Context, within time.Duration, group ...scenario.Scenario) (*call, error) {
	a, err := p.begin(ctx, group...)
	if err != nil {
		return nil, err
	}
	if err = a.newSteps().until(ctx, "connected", within); err == nil {
		return a, nil
	}
	code := exit.Timeout
	if a.observed.Latest("answered") != "" {
		code = exit.Connection
	}
	err = &exit.Error{Code: code, Err: fmt.Errorf("%s: %w", sanitize.Text(p.Target), err)}
	select {
	case <-a.ended:
		if a.err != nil {
			err = a.err
		}
	default:
	}
	a.end()
	a.artifacts.discard()
	return nil, exit.OrInterruption(ctx, err)
}

// exploreEndpoint makes a call to find out which media an endpoint takes or sends, and whether it
// reports what has arrived.
func (p *prober) exploreEndpoint(ctx context.Context) {
	p.capabilities = map[string]bool{}
	a, err := p.connect(ctx, p.Call.Timeout, parseLoad("scenario explore: what an endpoint does\ncall audio video\nexpect connected within 1s"))
	if err != nil {
		p.noCall, p.noCallAll = err, true
		return
	}
	defer a.artifacts.discard()
	defer a.end()
	patience, shows := reportWait, map[string]string{"": ".sent>=1", "-reports": ".reported"}
	if p.isPlayer() {
		patience, shows = exploringWait, map[string]string{"-in": ".frames>=1"}
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	steps := a.newSteps()
	for _, kind := range media.Kinds() {
		for ability, fact := range shows {
			p.capabilities[kind+ability] = steps.until(waiting, kind+fact, patience) == nil
		}
	}
}

// verifiedOfEndpoint are the abilities that a call of a load with an endpoint looks at.
func (p *prober) verifiedOfEndpoint() (all []string) {
	texts := map[string]string{"": "it sends %s", "-reports": "the server reports the %s", "-in": "the server sends %s"}
	for _, kind := range media.Kinds() {
		for _, ability := range []string{"", "-reports", "-in"} {
			if p.capabilities[kind+ability] {
				all = append(all, fmt.Sprintf(texts[ability], kind))
			}
		}
	}
	return all
}

// numbered returns an endpoint whose path and query have a number in place of {n}.
func numbered(w config.WHIP, n int) config.WHIP {
	if w.Endpoint == nil {
		return w
	}
	e, u := *w.Endpoint, *w.Endpoint.URL
	number := strings.NewReplacer("{n}", strconv.Itoa(n), "%7Bn%7D", strconv.Itoa(n), "%7bn%7d", strconv.Itoa(n))
	u.Path, u.RawPath, u.RawQuery = number.Replace(u.Path), "", number.Replace(u.RawQuery)
	e.URL, w.Endpoint, w.URL = &u, &e, number.Replace(w.URL)
	return w
}
