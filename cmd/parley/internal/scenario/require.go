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

// Metrics are what can be required, with what they are.
func Metrics() map[string]string {
	return map[string]string{
		"login.ms": "from the dialling of the signaling server to the login", "setup.ms": "from the offer to the connection",
		"first.audio.ms": "from the offer to the first audio", "first.video.ms": "from the offer to the first frame",
		"rtt.ms": "round trip of the path", "echo.ms": "from a message to the same one back",
		"audio.lost": "packets", "video.lost": "packets", "audio.loss": "per cent of the packets", "video.loss": "per cent of the packets", "video.corrupt-frames": "frames", "audio.jitter": "milliseconds", "video.jitter": "milliseconds",
		"video.frames.lost": "frames of the test source that never came", "video.loss-bursts": "how often", "video.frames.repeated": "frames", "video.freeze.max": "milliseconds, the longest",
		"video.frames.identified": "frames of the test source", "audio.markers": "markers of the test audio",
		"video.psnr": "dB", "video.latency": "milliseconds, the median of a call", "video.latency.p95": "milliseconds", "audio.gap": "milliseconds, the longest",
		"audio.latency": "milliseconds, the median of a call", "audio.latency.p95": "milliseconds", "av-sync": "milliseconds that the video is later than its audio",
	}
}

// Metric returns the metric that is checked.
func (q *Requirement) Metric() string { return q.check.Key }

// aggregated matches a requirement with an aggregate.
var aggregated = regexp.MustCompile(`^([a-z][a-z0-9.-]*):(p50|p95|max|min)( *[!<>=].*)$`)

// ParseRequirement parses a requirement of one of Metrics.
func ParseRequirement(text string) (Requirement, error) {
	q := Requirement{Text: text, Saw: math.NaN()}
	raw := strings.TrimSpace(text)
	if m := aggregated.FindStringSubmatch(raw); m != nil {
		raw, q.aggregate = m[1]+m[3], m[2]
	}
	kinds := map[string]event.Kind{}
	for metric := range Metrics() {
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
