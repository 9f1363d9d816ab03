package main

import (
	"context"
	"slices"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/scenario"
)

// What an exploring call sends, to see what comes back.
const (
	exploringTone = "tone:1320"
	exploringWait = 4 * time.Second // for an echo
)

// explore makes a call to find out what the other side can do.
func (p *prober) explore(ctx context.Context) {
	p.able = map[string]bool{"callback": p.await > 0}
	a, err := p.begin(ctx, scenario.Scenario{Steps: []scenario.Step{{Verb: "call", Args: []string{"audio=" + exploringTone, "video"}, Text: "call"}}})
	if err != nil {
		p.noCall, p.noCallAll = err, true
		return
	}
	defer a.tapes.discard()
	defer a.end()
	steps := a.newSteps()
	if err := steps.until(ctx, "connected", p.timeout); err != nil {
		p.noCall = err
		p.noCallAll = a.absent() || ctx.Err() != nil
		p.claim()
		return
	}
	line := "parley probe " + randomHex(4)
	a.session.call.Say(line)
	deadline, cancel := context.WithTimeout(ctx, exploringWait)
	defer cancel()
	wait := func(check string) bool { return steps.until(deadline, check, exploringWait) == nil }
	w := a.witness
	rejected := func(kind string) bool { return slices.Contains(w.all("answer.rejected"), event.TextOf(kind)) }
	for _, kind := range kinds() {
		direction := w.latest("answer.direction." + kind)
		p.able[kind] = direction == "sendrecv" || direction == "recvonly"
		p.able[kind+"-in"] = direction == "sendrecv" || direction == "sendonly"
	}
	p.able["data"] = w.latest("answer.sctp") != "" && !rejected("application")
	p.able["parley"] = w.latest("answer.parley") == "true"
	if p.able["parley"] && p.able["data"] {
		a.cooperate()
		p.able["cooperation"] = a.far.wait(deadline) == nil
	}
	p.able["relay"] = a.hasRelay()
	p.able["text-echo"] = p.able["data"] && wait("text="+line)
	p.able["media-echo"] = p.able["audio-in"] && wait("audio.tone="+exploringTone[len("tone:"):]) && (!p.able["video-in"] || wait("video.frames>=1"))
	p.claim()
}

// claim notes what the user says that the other side can do.
func (p *prober) claim() {
	if p.level == "echo" || p.level == "parley" {
		for _, need := range []string{"audio", "video", "data", "audio-in", "video-in"} {
			p.able[need] = true
		}
		if p.level == "echo" {
			p.able["text-echo"], p.able["media-echo"] = true, true
		} else {
			p.able["parley"], p.able["cooperation"] = true, true
		}
	}
	if p.level == "any" {
		for _, need := range []string{"text-echo", "media-echo", "parley", "cooperation"} {
			p.able[need] = false
		}
	}
}
