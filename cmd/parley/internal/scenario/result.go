package scenario

import (
	"fmt"
	"time"
)

// Verdict is how a scenario went.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"          // the peer does not do what the scenario expects
	Error        Verdict = "error"         // it could not be found out, for a reason that is not the peer's
	Skip         Verdict = "skip"          // the peer cannot show it
	ExpectedFail Verdict = "expected-fail" // a known limit of the peer
)

// Result is one scenario that was run, or not.
type Result struct {
	Scenario Scenario
	Verdict  Verdict
	// Reason says why, "" for Pass; Step is the line that it went wrong in.
	Reason, Step string
	Took         time.Duration
	// Metrics are what was measured in its call.
	Metrics map[string]float64
	// Evidence is the folder with what was kept of it.
	Evidence string
}

// Judge is the verdict of a scenario that ended with err, which may be nil.
func Judge(s Scenario, err error) (Verdict, string) {
	switch {
	case err == nil && s.ExpectedFailure != "":
		return Fail, "it passed, although it is expected to fail: " + s.ExpectedFailure
	case err == nil:
		return Pass, ""
	case s.ExpectedFailure != "":
		return ExpectedFail, fmt.Sprintf("%v; known: %s", err, s.ExpectedFailure)
	}
	return Fail, err.Error()
}

// Report is all of a run.
type Report struct {
	Peer, Server, Suite, PeerType string
	Version                       string
	Began                         time.Time
	Took                          time.Duration
	// Peer's abilities that were seen, and why others were not.
	Capabilities map[string]bool
	// Results in the order of the suite.
	Results []Result
	// Requirements are the thresholds, with how they went.
	Requirements []Requirement
	// Load is what was asked of many calls at once, nil where none was.
	Load *Load
	// Playback is the URL that what is published at Peer was played from, "" where none was. All
	// results have the same metrics then, because they share a call.
	Playback string
	// Err ended the run early, nil if nothing did.
	Err error
}

// Counts are the number of results of each verdict.
func (r *Report) Counts() map[Verdict]int {
	counts := map[Verdict]int{}
	for _, one := range r.Results {
		counts[one.Verdict]++
	}
	return counts
}

// Ran is how many scenarios were run.
func (r *Report) Ran() int { return len(r.Results) - r.Counts()[Skip] }

// Verdict is that of the whole run: no scenario that ran is a failure.
func (r *Report) Verdict() Verdict {
	counts := r.Counts()
	switch {
	case r.Err != nil || counts[Error] > 0:
		return Error
	case counts[Fail] > 0 || r.Ran() == 0:
		return Fail
	}
	for _, q := range r.Requirements {
		if !q.Held {
			return Fail
		}
	}
	return Pass
}

// Summary is a sentence about the run.
func (r *Report) Summary() string {
	c := r.Counts()
	text := fmt.Sprintf("%d passed, %d failed, %d errors, %d expected to fail, %d skipped, in %.1f s",
		c[Pass], c[Fail], c[Error], c[ExpectedFail], c[Skip], r.Took.Seconds())
	switch {
	case r.Err != nil:
		text += ": " + r.Err.Error()
	case r.Ran() == 0:
		text += ": no scenario was run, which is a failure"
	}
	return text
}
