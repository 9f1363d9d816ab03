package signaling

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/signal"
)

// gatherTimeout bounds how long a description is held for candidates. STUN and TURN servers that
// can be reached respond sooner; Pion tries others for 8 s.
const gatherTimeout = 5 * time.Second

// A Gatherer holds the descriptions of a call until they contain all candidates, for a system
// without trickle ICE. Its methods may be called by several goroutines.
type Gatherer struct {
	// Send sends a complete description. It must not wait and must not call the Gatherer.
	Send func(signal.Message)

	mu         sync.Mutex // guards the following
	held       *signal.Message
	candidates []signal.Candidate
	ufrag      string // of the latest description
	timer      *time.Timer
}

// Add takes a message of the call. It reports whether the Gatherer sends it, alone or as a part of
// a description.
func (g *Gatherer) Add(m signal.Message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m.Type {
	case signal.ICECandidate:
		if g.held != nil && m.Candidate != nil {
			g.candidates = append(g.candidates, *m.Candidate)
		}
		return true // one that comes after the description is of no use
	case signal.Offer, signal.Answer:
		ufrag := ufragOf(m.SDP)
		if ufrag == "" || ufrag == g.ufrag && g.held == nil { // nothing is gathered for it
			return false
		}
		if ufrag != g.ufrag {
			g.candidates = nil
		}
		g.held, g.ufrag = &m, ufrag
		if g.timer == nil {
			g.timer = time.AfterFunc(gatherTimeout, g.Complete)
		} else {
			g.timer.Reset(gatherTimeout)
		}
		return true
	}
	return false
}

// Complete sends the description that is held, if there is one.
func (g *Gatherer) Complete() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		return
	}
	m := *g.held
	m.SDP = withCandidates(m.SDP, g.candidates)
	g.held, g.candidates = nil, nil
	g.timer.Stop()
	g.Send(m)
}

// Stop drops the description that is held.
func (g *Gatherer) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = nil
	if g.timer != nil {
		g.timer.Stop()
	}
}

var ufragLine = regexp.MustCompile(`(?m)^a=ice-ufrag:([^\r\n]*)`)

// ufragOf returns the ICE user name fragment of a description.
func ufragOf(sdp string) string {
	if m := ufragLine.FindStringSubmatch(sdp); m != nil {
		return m[1]
	}
	return ""
}

// withCandidates returns a description with candidates in their m-sections, and the end of
// candidates (RFC 8839 section 5.1, RFC 8840 section 4.1).
func withCandidates(sdp string, all []signal.Candidate) string {
	parts := strings.Split(strings.TrimSuffix(sdp, "\r\n"), "\r\nm=")
	added := map[int]bool{}
	for _, c := range all {
		i := 1
		if c.SDPMLineIndex != nil {
			i = int(*c.SDPMLineIndex) + 1
		}
		line := "a=" + strings.TrimPrefix(c.Candidate, "a=")
		if i >= len(parts) || c.Candidate == "" || slices.Contains(strings.Split(parts[i], "\r\n"), line) {
			continue
		}
		parts[i] += "\r\n" + line
		added[i] = true
	}
	for i := range added {
		if !strings.Contains(parts[i], "\r\na=end-of-candidates") {
			parts[i] += "\r\na=end-of-candidates"
		}
	}
	return strings.Join(parts, "\r\nm=") + "\r\n"
}
