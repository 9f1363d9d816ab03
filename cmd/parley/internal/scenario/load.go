package scenario

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Load is many calls at once, each a result of the report.
type Load struct {
	// Peers is how many calls, Pace the time from the beginning of one to that of the next, and
	// Duration how long all stay up.
	Peers    int
	Pace     time.Duration
	Duration time.Duration
	// Verified says what of each call was verified beside that it connects.
	Verified []string
	// Late is how late the timers of this process were, in milliseconds: how busy this machine
	// itself was. Overloaded: so busy that what went wrong may be its doing; nothing is held
	// against the peer then, see ReclassifyOverloaded.
	Late       Distribution
	Overloaded bool
}

// ReclassifyOverloaded makes failures errors if this machine was too busy.
func (l *Load) ReclassifyOverloaded(results []Result) {
	if !l.Overloaded {
		return
	}
	for i := range results {
		if r := &results[i]; r.Verdict == Fail {
			r.Verdict, r.Reason = Error, r.Reason+"; "+l.overload()
		}
	}
}

// overload is the sentence about a machine that is too busy.
func (l *Load) overload() string {
	return fmt.Sprintf("this machine was too busy: its own timers were %.0f ms late (p95), so what was late or lost may be its doing; make fewer calls at once, or leave it more time", l.Late.P95)
}

// A Distribution is how a metric is distributed over calls, in the unit of the metric, by the
// nearest rank.
type Distribution struct {
	Metric string  `json:"metric"`
	Count  int     `json:"count"`
	P50    float64 `json:"p50"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// DistributionOf is that of values, which are sorted.
func DistributionOf(metric string, v []float64) Distribution {
	if len(v) == 0 {
		return Distribution{Metric: metric}
	}
	return Distribution{metric, len(v), Percentile(v, 50), Percentile(v, 95), Percentile(v, 99), v[len(v)-1]}
}

// Distributions are those of all metrics that were measured, in the order of their names.
func (r *Report) Distributions() []Distribution {
	values := map[string][]float64{}
	for _, one := range r.Results {
		for metric, v := range one.Metrics {
			values[metric] = append(values[metric], v)
		}
	}
	all := []Distribution{}
	for metric, v := range values {
		slices.Sort(v)
		all = append(all, DistributionOf(metric, v))
	}
	if r.Load != nil && r.Load.Late.Count > 0 {
		all = append(all, r.Load.Late)
	}
	slices.SortFunc(all, func(a, b Distribution) int { return strings.Compare(a.Metric, b.Metric) })
	return all
}

// description returns the load as a sentence.
func (l *Load) description() string {
	return fmt.Sprintf("%d calls, one every %s, all at once for %s; of each: %s", l.Peers, l.Pace, l.Duration,
		strings.Join(append([]string{"it connects"}, l.Verified...), ", "))
}

// loadTable writes the percentiles, each line behind prefix.
func (r *Report) loadTable(w io.Writer, prefix string) {
	fmt.Fprintf(w, "%s%s\n%s%-16s %5s %9s %9s %9s %9s\n", prefix, r.Load.description(), prefix, "", "calls", "p50", "p95", "p99", "max")
	for _, d := range r.Distributions() {
		fmt.Fprintf(w, "%s%-16s %5d %9.4g %9.4g %9.4g %9.4g\n", prefix, d.Metric, d.Count, d.P50, d.P95, d.P99, d.Max)
	}
	if r.Load.Overloaded {
		fmt.Fprintf(w, "%s%s\n", prefix, r.Load.overload())
	}
}

func (r *Report) loadMarkdown(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n| metric | calls | p50 | p95 | p99 | max |\n|---|---:|---:|---:|---:|---:|\n", r.Load.description())
	for _, d := range r.Distributions() {
		fmt.Fprintf(w, "| %s | %d | %.4g | %.4g | %.4g | %.4g |\n", d.Metric, d.Count, d.P50, d.P95, d.P99, d.Max)
	}
	if r.Load.Overloaded {
		fmt.Fprintf(w, "\n%s\n", r.Load.overload())
	}
	fmt.Fprintln(w)
}

// The JSON form.
type jsonLoad struct {
	Peers           int            `json:"peers"`
	PaceSeconds     float64        `json:"pace_seconds"`
	DurationSeconds float64        `json:"duration_seconds"`
	Verified        []string       `json:"verified"`
	Overloaded      bool           `json:"overloaded"`
	Metrics         []Distribution `json:"metrics"`
}

// json is nil for a report without a load.
func (l *Load) json(r *Report) *jsonLoad {
	if l == nil {
		return nil
	}
	return &jsonLoad{l.Peers, l.Pace.Seconds(), l.Duration.Seconds(), l.Verified, l.Overloaded, r.Distributions()}
}

// properties are the percentiles as JUnit has them.
func (l *Load) properties(r *Report) (all []junitProperty) {
	if l == nil {
		return nil
	}
	all = append(all, junitProperty{"load", l.description()})
	for _, d := range r.Distributions() {
		all = append(all, junitProperty{d.Metric, fmt.Sprintf("p50 %.4g, p95 %.4g, p99 %.4g, max %.4g", d.P50, d.P95, d.P99, d.Max)})
	}
	return all
}
