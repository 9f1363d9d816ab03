package stats

import (
	"testing"

	"github.com/pion/webrtc/v4"
)

func testReport() webrtc.StatsReport {
	candidate := func(kind webrtc.StatsType, ip string, of webrtc.ICECandidateType) webrtc.ICECandidateStats {
		return webrtc.ICECandidateStats{Type: kind, CandidateType: of, IP: ip, Port: 9, Protocol: "udp"}
	}
	return webrtc.StatsReport{
		"l":        candidate(webrtc.StatsTypeLocalCandidate, "192.0.2.1", webrtc.ICECandidateTypeHost),
		"r":        candidate(webrtc.StatsTypeRemoteCandidate, "192.0.2.2", webrtc.ICECandidateTypeHost),
		"y":        candidate(webrtc.StatsTypeRemoteCandidate, "192.0.2.3", webrtc.ICECandidateTypeRelay),
		"failed":   webrtc.ICECandidatePairStats{LocalCandidateID: "l", RemoteCandidateID: "r", RequestsSent: 7},
		"selected": webrtc.ICECandidatePairStats{LocalCandidateID: "l", RemoteCandidateID: "y", RequestsSent: 3, ResponsesReceived: 2, Nominated: true},
		"gone":     webrtc.ICECandidatePairStats{LocalCandidateID: "l", RemoteCandidateID: "x"},
	}
}

func TestPairsAreRanked(t *testing.T) {
	pairs := Pairs(testReport())
	if len(pairs) != 3 || !pairs[0].Nominated || pairs[0].Remote.Type != "relay" || pairs[1].ChecksSent != 7 {
		t.Errorf("got %+v, want the selected pair, then the one without a response", pairs)
	}
}

func TestCandidatesAreAddedOnce(t *testing.T) {
	c := NewCandidates()
	for range 2 {
		if pairs := c.Pairs(testReport()); len(pairs) != 2 {
			t.Errorf("%d pairs with both candidates, want 2", len(pairs))
		}
	}
	if n := len(c.objects()); n != 3 {
		t.Errorf("%d candidates, want 3", n)
	}
	other := NewCandidates()
	other.AddRemoteOf(c)
	if objects := other.objects(); len(objects) != 2 {
		t.Errorf("%d remote candidates are taken over, want 2", len(objects))
	}
}
