// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const simulatedPacket = 1200 // bytes

// TestCongestionController runs flows through a link in virtual time and checks their throughput from
// the fifth second on, and the delay that they cause.
func TestCongestionController(t *testing.T) {
	const mega = 1e6
	for _, test := range []struct {
		name    string
		link    simulatedLink
		flows   int
		cubics  int           // flows with CUBIC, which come first
		least   float64       // bit/s of each of flows
		cubic   float64       // least bit/s of each of cubics
		longest time.Duration // of the mean queueing delay
	}{
		{"the queue of a slow link stays short",
			simulatedLink{rate: 10 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond}, 1, 0, 9.5 * mega, 0, 20 * time.Millisecond},
		{"variation of the delay does not limit the throughput",
			simulatedLink{rate: 10 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond, jitter: 5 * time.Millisecond}, 1, 0, 9.5 * mega, 0, 20 * time.Millisecond},
		{"a very slow link",
			simulatedLink{rate: .3 * mega, buffer: 300 * time.Millisecond, delay: 50 * time.Millisecond}, 1, 0, .28 * mega, 0, 120 * time.Millisecond},
		{"random loss on a slow link",
			simulatedLink{rate: 10 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond, loss: .01}, 1, 0, 9 * mega, 0, 20 * time.Millisecond},
		{"random loss of 1 %",
			simulatedLink{rate: 300 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond, loss: .01}, 1, 0, 150 * mega, 0, 15 * time.Millisecond},
		{"random loss of 3 %",
			simulatedLink{rate: 300 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond, loss: .03}, 1, 0, 150 * mega, 0, 15 * time.Millisecond},
		{"random loss of 1 % and variation of the delay",
			simulatedLink{rate: 300 * mega, buffer: 100 * time.Millisecond, delay: 20 * time.Millisecond, loss: .01, jitter: 10 * time.Millisecond}, 1, 0, 100 * mega, 0, 15 * time.Millisecond},
		{"random loss on a long path",
			simulatedLink{rate: 300 * mega, buffer: 100 * time.Millisecond, delay: 200 * time.Millisecond, loss: .001}, 1, 0, 30 * mega, 0, 15 * time.Millisecond},
		{"a short queue",
			simulatedLink{rate: 50 * mega, buffer: 5 * time.Millisecond, delay: 20 * time.Millisecond}, 1, 0, 45 * mega, 0, 5 * time.Millisecond},
		{"beside CUBIC in a queue shorter than the target",
			simulatedLink{rate: 50 * mega, buffer: 5 * time.Millisecond, delay: 20 * time.Millisecond}, 1, 1, 12 * mega, 20 * mega, 5 * time.Millisecond},
		{"beside CUBIC in a queue as long as the target",
			simulatedLink{rate: 50 * mega, buffer: 20 * time.Millisecond, delay: 20 * time.Millisecond}, 1, 1, 8 * mega, 20 * mega, 20 * time.Millisecond},
		{"beside CUBIC in a queue longer than the target",
			simulatedLink{rate: 50 * mega, buffer: 50 * time.Millisecond, delay: 20 * time.Millisecond}, 1, 1, 5 * mega, 20 * mega, 50 * time.Millisecond},
		{"beside itself",
			simulatedLink{rate: 50 * mega, buffer: 50 * time.Millisecond, delay: 20 * time.Millisecond}, 2, 0, 15 * mega, 0, 40 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSimulation(test.link)
			var cubics, flows []*simulatedFlow
			for range test.cubics {
				cubics = append(cubics, s.start(&simulatedCubic{window: 10, threshold: math.Inf(1)}))
			}
			for range test.flows {
				flows = append(flows, s.start(newCongestionController(4*simulatedPacket, 0, simulatedPacket)))
			}
			s.run(25 * time.Second)
			for _, f := range cubics {
				assert.GreaterOrEqual(t, s.throughput(f), test.cubic, "bit/s of CUBIC")
			}
			for _, f := range flows {
				assert.GreaterOrEqual(t, s.throughput(f), test.least, "bit/s")
			}
			assert.LessOrEqual(t, s.meanDelay(), test.longest)
		})
	}
}

// TestCongestionControllerForgetsItsOwnQueue checks that the queue stays short when all samples that
// were taken without it are forgotten.
func TestCongestionControllerForgetsItsOwnQueue(t *testing.T) {
	s := newSimulation(simulatedLink{rate: 10e6, buffer: 300 * time.Millisecond, delay: 20 * time.Millisecond})
	s.start(newCongestionController(4*simulatedPacket, 0, simulatedPacket))
	s.run(90 * time.Second)
	s.delays, s.delayed = 0, 0
	s.run(10 * time.Second)
	assert.LessOrEqual(t, s.meanDelay(), 20*time.Millisecond)
}

// TestCongestionControllerMovesToALongerPath checks that a flow recovers when its round-trip time
// grows for good.
func TestCongestionControllerMovesToALongerPath(t *testing.T) {
	s := newSimulation(simulatedLink{rate: 50e6, buffer: 50 * time.Millisecond, delay: 20 * time.Millisecond})
	f := s.start(newCongestionController(4*simulatedPacket, 0, simulatedPacket))
	s.run(5 * time.Second)
	s.link.delay = 100 * time.Millisecond
	s.run(30 * time.Second)
	before := f.received
	s.run(10 * time.Second)
	assert.GreaterOrEqual(t, (f.received-before)*8/10, 40e6, "bit/s")
}

