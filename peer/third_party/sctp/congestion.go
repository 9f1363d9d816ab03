// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"math"
	"slices"
	"time"
)

const (
	// congestionTarget is the queueing delay that the controller aims at, in seconds.
	congestionTarget = 0.015
	// congestionDelayFloor is the queueing delay, in seconds, below which a loss does not count as
	// congestion.
	congestionDelayFloor = 0.002
	// congestionSpan is the time for which extremes of the round-trip time are kept, and after
	// which the queue is drained to measure the round-trip time without it.
	congestionSpan = 10 * time.Second
	// congestionMinRound is the shortest interval between two decisions, in seconds.
	congestionMinRound = 0.005
	// congestionDecrease is the factor of the window after a loss (RFC 9438, section 4.6).
	congestionDecrease = 0.7
	// congestionMaxLoss is the fraction of lost bytes above which any loss counts as congestion.
	congestionMaxLoss = 0.1
	// congestionReductions is the number of reductions in a row without effect on the delay
	// after which another flow is taken to fill the queue.
	congestionReductions = 5
)

// congestionController computes the congestion window of an association.
//
// Its signal is the queueing delay, which is the round-trip time above its minimum, as in LEDBAT++
// (draft-irtf-iccrg-ledbat-plus-plus): the window grows while the delay is below a target, and shrinks
// above it. A loss reduces the window only if losses occur while the queue is long, or if a tenth of
// all bytes is lost. Thus random loss does not limit the throughput. After such a reduction the window
// grows no faster than that of CUBIC (RFC 9438), with which it shares a short queue. If the delay does
// not follow the window, another flow fills the queue. The controller then reduces the window at any
// loss and grows it as RFC 9260 allows, until the delay has gone, as Copa does (Arun and Balakrishnan,
// NSDI 2018).
//
// The lock of the association guards it. Windows are in bytes, times in seconds where not declared
// otherwise.
type congestionController struct {
	mtu      float64
	min      float64 // window
	window   float64
	slow     bool    // slow start: the window doubles in each round
	velocity float64 // growth of the window in packets per round

	recent  [4]float64 // latest round-trip times
	samples int        // of the round-trip time
	rtt     float64    // minimum of recent; 0: no sample yet
	base    extreme    // minimum of rtt
	peak    extreme    // negative maximum of the queueing delay
	latest  time.Time  // latest call of onAck
	nearest time.Time  // when the round-trip time was last near its minimum

	reduced    time.Time // when a loss last reduced the window
	peakWindow float64   // window at that time, in packets; 0: none
	queued     float64   // moving average of the fraction of losses while the queue was long
	loss       float64   // moving average of the fraction of lost bytes

	competing  bool    // another flow fills the queue
	reductions int     // reductions because of delay since the delay was below the target
	settling   bool    // the next round does not show the effect of the last reduction
	unreduced  float64 // window before the first of the reductions

	drainEnd  time.Time // zero: the queue is not being drained
	undrained float64   // window before

	round congestionRound
}

// congestionRound holds what was observed since the last decision.
type congestionRound struct {
	start   time.Time
	minimum float64 // round-trip time; 0: no sample
	acked   float64 // bytes
	lost    float64 // bytes
	limited bool    // the window limited the sender
}

func newCongestionController(window, minimum, mtu uint32) *congestionController {
	return &congestionController{
		mtu: float64(mtu), min: float64(minimum), window: float64(window), slow: true, velocity: 1, queued: 1,
	}
}

// cwnd returns the congestion window in bytes.
func (c *congestionController) cwnd() uint32 {
	return uint32(min(max(c.window, c.min, c.mtu), math.MaxInt32))
}

// onAck handles a SACK that acknowledges bytes for the first time. rtt is the round-trip time of the
// newest chunk it acknowledges, or 0 if that was sent more than once. limited reports whether the
// sender had more to send than the window allowed.
func (c *congestionController) onAck(now time.Time, bytes int, rtt time.Duration, limited bool) {
	if now.Sub(c.latest) >= congestionSpan { // the first, or the first after a pause
		c.round, c.nearest = congestionRound{start: now}, now
	}
	c.latest = now
	if rtt > 0 {
		c.addSample(now, rtt.Seconds())
	}
	c.round.acked += float64(bytes)
	c.round.limited = c.round.limited || limited
	if c.slow && limited && c.drainEnd.IsZero() {
		c.window += float64(bytes)
	}
	if c.round.minimum > 0 && now.Sub(c.round.start).Seconds() >= max(c.rtt, congestionMinRound) {
		c.endRound(now)
	}
}

// addSample adds a round-trip time. A few samples are taken together, so that a host that was busy
// for a moment does not look like a queue.
func (c *congestionController) addSample(now time.Time, sample float64) {
	c.recent[c.samples%len(c.recent)] = sample
	c.samples++
	c.rtt = slices.Min(c.recent[:min(c.samples, len(c.recent))])
	delay := c.rtt - c.base.push(now, c.rtt)
	c.peak.push(now, -delay)
	if delay <= congestionTarget/8 {
		c.nearest = now
	}
	if c.round.minimum == 0 || c.rtt < c.round.minimum {
		c.round.minimum = c.rtt
	}
}

// onLoss handles bytes that have been found lost.
func (c *congestionController) onLoss(now time.Time, bytes int) {
	c.round.lost += float64(bytes)
	var queued float64
	if c.rtt-c.base.value >= max(congestionDelayFloor, -c.peak.value/2) {
		queued = 1
	}
	c.queued += (queued - c.queued) / 16
	if c.competing || queued == 1 && c.queued >= .5 {
		c.reduce(now)
	}
}

