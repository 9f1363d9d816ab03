package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"sync"

	"github.com/pion/webrtc/v4"

	"parley/peer"
	"parley/peer/datachannel"
)

// message is a line between the two ends and the one who measures.
type message struct {
	Do        string                   `json:"do"` // make, call, offer, answer, candidate, bye; made, open
	Offers    bool                     `json:"offers,omitempty"`
	SDP       string                   `json:"sdp,omitempty"`
	Candidate *webrtc.ICECandidateInit `json:"candidate,omitempty"`
}

// end is one end of a call by parley, driven by stdin.
type end struct {
	mu   sync.Mutex // protects following
	out  *json.Encoder
	call *peer.Call
	stop func()
}

func (e *end) say(m message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.out.Encode(m)
}

func (e *end) Offer(_ context.Context, d peer.SessionDescription) error {
	return e.say(message{Do: "offer", SDP: d.SDP})
}
func (e *end) Answer(_ context.Context, d peer.SessionDescription) error {
	return e.say(message{Do: "answer", SDP: d.SDP})
}
func (e *end) Leave(context.Context) error { return nil }
func (e *end) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	return e.say(message{Do: "candidate", Candidate: &c})
}

// runEnd makes one call after the other, as stdin says.
func runEnd() error {
	e := &end{out: json.NewEncoder(os.Stdout), stop: func() {}}
	defer func() { e.stop() }()
	var begin func()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch m.Do {
		case "make":
			e.stop()
			run, err := e.make(m.Offers)
			if err != nil {
				return err
			}
			if begin = run; !m.Offers { // who answers waits for an offer
				begin()
			}
			if err := e.say(message{Do: "made"}); err != nil {
				return err
			}
		case "call":
			begin()
		case "offer":
			e.call.DeliverOffer(peer.SessionDescription{SDP: m.SDP})
		case "answer":
			e.call.DeliverAnswer(peer.SessionDescription{SDP: m.SDP})
		case "candidate":
			e.call.DeliverCandidate(*m.Candidate)
		case "bye":
			return nil
		}
	}
	return lines.Err()
}

// make prepares a call; run starts it.
func (e *end) make(offers bool) (run func(), err error) {
	e.call, err = peer.New(peer.Config{
		Caller: offers, Impolite: offers, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: e,
		OnEvent: func(event peer.Event) {
			if _, ok := event.(peer.ChannelOpened); ok {
				_ = e.say(message{Do: "open"}) // a lost line is noticed by who waits for it
			}
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	e.stop = func() { cancel(); work.Wait(); e.stop = func() {} }
	call := e.call
	return func() { work.Go(func() { _, _ = call.Run(ctx) }) }, nil
}
