package candidate

import (
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// PairFollower selects the pair with another port of the same address once the old one is silent.
func TestPairFollower(t *testing.T) {
	local, old := hostCandidate(t, "10.0.0.1", 1000), hostCandidate(t, "203.0.113.5", 2000)
	port, address := hostCandidate(t, "203.0.113.5", 3000), hostCandidate(t, "203.0.113.6", 2000)
	check := func(session string) *stun.Message {
		return stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(session))
	}
	f := &PairFollower{Silence: time.Hour}
	asks := func(session string, from ice.Candidate) bool {
		return f.HandleBindingRequest(check(session), local, from, &ice.CandidatePair{Local: local, Remote: from})
	}
	if asks("a:b", port) {
		t.Error("a pair is taken before one is selected")
	}
	f.SetSelected(&webrtc.ICECandidatePair{
		Local:  &webrtc.ICECandidate{Protocol: webrtc.ICEProtocolUDP, Address: "10.0.0.1", Port: 1000},
		Remote: &webrtc.ICECandidate{Protocol: webrtc.ICEProtocolUDP, Address: "203.0.113.5", Port: 2000},
	})
	if asks("a:b", port) {
		t.Error("a pair is taken before the selected one was heard from")
	}
	if asks("a:b", old) {
		t.Error("the selected pair is taken again")
	}
	f.Silence = -time.Hour // the candidates were never heard from: that is how long ago
	if asks("a:b", address) {
		t.Error("another address is followed")
	}
	if !asks("a:b", port) {
		t.Error("another port is not followed")
	}
	if asks("c:d", port) || asks("c:d", old) || asks("c:d", port) {
		t.Error("a pair of the next session is taken before one is selected")
	}
}

func hostCandidate(t *testing.T, address string, port int) ice.Candidate {
	t.Helper()
	c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: address, Port: port, Component: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
