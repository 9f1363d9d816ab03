package scenario

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Requirement bounds a metric, over all calls of a run: METRIC[:p50|p95|max|min] OP NUMBER.
type Requirement struct {
	Text                    string
	metric, aggregate, sign string
	bound                   float64
	// Saw is the value, NaN if nothing was measured, which does not hold.
	Saw  float64
	Held bool
}

// Metrics are what can be required, with what they are.
func Metrics() map[string]string {
	return map[string]string{
		"login.ms": "from the dialling of the signaling server to the login", "setup.ms": "from the offer to the connection",
		"first.audio.ms": "from the offer to the first sound", "first.video.ms": "from the offer to the first picture",
		"rtt.ms": "round trip of the path", "echo.ms": "from a message to the same one back",
		"audio.lost": "packets", "video.lost": "packets", "audio.loss": "per cent of the packets", "video.loss": "per cent of the packets", "video.broken": "frames", "audio.jitter": "milliseconds", "video.jitter": "milliseconds",
		"video.missing": "pictures of the test source that never came", "video.skips": "how often", "video.repeated": "pictures", "video.frozen": "milliseconds, the longest",
		"video.numbers": "pictures of the test source", "audio.words": "words of the code in the test sound",
		"video.psnr": "dB", "video.latency": "milliseconds, the median of a call", "video.latency.p95": "milliseconds", "audio.gap": "milliseconds, the longest",
		"audio.latency": "milliseconds, the median of a call", "audio.latency.p95": "milliseconds", "sync": "milliseconds that the picture is later than its sound",
	}
}

// Metric is what it bounds.
func (q *Requirement) Metric() string { return q.metric }

var requirementForm = regexp.MustCompile(`^([a-z][a-z0-9.]*)(?::(p50|p95|max|min))?(<=|>=|<|>|=)(.+)$`)

// ParseRequirement reads one; a metric that is not known is an error.
func ParseRequirement(text string) (Requirement, error) {
	m := requirementForm.FindStringSubmatch(strings.ReplaceAll(text, " ", ""))
	if m == nil {
		return Requirement{}, fmt.Errorf("%q is no requirement, such as setup.ms<=500 or rtt.ms:p95<=20", text)
	}
	if _, ok := Metrics()[m[1]]; !ok {
		names := make([]string, 0)
		for n := range Metrics() {
			names = append(names, n)
		}
		slices.Sort(names)
		return Requirement{}, fmt.Errorf("there is no metric %q; there are %s", m[1], strings.Join(names, ", "))
	}
	bound, err := strconv.ParseFloat(m[4], 64)
	if err != nil || math.IsNaN(bound) {
		return Requirement{}, fmt.Errorf("%q is not a number", m[4])
	}
	return Requirement{Text: text, metric: m[1], aggregate: m[2], sign: m[3], bound: bound, Saw: math.NaN()}, nil
}

// Check decides it. Without an aggregate, each value has to be within the bound.
func (q *Requirement) Check(results []Result) {
	var values []float64
	for _, r := range results {
		if v, ok := r.Metrics[q.metric]; ok {
			values = append(values, v)
		}
	}
	q.Held = len(values) > 0
	if !q.Held {
		return
	}
	slices.Sort(values)
	least, most := values[0], values[len(values)-1]
	switch q.aggregate {
	case "":
		q.Saw = most
		if strings.HasPrefix(q.sign, ">") {
			q.Saw = least
		}
		if q.sign == "=" && least != most {
			q.Held = false
			return
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
	switch q.sign {
	case "<=":
		q.Held = q.Saw <= q.bound
	case ">=":
		q.Held = q.Saw >= q.bound
	case "<":
		q.Held = q.Saw < q.bound
	case ">":
		q.Held = q.Saw > q.bound
	case "=":
		q.Held = q.Saw == q.bound
	}
}

// Percentile of sorted values: the nearest rank.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
