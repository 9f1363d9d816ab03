package road

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what Parse takes.
const (
	maxDelay   = 10 * time.Second
	minRate    = 8_000         // bit/s: a packet of 1200 bytes in 1.2 s
	maxRate    = 1_000_000_000 // bit/s
	maxOutages = 20
	maxOutage  = 24 * time.Hour
)

// Parse reads weather as words NAME=VALUE:
//
//	loss=5% delay=40ms jitter=10ms reorder=1% duplicate=1% rate=500kbit outage=3s@10s seed=7
//
// Shares are 0% to 100%, durations as Go has them up to 10 s, rates 8kbit to 1000mbit a second; outage=D@T is nothing
// for D, T after the first packet, and may be repeated. Text without a word is an error.
func Parse(text string) (Weather, error) {
	var w Weather
	seen := map[string]bool{}
	for _, word := range strings.Fields(strings.ReplaceAll(text, ",", " ")) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return w, fmt.Errorf("%q is no NAME=VALUE, such as loss=5%%", word)
		}
		if seen[name] && name != "outage" {
			return w, fmt.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if err := w.set(name, value); err != nil {
			return w, err
		}
	}
	switch {
	case len(seen) == 0:
		return w, fmt.Errorf("it says nothing; it is words such as loss=5%% delay=40ms")
	case w.Reorder > 0 && w.Delay == 0 && w.Jitter == 0:
		return w, fmt.Errorf("reorder lets a packet overtake those that are under way, and without delay none is: add delay=40ms")
	}
	return w, nil
}

func (w *Weather) set(name, value string) (err error) {
	switch name {
	case "loss":
		w.Loss, err = share(name, value)
	case "reorder":
		w.Reorder, err = share(name, value)
	case "duplicate":
		w.Duplicate, err = share(name, value)
	case "delay":
		w.Delay, err = span(name, value, maxDelay)
	case "jitter":
		w.Jitter, err = span(name, value, maxDelay)
	case "rate":
		w.Rate, err = rate(value)
	case "outage":
		err = w.addOutage(value)
	case "seed":
		if w.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			err = fmt.Errorf("seed=%s: it is a whole number from 0 on", value)
		}
	default:
		err = fmt.Errorf("there is no %q; there are delay, duplicate, jitter, loss, outage, rate, reorder and seed", name)
	}
	return err
}

func share(name, value string) (float64, error) {
	number, percent := strings.CutSuffix(value, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || math.IsNaN(f) || f < 0 || f > 100 {
		return 0, fmt.Errorf("%s=%s: it is a share of 0%% to 100%%, such as %s=5%%", name, value, name)
	}
	return f / 100, nil
}

func span(name, value string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > most {
		return 0, fmt.Errorf("%s=%s: it is a time of 0s to %s, such as %s=40ms", name, value, most, name)
	}
	return d, nil
}

func rate(value string) (int, error) {
	for _, unit := range []struct {
		name string
		bits float64
	}{{"kbit", 1e3}, {"mbit", 1e6}} {
		if number, ok := strings.CutSuffix(strings.ToLower(value), unit.name); ok {
			if f, err := strconv.ParseFloat(number, 64); err == nil && f*unit.bits >= minRate && f*unit.bits <= maxRate {
				return int(f * unit.bits), nil
			}
		}
	}
	return 0, fmt.Errorf("rate=%s: it is 8kbit to 1000mbit a second, such as rate=500kbit", value)
}

func (w *Weather) addOutage(value string) error {
	d, at, ok := strings.Cut(value, "@")
	long, err1 := time.ParseDuration(d)
	start, err2 := time.ParseDuration(at)
	switch {
	case !ok || err1 != nil || err2 != nil || long <= 0 || long > maxOutage || start < 0 || start > maxOutage:
		return fmt.Errorf("outage=%s: it is how long and when, such as outage=3s@10s", value)
	case len(w.Outages) == maxOutages:
		return fmt.Errorf("there are at most %d outages", maxOutages)
	}
	w.Outages = append(w.Outages, Outage{At: start, For: long})
	slices.SortFunc(w.Outages, func(a, b Outage) int { return int(a.At - b.At) })
	return nil
}
