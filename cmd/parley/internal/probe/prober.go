// Package probe runs scenarios against a peer.
package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/signal/whip"
)

// PeerTypes returns the values of Options.PeerType.
func PeerTypes() []string { return []string{"auto", "any", "echo", "parley"} }

// Options are the options of a run.
type Options struct {
	Target       string // name of the peer
	FixedName    bool   // the own name, Call.Name, was given and is not changed
	PeerType     string // one of PeerTypes: what the peer can do, auto to find out
	Suite        string // in the report
	Scenarios    []scenario.Scenario
	Load         Load     // in place of Scenarios
	Playback     Playback // of a call of WHIP, which publishes
	Requirements []scenario.Requirement
	Parallel     int           // calls at once, by names that end in a number
	Pause        time.Duration // before each call
	WaitForCall  time.Duration // for a call of the peer, 0 to skip scenarios that need one
	Evidence     string        // folder, "" to keep nothing
	ReportEach   bool          // each result is reported as it comes

	Call      *session.Options     // of each call
	Resources *resources.Resources // which are open
}

// Load is how many calls a load run makes, and how.
type Load struct {
	Peers    int           // calls at once, 0 for no load run, at most MaxLoad
	Pace     time.Duration // from the begin of one call to that of the next
	Duration time.Duration // of all calls at once
}

// prober runs scenarios against one peer.
type prober struct {
	Options
	done         *atomic.Int32 // scenarios
	capabilities map[string]bool
	noCall       error // why no call came about at first, nil if one did
	noCallAll    bool  // noCall is not the result of any scenario
}

// Run runs all scenarios, or the load, and returns the report. It reports progress on the way.
func Run(ctx context.Context, o Options) *scenario.Report {
	p := &prober{Options: o}
	switch {
	case o.Load.Peers > 0:
		return p.runLoad(ctx)
	case o.Playback.Endpoint != nil:
		return p.runPlayback(ctx)
	}
	return p.run(ctx)
}

// run runs all scenarios. It reports what it does on the way.
func (p *prober) run(ctx context.Context) *scenario.Report {
	r := p.newReport()
	results := map[string]scenario.Result{}
	p.done = &atomic.Int32{}
	p.explore(ctx)
	if p.noCallAll && !slices.ContainsFunc(p.Scenarios, p.awaits) {
		r.Err = p.noCall
	}
	var mu sync.Mutex // protects results
	groups := make(chan []scenario.Scenario)
	var work sync.WaitGroup
	for i := range p.Parallel {
		work.Go(func() {
			for group := range groups {
				done := p.as(i).group(ctx, group)
				mu.Lock()
				for _, one := range done {
					results[one.Scenario.Name] = one
				}
				mu.Unlock()
			}
		})
	}
	for _, group := range scenario.Groups(p.Scenarios) {
		groups <- group
	}
	close(groups)
	work.Wait()
	for _, s := range p.Scenarios {
		r.Results = append(r.Results, results[s.Name])
	}
	p.finish(ctx, r)
	return r
}

func (p *prober) newReport() *scenario.Report {
	server := p.Call.Server
	if e := p.Call.Endpoint; e != nil { // without a query, which may have secrets
		server = whip.Origin(e.URL)
	}
	return &scenario.Report{Peer: p.Target, Server: server, Suite: p.Suite, PeerType: p.PeerType, Version: config.Version(), Began: time.Now(), Requirements: p.Requirements}
}

// finish completes a report whose results are there.
func (p *prober) finish(ctx context.Context, r *scenario.Report) {
	if ctx.Err() != nil {
		r.Err = errors.New("interrupted")
	}
	for i := range r.Requirements {
		r.Requirements[i].Check(r.Results)
	}
	r.Capabilities, r.Took = p.capabilities, time.Since(r.Began)
}

// as is the same prober by a name of its own, where several call at once.
func (p *prober) as(i int) *prober {
	if p.Parallel == 1 && p.Call.Endpoint == nil {
		return p
	}
	other, s := *p, *p.Call
	s.Name += fmt.Sprintf("-%d", i+1)
	if s.Endpoint != nil {
		s.WHIP = numbered(s.WHIP, i+1)
		s.Server, other.Target = s.Endpoint.URL.String(), s.WHIP.URL
	}
	other.Call = &s
	return &other
}

// group runs scenarios that share a call.
func (p *prober) group(ctx context.Context, group []scenario.Scenario) []scenario.Result {
	var results []scenario.Result
	var left []scenario.Scenario
	for _, s := range group {
		if why := p.cannot(ctx, s); why.Reason != "" {
			results = append(results, why)
		} else {
			left = append(left, s)
		}
	}
	if len(left) > 0 {
		results = append(results, p.together(ctx, left)...)
	}
	for i := range results {
		p.reportResult(&results[i])
	}
	return results
}

