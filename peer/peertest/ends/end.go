package ends

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/pion/webrtc/v4"

	"parley/peer"
)

// End is an end of a call by package peer, driven by lines as end.js is.
type End struct {
	// Configure returns the configuration of a call, without Signaler.
	Configure func(Message) peer.Config
	// Send carries out send, on a goroutine of its own; nil if it is not used.
	Send func(context.Context, Message)

	mu  sync.Mutex // guards out
	out *json.Encoder
}

// NewEnd returns an end that writes its lines to out.
func NewEnd(out io.Writer) *End { return &End{out: json.NewEncoder(out)} }

// Say writes a line.
func (e *End) Say(m Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.out.Encode(m)
}

// Offer implements peer.Signaler.
func (e *End) Offer(_ context.Context, d peer.SessionDescription) error {
	return e.Say(Message{Do: "offer", SDP: d.SDP})
}

// Answer implements peer.Signaler.
func (e *End) Answer(_ context.Context, d peer.SessionDescription) error {
	return e.Say(Message{Do: "answer", SDP: d.SDP})
}

// Candidate implements peer.Signaler.
func (e *End) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	return e.Say(Message{Do: "candidate", Candidate: &c})
}

// Leave implements peer.Signaler.
func (e *End) Leave(context.Context) error { return nil }

// Run carries out the lines, which make one call after the other, until bye or their end.
func (e *End) Run(in io.Reader) error {
	var call *running
	defer func() { call.stop() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch m.Do {
		case "make":
			call.stop()
			config := e.Configure(m)
			config.Signaler = e
			made, err := peer.New(config)
			if err != nil {
				return err
			}
			call = newRunning(made)
			if !m.Offers { // it waits for an offer
				call.start()
			}
			if err := e.Say(Message{Do: "made"}); err != nil {
				return err
			}
		case "call":
			call.start()
		case "offer":
			call.DeliverOffer(peer.SessionDescription{SDP: m.SDP})
		case "answer":
			call.DeliverAnswer(peer.SessionDescription{SDP: m.SDP})
		case "candidate":
			call.DeliverCandidate(*m.Candidate)
		case "send":
			call.work.Go(func() { e.Send(call.ctx, m) })
		case "bye":
			return nil
		}
	}
	return lines.Err()
}

// running is a call and what runs for it.
type running struct {
	*peer.Call
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func newRunning(c *peer.Call) *running {
	r := &running{Call: c}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func (r *running) start() { r.work.Go(func() { _, _ = r.Run(r.ctx) }) }

// stop ends the call, if there is one.
func (r *running) stop() {
	if r != nil {
		r.cancel()
		r.work.Wait()
	}
}
