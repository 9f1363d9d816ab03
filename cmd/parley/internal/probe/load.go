package probe

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/scenario"
	"parley/media"
)

// MaxLoad is how many calls a load run makes at most: each has a connection to the signaling
// server, sockets, encoders.
const MaxLoad = 1000

// runLoad makes the calls. What each one verifies is what the peer showed in a first call that it
// can.
func (p *prober) runLoad(ctx context.Context) *scenario.Report {
	p.Suite, p.Parallel = "load", p.Load.Peers
	r := p.newReport()
	first := *p // which does not count
	if p.Call.Endpoint != nil {
		first = *p.as(0)
	}
	first.Parallel = 1
	first.explore(ctx)
	p.capabilities = first.capabilities
	if r.Err = first.noCall; r.Err == nil {
		r.Load = &scenario.Load{Peers: p.Load.Peers, Pace: p.Load.Pace, Duration: p.Load.Duration, Verified: p.verified()}
		late := MeasureTimerLag()
		r.Results = p.loadAll(ctx)
		r.Load.Late = late.End()
		r.Load.Overloaded = r.Load.Late.P95 >= milliseconds(MaxTimerLag)
		r.Load.ReclassifyOverloaded(r.Results)
	}
	p.finish(ctx, r)
	return r
}

// verified are the abilities that a call of a load looks at.
func (p *prober) verified() (all []string) {
	if p.Call.Endpoint != nil {
		return p.verifiedOfEndpoint()
	}
	for _, need := range []string{"text-echo", "media-echo", "audio-in", "video-in"} {
		if p.capabilities[need] {
			all = append(all, scenario.Needs()[need])
		}
	}
	return all
}

// loadAll begins a call after the other, and ends them all at the same time.
func (p *prober) loadAll(ctx context.Context) []scenario.Result {
	results := make([]scenario.Result, p.Load.Peers)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	enough := make(chan struct{}) // closed when all have been up for long enough
	var up, work sync.WaitGroup
	pace := time.NewTicker(p.Load.Pace)
	defer pace.Stop()
	for i := range results {
		up.Add(1)
		work.Go(func() { results[i] = p.as(i).loadOne(ctx, i, sync.OnceFunc(up.Done), enough) })
		p.Resources.Report.Status(fmt.Sprintf("%d of %d calls begun", i+1, p.Load.Peers))
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	up.Wait()
	p.Resources.Report.Status(fmt.Sprintf("%d calls for %s", p.Load.Peers, p.Load.Duration))
	hold := time.NewTimer(p.Load.Duration)
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
	r.Metrics = a.observed.Metrics()
	if r.Verdict != scenario.Pass {
		r.Evidence = p.keep(a, &r)
	}
	return r
}

// loadScenarios are what one call looks at when it is up, and again before it ends. Neighbours send
// different tones.
func (p *prober) loadScenarios(i int) (early, late scenario.Scenario) {
	tone := math.Round(400 * math.Pow(1.07, float64(i%20)))
	text := fmt.Sprintf("scenario peer-%d: a call among %d\n", i+1, p.Load.Peers)
	call := fmt.Sprintf("call audio=tone:%g video size=64x48@5\n", tone)
	timeout := min(p.Call.Timeout, scenario.MaxWait)
	first := []string{fmt.Sprintf("expect connected within %s", timeout)}
	var again []string
	if p.capabilities["text-echo"] {
		again = append(again, fmt.Sprintf("echo 100 within %s", timeout))
	}
	if p.capabilities["media-echo"] {
		first = append(first, fmt.Sprintf("expect audio.tone=%g within %s", tone, timeout))
	}
	for _, kind := range media.Kinds() {
		if p.capabilities[kind] && p.Call.Endpoint != nil {
			again = append(again, fmt.Sprintf("expect %s.sent+=5 within %s", kind, timeout))
		}
		if p.capabilities[kind+"-reports"] {
			first = append(first, fmt.Sprintf("expect %s.reported within %s", kind, timeout))
		}
		if p.capabilities[kind+"-in"] {
			first = append(first, fmt.Sprintf("expect %s.frames>=5 within %s", kind, timeout))
			again = append(again, fmt.Sprintf("expect %s.frames+=5 within %s", kind, timeout))
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