// onTimeout handles the expiry of T3-rtx (RFC 9260, section 7.2.3).
func (c *congestionController) onTimeout() {
	c.window, c.slow, c.velocity = c.mtu, true, 1
	c.reductions, c.settling, c.drainEnd = 0, false, time.Time{}
}

// reduce reduces the window because of a loss, once per round-trip time.
func (c *congestionController) reduce(now time.Time) {
	if !c.drainEnd.IsZero() || now.Sub(c.reduced).Seconds() < c.rtt {
		return
	}
	c.peakWindow, c.reduced = c.window/c.mtu, now
	c.slow, c.velocity = false, 1
	c.setWindow(c.window * congestionDecrease)
}

func (c *congestionController) setWindow(window float64) { c.window = max(window, c.min, 2*c.mtu) }

// endRound adjusts the window to what the round has shown.
func (c *congestionController) endRound(now time.Time) {
	round := c.round
	c.round = congestionRound{start: now}
	delay := round.minimum - c.base.value
	bytes := round.acked + round.lost
	if bytes > 0 {
		c.loss += (round.lost/bytes - c.loss) * min(.5, bytes/(300*c.mtu))
	}
	burst := round.lost >= 5*c.mtu && round.lost > congestionMaxLoss*bytes
	switch {
	case !c.drainEnd.IsZero():
		if !now.Before(c.drainEnd) {
			c.endDrain(now, delay)
		}
	case now.Sub(c.nearest) >= congestionSpan && round.limited:
		c.beginDrain(now, delay)
	case c.competing:
		c.growCompeting(round, delay)
	case burst || c.loss > congestionMaxLoss:
		c.reduce(now)
	case delay <= congestionTarget:
		c.reductions, c.settling = 0, false
		c.grow(now, round, delay)
	case round.limited: // if not, a single packet may have been acknowledged with a delay
		c.reduceDelay(delay)
	}
}

// grow grows the window while the delay is below the target.
func (c *congestionController) grow(now time.Time, round congestionRound, delay float64) {
	if c.slow {
		c.slow = delay < congestionTarget/2

		return
	}
	if delay < congestionTarget/2 {
		c.velocity = min(2*c.velocity, max(1, c.window/(8*c.mtu)))
	} else {
		c.velocity = 1
	}
	if !round.limited {
		return
	}
	growth := c.velocity * c.mtu * (congestionTarget - delay) / congestionTarget
	if c.peakWindow > 0 {
		growth = min(growth, c.cubicWindow(now)-c.window)
	}
	c.window += max(growth, 0)
}

// cubicWindow returns the window that CUBIC would have (RFC 9438, sections 4.2 and 4.3).
func (c *congestionController) cubicWindow(now time.Time) float64 {
	const scale = .4 // packets per s³
	k := math.Cbrt(c.peakWindow * (1 - congestionDecrease) / scale)
	t := now.Sub(c.reduced).Seconds()
	cubic := scale*math.Pow(t-k, 3) + c.peakWindow
	reno := c.peakWindow*congestionDecrease + 3*(1-congestionDecrease)/(1+congestionDecrease)*t/c.rtt

	return max(cubic, reno) * c.mtu
}

// reduceDelay reduces the window so that the delay becomes the target if this flow alone causes it.
// The effect shows after one more round.
func (c *congestionController) reduceDelay(delay float64) {
	c.slow, c.velocity = false, 1
	if c.settling {
		c.settling = false

		return
	}
	if c.reductions == 0 {
		c.unreduced = c.window
	}
	c.settling = true
	c.reductions++
	if c.reductions == congestionReductions {
		c.competing, c.reductions, c.settling = true, 0, false
		c.setWindow(c.unreduced * congestionDecrease)

		return
	}
	c.setWindow(c.window * max(.5, (c.base.value+congestionTarget)/(c.base.value+delay)))
}

// growCompeting grows the window as in congestion avoidance (RFC 9260, section 7.2.2).
func (c *congestionController) growCompeting(round congestionRound, delay float64) {
	if delay < congestionTarget/2 {
		c.competing = false
	} else if round.limited && round.lost == 0 {
		c.window += c.mtu
	}
}

// beginDrain reduces the window for two rounds below what the path holds without a queue.
func (c *congestionController) beginDrain(now time.Time, delay float64) {
	c.undrained = c.window
	c.setWindow(c.window * congestionDecrease * c.base.value / (c.base.value + delay))
	c.drainEnd = now.Add(time.Duration(2 * (c.base.value + delay) * float64(time.Second)))
}

// endDrain restores the window, unless the queue was this flow's alone.
func (c *congestionController) endDrain(now time.Time, delay float64) {
	c.drainEnd, c.nearest = time.Time{}, now
	c.velocity, c.reductions, c.settling = 1, 0, false
	if c.competing && delay < congestionTarget/2 {
		c.competing = false
		c.setWindow(c.undrained / 2)

		return
	}
	c.setWindow(c.undrained)
}

// extreme is the minimum of the samples of the last one to two congestionSpans.
type extreme struct {
	value             float64
	current, previous float64
	start             time.Time // of current
}

// push adds a sample and returns the minimum.
func (e *extreme) push(now time.Time, sample float64) float64 {
	switch age := now.Sub(e.start); {
	case age >= 2*congestionSpan:
		e.current, e.previous, e.start = sample, sample, now
	case age >= congestionSpan:
		e.current, e.previous, e.start = sample, e.current, now
	default:
		e.current = min(e.current, sample)
	}
	e.value = min(e.current, e.previous)

	return e.value
}
