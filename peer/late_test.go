package peer

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// The other side's first candidate may take 35 s: nobody may give up before 39.5 s
// have passed (RFC 8863 §4). The answer is there all the while.
func TestTheFirstCandidateComesLate(t *testing.T) {
	const late = 35 * time.Second
	l := newLab(t)
	t.Parallel()
	hold := func(w *wire) {
		pass := w.filter
		w.filter = func(kind, payload string) (string, bool) {
			if kind == "candidate" {
				to := w.to()
				time.AfterFunc(late, func() { to.DeliverCandidate(webrtc.ICECandidateInit{Candidate: payload, SDPMLineIndex: new(uint16)}) })
				return "", false
			}
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
