package main

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/media"
)

// maxLoad is how many calls one process makes at most: each has a connection to the signaling server, sockets, encoders.
const maxLoad = 1000

// loading is what --load, --ramp and --duration say.
type loading struct {
	peers int           // 0 for none
	pace  time.Duration // from one call to the next
	hold  time.Duration // all calls at once
}

func loadFlags() []cli.Flag {
	return config.Category("LOAD", []cli.Flag{
		&cli.IntFlag{Name: "load", Usage: "in place of a suite, `N` calls at once, each by a name of its own, with audio, video and text that are verified", Sources: config.Variable("load"), HideDefault: true},
		config.String("ramp", "5/s", "`RATE` at which the calls of --load begin: 5/s, or 30/m"),
		config.Duration("duration", 10*time.Second, "keep all calls of --load up for `D`; what comes back is verified at the beginning and at the end"),
	})
}

var rampForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)/(s|m)$`)

// readLoad reads the flags; names are the scenarios that were asked for.
func readLoad(cmd *cli.Command, names []string) (l loading, err error) {
	if !cmd.IsSet("load") {
		if cmd.IsSet("ramp") || cmd.IsSet("duration") {
			return l, exit.Usagef("--ramp and --duration are for --load N")
		}
		return l, nil
	}
	l.peers, l.hold = cmd.Int("load"), cmd.Duration("duration")
	m := rampForm.FindStringSubmatch(cmd.String("ramp"))
	switch {
	case l.peers < 1 || l.peers > maxLoad:
		return l, exit.Usagef("invalid --load %d: want 1 to %d calls", l.peers, maxLoad)
	case len(names) > 0 || cmd.IsSet("suite") || cmd.IsSet("file") || cmd.IsSet("parallel") || cmd.IsSet("wait-for-call"):
		return l, exit.Usagef("--load makes calls of its own, and takes no scenarios, --suite, --file, --parallel or --wait-for-call")
	case l.hold < 0:
		return l, exit.Usagef("invalid --duration %s: want 0 or more", l.hold)
	case m == nil:
		return l, exit.Usagef("invalid --ramp %q: want a rate, such as 5/s or 30/m", sanitize.Text(cmd.String("ramp")))
	}
	rate, err := strconv.ParseFloat(m[1], 64)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute}[m[2]]
	if err != nil || rate < 0.01 || rate > 1000 {
		return l, exit.Usagef("invalid --ramp %q: want a rate of 0.01 to 1000", sanitize.Text(cmd.String("ramp")))
	}
	l.pace = time.Duration(float64(unit) / rate)
	return l, nil
}

// runLoad makes the calls. What each one verifies is what the peer showed in a first call that it can.
func (p *prober) runLoad(ctx context.Context) *scenario.Report {
	p.suite, p.parallel = "load", p.load.peers
	r := p.newReport()
	first := *p // which does not count
	first.parallel = 1
	first.explore(ctx)
	p.capabilities = first.capabilities
	if r.Err = first.noCall; r.Err == nil {
		r.Load = &scenario.Load{Peers: p.load.peers, Pace: p.load.pace, Duration: p.load.hold, Verified: p.verified()}
		late := measureTimerLag()
		r.Results = p.loadAll(ctx)
		r.Load.Late = late.end()
		r.Load.Overloaded = r.Load.Late.P95 >= milliseconds(maxTimerLag)
		r.Load.ReclassifyOverloaded(r.Results)
	}
	p.finish(ctx, r)
	return r
}

// verified are the abilities that a call of a load looks at.
func (p *prober) verified() (all []string) {
	for _, need := range []string{"text-echo", "media-echo", "audio-in", "video-in"} {
		if p.capabilities[need] {
			all = append(all, scenario.Needs()[need])
		}
	}
	return all
}

// loadAll begins a call after the other, and ends them all at the same time.
func (p *prober) loadAll(ctx context.Context) []scenario.Result {
	results := make([]scenario.Result, p.load.peers)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	enough := make(chan struct{}) // closed when all have been up for long enough
	var up, work sync.WaitGroup
	pace := time.NewTicker(p.load.pace)
	defer pace.Stop()
	for i := range results {
		up.Add(1)
		work.Go(func() { results[i] = p.as(i).loadOne(ctx, i, sync.OnceFunc(up.Done), enough) })
		p.resources.Report.Status(fmt.Sprintf("%d of %d calls begun", i+1, p.load.peers))
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	up.Wait()
	p.resources.Report.Status(fmt.Sprintf("%d calls for %s", p.load.peers, p.load.hold))
	hold := time.NewTimer(p.load.hold)
	defer hold.Stop()
	select {
	case <-hold.C:
	case <-ctx.Done():
	}
	close(enough)
	work.Wait()
	return results
}

// loadOne is one call: it reports by settled that it is up or never will be, and ends after enough.
func (p *prober) loadOne(ctx context.Context, i int, settled func(), enough <-chan struct{}) scenario.Result {
	defer settled()
	begin := time.Now()
	early, late := p.loadScenarios(i)
	a, err := p.begin(ctx, early)
	if err != nil {
		return scenario.Result{Scenario: early, Verdict: scenario.Error, Reason: err.Error(), Step: early.Steps[0].Text, Took: time.Since(begin)}
	}
	r := p.look(ctx, a, early, begin)
	settled()
	select {
	case <-enough:
	case <-ctx.Done():
	}
	if r.Verdict == scenario.Pass {
		r = p.look(ctx, a, late, begin)
	}
	a.end()
	defer a.artifacts.discard()
	r.Metrics = a.observed.measurements()
	if r.Verdict != scenario.Pass {
		r.Evidence = p.keep(a, &r)
	}
	return r
}

// loadScenarios are what one call looks at when it is up, and again before it ends. Neighbours send different tones.
func (p *prober) loadScenarios(i int) (early, late scenario.Scenario) {
	tone := math.Round(400 * math.Pow(1.07, float64(i%20)))
	text := fmt.Sprintf("scenario peer-%d: a call among %d\n", i+1, p.load.peers)
	call := fmt.Sprintf("call audio=tone:%g video size=64x48@5\n", tone)
	first := []string{fmt.Sprintf("expect connected within %s", p.options.Timeout)}
	var again []string
	if p.capabilities["text-echo"] {
		again = append(again, fmt.Sprintf("echo 100 within %s", p.options.Timeout))
	}
	if p.capabilities["media-echo"] {
		first = append(first, fmt.Sprintf("expect audio.tone=%g within %s", tone, p.options.Timeout))
	}
	for _, kind := range media.Kinds() {
		if p.capabilities[kind+"-in"] {
			first = append(first, fmt.Sprintf("expect %s.frames>=5 within %s", kind, p.options.Timeout))
			again = append(again, fmt.Sprintf("expect %s.frames+=5 within %s", kind, p.options.Timeout))
		}
	}
	return parseLoad(text + call + strings.Join(append(first, again...), "\n")), parseLoad(text + call + strings.Join(append(again, "never failed for 100ms"), "\n"))
}

func parseLoad(text string) scenario.Scenario {
	parsed, err := scenario.Parse("load", text)
	if err != nil {
		panic(err) // it is written here
	}
	return parsed[0]
}
