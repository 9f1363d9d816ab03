//go:build !quick

package peer

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// The peer's first candidate may take 35 s: no peer may give up before 39.5 s
// have passed (RFC 8863 section 4). The answer is there all the while.
func TestTheFirstCandidateComesLate(t *testing.T) {
	const late = 35 * time.Second
	l := newLab(t)
	t.Parallel()
	inDescription := regexp.MustCompile(`a=(candidate:[^\r\n]*)\r\n`)
	hold := func(w *wire) {
		pass := w.filter
		deliver := func(candidate string) {
			to := w.to()
			time.AfterFunc(late, func() { to.DeliverCandidate(webrtc.ICECandidateInit{Candidate: candidate, SDPMLineIndex: new(uint16)}) })
		}
		w.filter = func(kind, payload string) (string, bool) {
			if kind == "candidate" {
				deliver(payload)
				return "", false
			}
			// Those that were found before the description was sent are part of it.
			for _, m := range inDescription.FindAllStringSubmatch(payload, -1) {
				deliver(m[1])
			}
			payload = inDescription.ReplaceAllString(payload, "")
			if pass != nil {
				return pass(kind, payload)
			}
			return payload, true
		}
	}
	begin := time.Now()
	a, b := pair(t, func(caller, answerer *Config) {
		for i, c := range []*Config{caller, answerer} {
			c.Net = l.hosts[i]
			hold(c.Signaler.(*wire))
		}
	})
	a.patience, b.patience = 2*late, 2*late
	a.awaitConnected()
	b.awaitConnected()
	if took := time.Since(begin); took < late {
		t.Errorf("connected after %v: the candidates were not late", took)
	}
	a.call.Say("at last")
	b.awaitText("at last")
}

// Firefox answers checks of link-local addresses and cannot send anything else to them.
func TestNoCandidateAtLinkLocalAddresses(t *testing.T) {
	a, _ := pair(t, nil)
	await(a, func(GatheringComplete) bool { return true })
	if happenings(a, func(e CandidateFound) bool { return !e.Remote && strings.HasPrefix(e.Address, "[fe80") }) > 0 {
		t.Errorf("the call has a socket at a link-local address: %s", a.summary())
	}
}

// The selected pair is reported before the state connected, whatever the order of Pion's callbacks,
// and each pair is reported once.
func TestPairIsReportedFirst(t *testing.T) {
	for range 10 {
		a, b := pair(t, func(caller, answerer *Config) { caller.ICE.Loopback, answerer.ICE.Loopback = true, true })
		for _, s := range []*side{a, b} {
			s.awaitConnected()
			s.mu.Lock()
			var last *PairSelected
			for _, e := range s.events {
				switch e := e.(type) {
				case PairSelected:
					if last != nil && *last == e {
						t.Errorf("%v was reported twice", e)
					}
					last = &e
				case StateChanged:
					if e.State == webrtc.PeerConnectionStateConnected && last == nil {
						t.Error("it is connected by no pair")
					}
				}
			}
			s.mu.Unlock()
		}
		a.call.Hangup()
		for _, s := range []*side{a, b} {
			if _, err := s.awaitEnd(); err != nil {
				t.Error(err)
			}
		}
	}
}
