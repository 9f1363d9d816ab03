package netem

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config holds the properties of a link. The zero value delivers every packet at once.
type Config struct {
	// Delay is added to each packet. Jitter is the largest deviation from it, uniformly distributed
	// and independent for each packet, so packets that follow each other closely are reordered.
	Delay, Jitter time.Duration
	// Loss, Reorder and Duplicate are probabilities from 0 to 1, independent for each packet. A
	// reordered packet is delivered without a delay, before those that wait for theirs.
	Loss, Reorder, Duplicate float64
	// Copies is the number of copies that a duplicated packet adds. Default: 1.
	Copies int
	// Rate is the capacity in bit/s. Packets queue for it; one that would wait longer than Queue is
	// dropped. Default: 0, unlimited.
	Rate int
	// Queue is the longest time that a packet waits for Rate. Default: 300 ms, about that of a home
	// router.
	Queue time.Duration
	// Outages are the times at which every packet is dropped.
	Outages []Outage
	// Seed initializes the random numbers: with the same seed, the same happens to the nth packet
	// of a kind (STUN, DTLS, RTP of one payload type and so on).
	Seed uint64
}

// An Outage begins Start after the first packet and lasts Duration.
type Outage struct{ Start, Duration time.Duration }

// outage reports whether packets are dropped at a time after the first packet.
func (c *Config) outage(after time.Duration) bool {
	return slices.ContainsFunc(c.Outages, func(o Outage) bool {
		return after >= o.Start && after < o.Start+o.Duration
	})
}

// Bounds of what Parse accepts.
const (
	maxDelay   = 10 * time.Second
	minRate    = 8_000         // bit/s: a packet of 1200 bytes in 1.2 s
	maxRate    = 1_000_000_000 // bit/s
	maxOutages = 20
	maxOutage  = 24 * time.Hour
)

// Parse returns the Config that a text of NAME=VALUE words describes:
//
//	loss=5% delay=40ms jitter=10ms reorder=1% duplicate=1% rate=500kbit queue=100ms
//	outage=3s@10s seed=7
//
// Percentages are 0% to 100%, durations are Go's and at most 10 s, rates are 8kbit to 1000mbit.
// outage=DURATION@START may be repeated. An empty text is an error.
func Parse(text string) (Config, error) {
	var c Config
	seen := map[string]bool{}
	for _, word := range strings.Fields(strings.ReplaceAll(text, ",", " ")) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return c, fmt.Errorf("invalid %q: want NAME=VALUE, such as loss=5%%", word)
		}
		if seen[name] && name != "outage" {
			return c, fmt.Errorf("duplicate %s", name)
		}
		seen[name] = true
		if err := c.set(name, value); err != nil {
			return c, err
		}
	}
	switch {
	case len(seen) == 0:
		return c, errors.New("no settings: want words such as loss=5% delay=40ms")
	case c.Reorder > 0 && c.Delay == 0 && c.Jitter == 0:
		return c, errors.New("reorder has no effect without a delay: add delay=40ms")
	case c.Queue > 0 && c.Rate == 0:
		return c, errors.New("queue has no effect without a rate: add rate=500kbit")
	}
	return c, nil
}

func (c *Config) set(name, value string) (err error) {
	switch name {
	case "loss":
		c.Loss, err = parsePercentage(name, value)
	case "reorder":
		c.Reorder, err = parsePercentage(name, value)
	case "duplicate":
		c.Duplicate, err = parsePercentage(name, value)
	case "delay":
		c.Delay, err = parseDuration(name, value)
	case "jitter":
		c.Jitter, err = parseDuration(name, value)
	case "rate":
		c.Rate, err = parseRate(value)
	case "queue":
		if c.Queue, err = parseDuration(name, value); err == nil && c.Queue == 0 {
			err = errors.New("invalid queue=0s: want more than 0s, such as queue=100ms")
		}
	case "outage":
		err = c.addOutage(value)
	case "seed":
		if c.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			err = fmt.Errorf("invalid seed=%s: want a whole number from 0", value)
		}
	default:
		err = fmt.Errorf("unknown setting %q: want delay, duplicate, jitter, loss, outage, queue, rate, reorder or seed", name)
	}
	return err
}

// parsePercentage returns a probability.
func parsePercentage(name, value string) (float64, error) {
	number, ok := strings.CutSuffix(value, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || math.IsNaN(f) || f < 0 || f > 100 {
		return 0, fmt.Errorf("invalid %s=%s: want 0%% to 100%%, such as %s=5%%", name, value, name)
	}
	return f / 100, nil
}

func parseDuration(name, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("invalid %s=%s: want 0s to %s, such as %s=40ms", name, value, maxDelay, name)
	}
	return d, nil
}

// parseRate returns a rate in bit/s.
func parseRate(value string) (int, error) {
	for _, unit := range []struct {
		name string
		bits float64
	}{{"kbit", 1e3}, {"mbit", 1e6}} {
		if number, ok := strings.CutSuffix(strings.ToLower(value), unit.name); ok {
			f, err := strconv.ParseFloat(number, 64)
			if err == nil && f*unit.bits >= minRate && f*unit.bits <= maxRate {
				return int(f * unit.bits), nil
			}
		}
	}
	return 0, fmt.Errorf("invalid rate=%s: want 8kbit to 1000mbit, such as rate=500kbit", value)
}

func (c *Config) addOutage(value string) error {
	duration, start, ok := strings.Cut(value, "@")
	d, err1 := time.ParseDuration(duration)
	s, err2 := time.ParseDuration(start)
	switch {
	case !ok || err1 != nil || err2 != nil || d <= 0 || d > maxOutage || s < 0 || s > maxOutage:
		return fmt.Errorf("invalid outage=%s: want DURATION@START, such as outage=3s@10s", value)
	case len(c.Outages) == maxOutages:
		return fmt.Errorf("too many outages: want at most %d", maxOutages)
	}
	c.Outages = append(c.Outages, Outage{Start: s, Duration: d})
	slices.SortFunc(c.Outages, func(a, b Outage) int { return int(a.Start - b.Start) })
	return nil
}
