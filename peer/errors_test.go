package peer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// The sentence names what is missing, and what to do.
func TestWhyThereIsNoConnection(t *testing.T) {
	ours, theirs := map[string]int{"host": 2}, map[string]int{"host": 1, "relay": 1}
	for want, p := range map[string]progress{
		"does the peer answer calls":         {local: ours},
		"accept a second offer":              {local: ours, split: true},
		"does its signaling send candidates": {local: ours, answered: true},
		"reload its page":                    {local: ours, answered: true, crossed: true},
		"2 candidates: 1 host, 1 relay":      {local: ours, remote: theirs, answered: true, crossed: true},
		"the DTLS handshake failed: refused": {local: ours, remote: theirs, answered: true, reached: true},
		"connection lost":                    {local: ours, remote: theirs, answered: true, reached: true, wasConnected: true},
	} {
		if got := p.why("refused").Error(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q in it", got, want)
		}
	}
}

// stuckPage makes an offer that crosses ours, rolls it back and sends no candidate.
type stuckPage struct{ *originalPage }

func (p stuckPage) Offer(_ context.Context, d SessionDescription) error {
	p.peer.DeliverOffer(SessionDescription{SDP: d.SDP}) // as if it were its own
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: d.SDP})
	if err != nil {
		return err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err == nil {
		err = p.pc.SetLocalDescription(answer)
	}
	p.peer.DeliverAnswer(SessionDescription{SDP: answer.SDP})
	return err
}

func (p stuckPage) Candidate(context.Context, webrtc.ICECandidateInit) error { return nil }

// A call that waits for such a page warns before it ends.
func TestWarningForAPeerWithoutCandidates(t *testing.T) {
	page := stuckPage{newOriginalPage(t)}
	s := newSide(t, "terminal", Config{Signaler: page, Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}})
	s.call.cfg.Timeouts.Answer = time.Second
	page.peer = s.call
	s.start()
	await(s, func(w Warned) bool { return strings.Contains(w.Text, "reload its page") })
	s.stop() // or it ends with that when it fails
	if end, err := s.awaitEnd(); end != Left || err != nil {
		t.Errorf("it ended with %v, %v, and was to wait", end, err)
	}
}
