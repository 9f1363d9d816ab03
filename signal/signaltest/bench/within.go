package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"parley/signal/signaltest/deployment"
)

const (
	// withinRounds is how often each server is loaded, and withinSpan how long.
	withinRounds = 30
	withinSpan   = time.Second
)

// measureWithin relays as much as is possible at the single server and within a node, in turns:
// first for clients that cannot resume, as in the other measurements, then for clients that can, as
// the page and the terminal do.
func (b *bench) measureWithin(context.Context) error {
	for i, resume := range []bool{false, true} {
		p := b.plan
		p.resume = resume
		var all [2]*contender
		for k, d := range []*deployment.Deployment{b.single, b.cluster} {
			l, err := newLoad(d.Nodes[0].Server, fmt.Sprintf("within-%t-", resume), p)
			if err != nil {
				return err
			}
			defer l.close()
			all[k] = &contender{node: d.Nodes[0], load: l}
		}
		if err := alternate(all[:], withinRounds, withinSpan); err != nil {
			return err
		}
		for _, c := range all {
			c.load.close()
		}
		b.f.within[i] = compare(all[0], all[1])
	}
	return nil
}

// contender is a server whose CPU time for each message is compared with that of another.
type contender struct {
	node *deployment.Node
	load *load
	cost []float64     // CPU time for each message in each round, in microseconds
	cpu  time.Duration // of all rounds
	sent float64       // messages of all rounds
}

// round loads the server for a span and measures.
func (c *contender) round(span time.Duration) error {
	if err := c.load.begin(); err != nil {
		return err
	}
	time.Sleep(span / 10) // warm
	before, err := c.node.CPU()
	if err != nil {
		return err
	}
	from := c.load.relayed.Load()
	time.Sleep(span)
	after, err := c.node.CPU()
	if err != nil {
		return err
	}
	sent := float64(c.load.relayed.Load() - from)
	if sent == 0 {
		return fmt.Errorf("%s has relayed nothing", c.node.Name)
	}
	c.cost = append(c.cost, float64((after-before).Nanoseconds())/1e3/sent)
	c.cpu, c.sent = c.cpu+after-before, c.sent+sent
	return c.load.end()
}

// perSecond returns the messages for each second of CPU time.
func (c *contender) perSecond() float64 { return c.sent / c.cpu.Seconds() }

// alternate loads one contender after the other, in an order that reverses from round to round, so
// that other load on the machine, and its steady change, affect all alike. All are connected all
// the time.
func alternate(all []*contender, rounds int, span time.Duration) error {
	for i := range rounds {
		order := slices.Clone(all)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			if err := c.round(span); err != nil {
				return err
			}
		}
	}
	return nil
}

// comparison is how many messages a server relays for each second of CPU time, of those of another.
type comparison struct {
	of            [2]float64 // messages per CPU second: of the other, and of the server
	sums          float64    // ratio of the messages and CPU times of all rounds
	median        float64    // of the ratios of the rounds
	first, third  float64    // quartiles of these ratios
	standardError float64    // of their mean
}

func compare(other, server *contender) (c comparison) {
	c.of = [2]float64{other.perSecond(), server.perSecond()}
	c.sums = c.of[1] / c.of[0]
	ratios := make([]float64, len(other.cost))
	for i := range ratios {
		ratios[i] = other.cost[i] / server.cost[i]
	}
	average, variance := mean(ratios), 0.0
	for _, r := range ratios {
		variance += (r - average) * (r - average) / float64(max(len(ratios)-1, 1))
	}
	c.standardError = math.Sqrt(variance / float64(len(ratios)))
	slices.Sort(ratios)
	c.first, c.median, c.third = ratios[len(ratios)/4], median(ratios), ratios[len(ratios)*3/4]
	return c
}

// row returns the row of the table.
func (c *comparison) row(what string) row {
	return row{what, fmt.Sprintf("%.0f", c.of[0]), fmt.Sprintf("%.0f", c.of[1]), fmt.Sprintf("≥ %.0f %%", 100*goalWithin),
		fmt.Sprintf("%.1f %% ± %.1f; median %.1f, quartiles %.1f to %.1f", 100*c.sums, 100*c.standardError, 100*c.median, 100*c.first, 100*c.third), c.sums < goalWithin}
}