// cannot says why a scenario is not run; its Reason is "" if it is.
func (p *prober) cannot(ctx context.Context, s scenario.Scenario) scenario.Result {
	r := scenario.Result{Scenario: s, Verdict: scenario.Skip}
	switch {
	case ctx.Err() != nil:
		r.Verdict, r.Reason = scenario.Error, "interrupted"
	case p.noCallAll && !p.awaits(s):
		r.Verdict, r.Reason = scenario.Error, p.noCall.Error()
	case p.noCall != nil && !s.Looks() && !p.awaits(s):
		r.Reason = "no call came about at first: " + p.noCall.Error()
	default:
		for _, need := range s.Needs {
			if !p.capabilities[need] {
				r.Reason = fmt.Sprintf("not so: %s; %s", scenario.Needs()[need], remedy(need))
				break
			}
		}
	}
	return r
}

// awaits reports whether a scenario is one that waits for the peer, which need not be there yet.
func (p *prober) awaits(s scenario.Scenario) bool {
	return p.WaitForCall > 0 && s.Steps[0].Verb == "await-call"
}

// remedy says what would let a scenario run.
func remedy(need string) string {
	switch need {
	case "callback":
		return "let it call, and say how long to wait for that with --wait-for-call"
	case "relay":
		return "give one with --ice-server"
	case "text-echo", "media-echo":
		return "probe one that does (parley echo), or say --peer-type echo to make that a failure"
	case "parley":
		return "only two parleys can show it"
	case "cooperation":
		return "probe one that does (parley echo, parley answer --allow-probe), or say --peer-type parley to make that a failure"
	}
	return "what it does not take part in cannot be checked"
}

// together makes one call and looks at it for all scenarios at once; there is
// one scenario unless they only look.
func (p *prober) together(ctx context.Context, group []scenario.Scenario) []scenario.Result {
	select {
	case <-time.After(p.Pause):
	case <-ctx.Done():
	}
	begin := time.Now()
	results := make([]scenario.Result, len(group))
	a, err := p.begin(ctx, group...)
	if err != nil {
		for i, s := range group {
			results[i] = scenario.Result{Scenario: s, Verdict: scenario.Error, Reason: err.Error(), Step: s.Steps[0].Text, Took: time.Since(begin)}
			var skipped *notCalled
			if errors.As(err, &skipped) {
				results[i].Verdict = scenario.Skip
			}
		}
		return results
	}
	var looking sync.WaitGroup
	for i, s := range group {
		looking.Go(func() { results[i] = p.look(ctx, a, s, begin) })
	}
	looking.Wait()
	a.end()
	defer a.artifacts.discard()
	for i := range results {
		results[i].Metrics = a.observed.Metrics()
		if results[i].Verdict == scenario.Fail || results[i].Verdict == scenario.Error {
			results[i].Evidence = p.keep(a, &results[i])
		}
	}
	return results
}

// look carries out the rest of a scenario, after the call.
func (p *prober) look(ctx context.Context, a *call, s scenario.Scenario, begin time.Time) scenario.Result {
	r := scenario.Result{Scenario: s}
	step, err := p.steps(ctx, a, s)
	if err != nil {
		r.Step = fmt.Sprintf("%s: %s", s.Origin, step.Text)
	}
	var broken *inconclusive
	switch {
	case ctx.Err() != nil:
		r.Verdict, r.Reason = scenario.Error, "interrupted"
	case errors.As(err, &broken):
		r.Verdict, r.Reason = scenario.Error, err.Error()
	default:
		r.Verdict, r.Reason = scenario.Judge(s, err)
	}
	r.Took = time.Since(begin)
	return r
}

// steps carries out the steps of a scenario after the call. It returns the step that failed, and
// why.
func (p *prober) steps(ctx context.Context, a *call, s scenario.Scenario) (scenario.Step, error) {
	type ended struct {
		step scenario.Step
		err  error
	}
	var background []chan ended
	run := a.newSteps()
	for _, step := range s.Steps[1:] {
		p.status(s.Name + ": " + step.Text)
		if step.Background {
			done := make(chan ended, 1)
			background = append(background, done)
			a.work.Go(func() { done <- ended{step, run.do(ctx, step)} })
			continue
		}
		if err := run.do(ctx, step); err != nil {
			return step, err
		}
	}
	for _, done := range background { // each ends within stepPatience
		if e := <-done; e.err != nil {
			return e.step, e.err
		}
	}
	return scenario.Step{}, nil
}

// status draws how far a suite has come, and what is done now.
func (p *prober) status(line string) {
	if p.done != nil {
		line = fmt.Sprintf("%d of %d done; %s", p.done.Load(), len(p.Scenarios), line)
	}
	p.Resources.Report.Status(line)
}

// reportResult reports a result as it comes.
func (p *prober) reportResult(r *scenario.Result) {
	p.done.Add(1)
	if p.ReportEach {
		p.Resources.Report.Infof("%-13s %s", r.Verdict, r.Scenario.Name)
		return
	}
	p.status(fmt.Sprintf("%s %s", r.Verdict, r.Scenario.Name))
}
