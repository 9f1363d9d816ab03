package probe

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/scenario"
	"parley/media"
)

// What an exploring call sends, to see what comes back.
const (
	exploringTone = "tone:1320"
	exploringWait = 4 * time.Second // for an echo
)

// explore makes a call to find out what the peer can do.
func (p *prober) explore(ctx context.Context) {
	if p.Call.Endpoint != nil {
		p.exploreEndpoint(ctx)
		return
	}
	p.capabilities = map[string]bool{"callback": p.WaitForCall > 0}
	defer func() { p.Call.Wait = 0 }() // NAME has been there
	a, err := p.begin(ctx, scenario.Scenario{Steps: []scenario.Step{{Verb: "call", Args: []string{"audio=" + exploringTone, "video"}, Text: "call"}}})
	if err != nil {
		p.noCall, p.noCallAll = err, true
		return
	}
	defer a.artifacts.discard()
	defer a.end()
	steps := a.newSteps()
	a.awaitPresent(ctx)
	if err := steps.until(ctx, "connected", p.Call.Timeout); err != nil {
		p.noCall = err
		p.noCallAll = a.session.IsAbsent() || ctx.Err() != nil
		if lost := a.signalingLost(); lost != nil {
			p.noCall, p.noCallAll = lost, true
		}
		p.applyLevel()
		return
	}
	line := "parley probe " + rand.Text()[:8]
	a.session.Call.Say(line)
	deadline, cancel := context.WithTimeout(ctx, exploringWait)
	defer cancel()
	wait := func(check string) bool { return steps.until(deadline, check, exploringWait) == nil }
	w := a.observed
	rejected := func(kind string) bool { return slices.Contains(w.All("answer.rejected"), event.TextOf(kind)) }
	for _, kind := range media.Kinds() {
		direction := w.Latest("answer.direction." + kind)
		p.capabilities[kind] = direction == "sendrecv" || direction == "recvonly"
		p.capabilities[kind+"-in"] = direction == "sendrecv" || direction == "sendonly"
	}
	p.capabilities["data"] = w.Latest("answer.sctp") != "" && !rejected("application")
	p.capabilities["parley"] = w.Latest("answer.parley") == "true"
	if p.capabilities["parley"] && p.capabilities["data"] {
		a.cooperate()
		p.capabilities["cooperation"] = a.remote.wait(deadline) == nil
	}
	p.capabilities["relay"] = a.hasRelay()
	p.capabilities["text-echo"] = p.capabilities["data"] && wait("text="+line)
	p.capabilities["media-echo"] = p.capabilities["audio-in"] && wait("audio.tone="+exploringTone[len("tone:"):]) && (!p.capabilities["video-in"] || wait("video.frames>=1"))
	p.applyLevel()
}

// signalingLost returns the error of a call that has ended because signaling is lost, nil for
// others.
func (a *call) signalingLost() error {
	select {
	case <-a.ended:
		if exit.CodeOf(a.err) == exit.Signaling {
			return a.err
		}
	default:
	}
	return nil
}

// awaitPresent waits until the peer is signed in, for as long as the call waits for it.
func (a *call) awaitPresent(ctx context.Context) {
	if a.presence == nil {
		return
	}
	select {
	case <-a.presence.Present():
	case <-a.ended:
	case <-ctx.Done():
	}
}

// applyLevel notes what the user says that the peer can do.
func (p *prober) applyLevel() {
	if p.PeerType == "echo" || p.PeerType == "parley" {
		for _, need := range []string{"audio", "video", "data", "audio-in", "video-in"} {
			p.capabilities[need] = true
		}
		if p.PeerType == "echo" {
			p.capabilities["text-echo"], p.capabilities["media-echo"] = true, true
		} else {
			p.capabilities["parley"], p.capabilities["cooperation"] = true, true
		}
	}
	if p.PeerType == "any" {
		for _, need := range []string{"text-echo", "media-echo", "parley", "cooperation"} {
			p.capabilities[need] = false
		}
	}
}
