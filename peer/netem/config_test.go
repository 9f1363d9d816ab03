package netem

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse("loss=5% delay=40ms jitter=10ms reorder=1% duplicate=0.5% rate=500kbit queue=100ms outage=3s@10s outage=1s@2s seed=7")
	want := Config{Loss: .05, Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond, Reorder: .01, Duplicate: .005, Rate: 500_000, Queue: 100 * time.Millisecond, Seed: 7,
		Outages: []Outage{{2 * time.Second, time.Second}, {10 * time.Second, 3 * time.Second}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"":                "no settings",
		"loss":            "want NAME=VALUE",
		"loss=5":          "want 0% to 100%",
		"loss=101%":       "want 0% to 100%",
		"loss=NaN%":       "want 0% to 100%",
		"loss=-1%":        "want 0% to 100%",
		"delay=40":        "want 0s to 10s",
		"delay=11s":       "want 0s to 10s",
		"jitter=-1ms":     "want 0s to 10s",
		"rate=500":        "want 8kbit to 1000mbit",
		"rate=1kbit":      "want 8kbit to 1000mbit",
		"rate=2000mbit":   "want 8kbit to 1000mbit",
		"outage=3s":       "want DURATION@START",
		"outage=0s@1s":    "want DURATION@START",
		"seed=-1":         "want a whole number",
		"seed=x":          "want a whole number",
		"lose=5%":         `unknown setting "lose": want delay`,
		"loss=1% loss=2%": "duplicate loss",
		"reorder=1%":      "add delay",
		"queue=100ms":     "add rate",
		"queue=0s":        "want more than 0s",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// FuzzParse checks that every accepted Config is within the bounds.
func FuzzParse(f *testing.F) {
	f.Add("loss=5% delay=40ms outage=3s@10s rate=1mbit")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err == nil && (c.Loss < 0 || c.Loss > 1 || c.Delay < 0 || c.Delay > maxDelay || c.Rate < 0 || c.Rate > maxRate || len(c.Outages) > maxOutages) {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