// TestCongestionControllerOfPausingSender checks that a delay which the window does not cause does not
// reduce it.
func TestCongestionControllerOfPausingSender(t *testing.T) {
	c := newCongestionController(4*simulatedPacket, 0, simulatedPacket)
	now := time.Unix(1, 0)
	c.onAck(now, simulatedPacket, 20*time.Millisecond, false)
	for range 40 { // while the first sample is remembered
		now = now.Add(220 * time.Millisecond)
		c.onAck(now, 100*simulatedPacket, 220*time.Millisecond, false)
	}
	assert.GreaterOrEqual(t, c.cwnd(), uint32(4*simulatedPacket))
	assert.True(t, c.slow, "in slow start")
	assert.False(t, c.competing)
}

// simulatedLink is a link with a drop-tail queue.
type simulatedLink struct {
	rate   float64       // bit/s
	buffer time.Duration // that the queue lasts
	delay  time.Duration // round trip without queue
	jitter time.Duration // largest additional delay
	loss   float64       // probability
}

// simulation is a link with its flows, in virtual time. Its measurements begin after 5 s.
type simulation struct {
	link       simulatedLink
	random     *rand.Rand
	began, now time.Time
	free       time.Time // when the queue is empty
	events     simulatedEvents
	number     int // of events
	delays     time.Duration
	delayed    int
}

func newSimulation(link simulatedLink) *simulation {
	now := time.Unix(1, 0)

	return &simulation{link: link, random: rand.New(rand.NewPCG(1, 2)), began: now, now: now} //nolint:gosec
}

func (s *simulation) start(control simulatedControl) *simulatedFlow {
	f := &simulatedFlow{simulation: s, control: control}
	s.after(time.Duration(s.number)*time.Millisecond, f.send)

	return f
}

func (s *simulation) measures() bool { return s.now.Sub(s.began) >= 5*time.Second }

func (s *simulation) throughput(f *simulatedFlow) float64 {
	return f.received * 8 / (s.now.Sub(s.began).Seconds() - 5)
}

func (s *simulation) meanDelay() time.Duration { return s.delays / time.Duration(s.delayed) }

func (s *simulation) after(d time.Duration, do func()) {
	s.number++
	heap.Push(&s.events, simulatedEvent{s.now.Add(d), s.number, do})
}

func (s *simulation) run(d time.Duration) {
	end := s.now.Add(d)
	for len(s.events) > 0 && s.events[0].at.Before(end) {
		e, _ := heap.Pop(&s.events).(simulatedEvent)
		s.now = e.at
		e.do()
	}
	s.now = end
}

// send returns the time until a packet is acknowledged, and false if it is lost.
func (s *simulation) send() (time.Duration, bool) {
	if s.free.Before(s.now) {
		s.free = s.now
	}
	queued := s.free.Sub(s.now)
	if queued > s.link.buffer || s.random.Float64() < s.link.loss {
		return queued + s.link.delay, false
	}
	if s.measures() {
		s.delays += queued
		s.delayed++
	}
	s.free = s.free.Add(time.Duration(simulatedPacket * 8 / s.link.rate * 1e9))
	took := s.free.Sub(s.now) + s.link.delay
	if s.link.jitter > 0 {
		took += time.Duration(s.random.Int64N(int64(s.link.jitter)))
	}

	return took, true
}

type simulatedEvent struct {
	at     time.Time
	number int
	do     func()
}

type simulatedEvents []simulatedEvent

func (e simulatedEvents) Len() int { return len(e) }
func (e simulatedEvents) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].number < e[j].number
}
func (e simulatedEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *simulatedEvents) Push(x any)   { *e = append(*e, x.(simulatedEvent)) } //nolint:forcetypeassert
func (e *simulatedEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]

	return last
}

type simulatedControl interface {
	cwnd() uint32
	onAck(now time.Time, bytes int, rtt time.Duration, limited bool)
	onLoss(now time.Time, bytes int)
}

// simulatedFlow always has more to send.
type simulatedFlow struct {
	simulation *simulation
	control    simulatedControl
	flight     int     // bytes
	received   float64 // bytes
}

// send sends what the window allows.
func (f *simulatedFlow) send() {
	s := f.simulation
	for f.flight+simulatedPacket <= int(f.control.cwnd()) {
		f.flight += simulatedPacket
		took, ok := s.send()
		if !ok { // found by RACK
			s.after(took+s.link.delay/4, func() {
				f.flight -= simulatedPacket
				f.control.onLoss(s.now, simulatedPacket)
				f.send()
			})

			continue
		}
		s.after(took, func() {
			f.flight -= simulatedPacket
			if s.measures() {
				f.received += simulatedPacket
			}
			f.control.onAck(s.now, simulatedPacket, took, true)
			f.send()
		})
	}
}

// simulatedCubic is RFC 9438 without HyStart. Windows are in packets.
type simulatedCubic struct {
	window, threshold, peak, reno float64
	rtt                           time.Duration
	epoch, reduced                time.Time
}

func (c *simulatedCubic) cwnd() uint32 { return uint32(c.window * simulatedPacket) }

func (c *simulatedCubic) onAck(now time.Time, _ int, rtt time.Duration, _ bool) {
	c.rtt = rtt
	if c.window < c.threshold {
		c.window++

		return
	}
	if c.epoch.IsZero() {
		c.epoch, c.peak, c.reno = now, max(c.peak, c.window), c.window
	}
	t := (now.Sub(c.epoch) + rtt).Seconds()
	c.reno += 3 * .3 / 1.7 / c.window
	target := max(.4*math.Pow(t-math.Cbrt(c.peak*.3/.4), 3)+c.peak, c.reno)
	c.window += max(0, min(target, 1.5*c.window)-c.window) / c.window
}

func (c *simulatedCubic) onLoss(now time.Time, _ int) {
	if now.Sub(c.reduced) < c.rtt {
		return
	}
	c.peak, c.window = c.window, max(2, .7*c.window)
	c.threshold, c.reduced, c.epoch = c.window, now, time.Time{}
}
