package scenario

import (
	"fmt"
	"math"
	"parley/cmd/parley/internal/event"
	"regexp"
	"slices"
	"strings"
)

// A Requirement is a check of a metric, over all calls of a run: METRIC[:p50|p95|max|min] OP
// NUMBER.
type Requirement struct {
	Text      string
	check     event.Check
	aggregate string
	// Saw is the value, NaN if nothing was measured, which does not hold.
	Saw  float64
	Held bool
}

// metrics returns the names that requirements can have. The topic probe describes them.
func metrics() []string {
	return []string{
		"login.ms", "setup.ms", "first.audio.ms", "first.video.ms", "rtt.ms", "echo.ms",
		"audio.lost", "audio.loss", "audio.jitter", "audio.markers", "audio.gap", "audio.latency", "audio.latency.p95",
		"video.lost", "video.loss", "video.jitter", "video.corrupt-frames",
		"video.frames.identified", "video.frames.lost", "video.frames.repeated", "video.loss-bursts", "video.freeze.max",
		"video.psnr", "video.latency", "video.latency.p95", "av-sync", "publish.ms", "audio.reported.lost", "video.reported.lost",
	}
}

// Metric returns the metric that is checked.
func (q *Requirement) Metric() string { return q.check.Key }

// aggregated matches a requirement with an aggregate.
var aggregated = regexp.MustCompile(`^([a-z][a-z0-9.-]*):(p50|p95|max|min)( *[!<>=].*)$`)

// ParseRequirement parses a requirement of one of metrics.
func ParseRequirement(text string) (Requirement, error) {
	q := Requirement{Text: text, Saw: math.NaN()}
	raw := strings.TrimSpace(text)
	if m := aggregated.FindStringSubmatch(raw); m != nil {
		raw, q.aggregate = m[1]+m[3], m[2]
	}
	kinds := map[string]event.Kind{}
	for _, metric := range metrics() {
		kinds[metric] = event.Number
	}
	var err error
	if q.check, err = event.ParseCheck(raw, kinds); err != nil {
		return q, err
	}
	if q.check.Op == "" || q.check.Op == "~" {
		return q, fmt.Errorf("%s: want METRIC OP NUMBER, such as setup.ms<=500 or rtt.ms:p95<=20", text)
	}
	return q, nil
}

// Check checks the requirement. Without an aggregate, each value has to satisfy it; Saw is a
// value that does not, or else the one closest to the bound.
func (q *Requirement) Check(results []Result) {
	var values []float64
	for _, r := range results {
		if v, ok := r.Metrics[q.check.Key]; ok {
			values = append(values, v)
		}
	}
	if q.Held = len(values) > 0; !q.Held {
		return
	}
	slices.Sort(values)
	least, most := values[0], values[len(values)-1]
	switch q.aggregate {
	case "":
		q.Saw = most
		if strings.HasPrefix(q.check.Op, ">") {
			q.Saw = least
		}
		fails := func(v float64) bool { return !q.check.Holds(event.NumberOf(v)) }
		if fails(q.Saw) {
			break
		}
		if i := slices.IndexFunc(values, fails); i >= 0 {
			q.Saw = values[i]
		}
	case "min":
		q.Saw = least
	case "max":
		q.Saw = most
	case "p50":
		q.Saw = Percentile(values, 50)
	case "p95":
		q.Saw = Percentile(values, 95)
	}
	q.Held = q.check.Holds(event.NumberOf(q.Saw))
}

// Percentile of sorted values: the nearest rank.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
