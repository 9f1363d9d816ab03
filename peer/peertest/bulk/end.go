package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer"
	"parley/peer/datachannel"
)

// parleyEnd is one end of a call by package peer, driven by stdin as end.js is.
type parleyEnd struct {
	call     *peer.Call
	channels int

	mu    sync.Mutex // guards the following
	out   *json.Encoder
	open  []*datachannel.Channel
	bytes map[*datachannel.Channel]int64 // received
	ended int                            // channels whose last message has arrived
	first time.Time                      // message
}

func (e *parleyEnd) say(m message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.out.Encode(m)
}

// Offer, Answer, Candidate and Leave implement peer.Signaler.
func (e *parleyEnd) Offer(_ context.Context, d peer.SessionDescription) error {
	return e.say(message{Do: "offer", SDP: d.SDP})
}

func (e *parleyEnd) Answer(_ context.Context, d peer.SessionDescription) error {
	return e.say(message{Do: "answer", SDP: d.SDP})
}

func (e *parleyEnd) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	return e.say(message{Do: "candidate", Candidate: &c})
}

func (e *parleyEnd) Leave(context.Context) error { return nil }

// runParleyEnd carries out the lines of stdin.
func runParleyEnd() error {
	e := &parleyEnd{out: json.NewEncoder(os.Stdout), bytes: map[*datachannel.Channel]int64{}}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	run := func() { work.Go(func() { _, _ = e.call.Run(ctx) }) }
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch m.Do {
		case "make":
			if err := e.make(m); err != nil {
				return err
			}
			if !m.Offers { // it waits for an offer
				run()
			}
			if err := e.say(message{Do: "made"}); err != nil {
				return err
			}
		case "call":
			run()
		case "offer":
			e.call.DeliverOffer(peer.SessionDescription{SDP: m.SDP})
		case "answer":
			e.call.DeliverAnswer(peer.SessionDescription{SDP: m.SDP})
		case "candidate":
			e.call.DeliverCandidate(*m.Candidate)
		case "send":
			work.Go(func() { e.send(ctx, m) })
		case "bye":
			return nil
		}
	}
	return lines.Err()
}

func (e *parleyEnd) make(m message) (err error) {
	e.channels = max(1, m.Channels)
	var options []datachannel.Options
	for i := range e.channels {
		if m.Offers {
			options = append(options, datachannel.Options{Label: fmt.Sprint("bulk ", i)})
		}
	}
	e.call, err = peer.New(peer.Config{
		Caller: m.Offers, Impolite: m.Offers, Channels: options, Signaler: e, ReceiveBuffer: peer.BulkReceiveBuffer, ICE: peer.ICEConfig{Loopback: true},
		OnEvent: func(event peer.Event) {
			switch event := event.(type) {
			case peer.ChannelOpened:
				e.opened(event.Channel)
			case peer.MessageReceived:
				e.received(event)
			}
		},
	})
	return err
}

func (e *parleyEnd) opened(c *datachannel.Channel) {
	e.mu.Lock()
	e.open = append(e.open, c)
	all := len(e.open) == e.channels
	e.mu.Unlock()
	if all {
		_ = e.say(message{Do: "open"}) // the reader of stdout notices a lost line
	}
}

// received counts a message. A text is the last one of its channel.
func (e *parleyEnd) received(m peer.MessageReceived) {
	e.mu.Lock()
	if e.first.IsZero() {
		e.first = time.Now()
	}
	if !m.Text {
		e.bytes[m.Channel] += int64(len(m.Data))
		e.mu.Unlock()
		return
	}
	e.ended++
	report := message{Do: "received", Ms: float64(time.Since(e.first).Microseconds()) / 1000}
	var all []int64
	for _, c := range e.open {
		all = append(all, e.bytes[c])
		report.Bytes += e.bytes[c]
	}
	report.Least, report.Most = slices.Min(all), slices.Max(all)
	last := e.ended == e.channels
	e.mu.Unlock()
	if last {
		_ = e.say(report)
	}
}

// send sends messages on all channels in turn for a time, and then a text on each.
func (e *parleyEnd) send(ctx context.Context, m message) {
	data, end := make([]byte, m.Size), time.Now().Add(time.Duration(m.Ms)*time.Millisecond)
	for time.Now().Before(end) {
		for _, c := range e.open {
			if err := c.Write(ctx, data, false); err != nil {
				fmt.Fprintln(os.Stderr, "bulk:", err)
				return
			}
		}
	}
	for _, c := range e.open {
		if err := c.Write(ctx, []byte("end"), true); err != nil {
			fmt.Fprintln(os.Stderr, "bulk:", err)
			return
		}
	}
}
