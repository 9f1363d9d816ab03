package scenario

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What was measured is in each format.
func TestLoadIsWritten(t *testing.T) {
	r := &Report{Load: &Load{Peers: 2, Pace: time.Second, Duration: time.Minute, Verified: []string{"it sings"}}, Results: []Result{one("peer-1", Pass, "", 30), one("peer-2", Fail, "it is late", 40)}}
	for format, want := range map[string]string{
		"table": "setup.ms             2        30        40        40        40\n", "json": `"metric": "setup.ms",`,
		"junit": `<property name="setup.ms" value="p50 30, p95 40, p99 40, max 40">`, "tap": "# setup.ms  ", "markdown": "| setup.ms | 2 | 30 | 40 | 40 | 40 |\n",
	} {
		var text bytes.Buffer
		if err := r.Write(&text, format, func(s string) string { return s }); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{want, "it sings", "it is late"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: no %q in\n%s", format, want, text.String())
			}
		}
	}
}

func TestDistributions(t *testing.T) {
	r := &Report{Load: &Load{Peers: 20, Pace: time.Second}}
	for i := range 20 {
		r.Results = append(r.Results, one("peer", Pass, "", float64(20-i)))
	}
	delete(r.Results[0].Metrics, "setup.ms") // 20, which was not measured
	r.Results[1].Metrics = map[string]float64{"rtt.ms": 7, "setup.ms": 19}
	want := []Distribution{{"rtt.ms", 1, 7, 7, 7, 7}, {"setup.ms", 19, 10, 19, 19, 19}}
	if diff := cmp.Diff(want, r.Distributions()); diff != "" {
		t.Error(diff)
	}
}

// TestReclassifyOverloaded: a failure is held against the peer unless this machine was too busy.
func TestReclassifyOverloaded(t *testing.T) {
	for overloaded, want := range map[bool]Verdict{false: Fail, true: Error} {
		l := &Load{Overloaded: overloaded, Late: DistributionOf("late.ms", []float64{1, 30})}
		results := []Result{{Verdict: Pass}, {Verdict: Fail, Reason: "no tone"}, {Verdict: Skip}}
		l.ReclassifyOverloaded(results)
		if results[0].Verdict != Pass || results[1].Verdict != want || results[2].Verdict != Skip {
			t.Errorf("overloaded %v: %+v", overloaded, results)
		}
		if strings.Contains(results[1].Reason, "30 ms late") != overloaded {
			t.Errorf("overloaded %v: %q", overloaded, results[1].Reason)
		}
	}
}
