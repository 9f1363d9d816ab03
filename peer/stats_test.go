package peer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/stats"
)

// awaitReport looks at the statistics until ok finds in them what it wants; a
// receiver report comes each second.
func awaitReport(s *side, ok func(stats.Report) error) stats.Report {
	s.t.Helper()
	timeout := time.After(deadline)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r := s.call.Stats().Report
		err := ok(r)
		if err == nil {
			return r
		}
		select {
		case <-tick.C:
		case <-timeout:
			s.t.Fatalf("%s: %v in %v", s.name, err, r)
		}
	}
}

func TestReportOfACall(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
		answerer.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
	})
	a.awaitConnected()
	b.awaitConnected()
	feed(t, a)
	feed(t, b)
	for _, s := range []*side{a, b} {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			drain(t, await(s, func(e TrackReceived) bool { return e.Track.Kind() == kind }))
		}
		await(s, func(ChannelOpened) bool { return true })
	}
	video := await(b, func(e TrackReceived) bool { return e.Track.Kind() == webrtc.RTPCodecTypeVideo })
	ssrc := uint32(video.Track.SSRC())
	for _, ask := range []rtcp.Packet{
		&rtcp.PictureLossIndication{MediaSSRC: ssrc},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: ssrc, SequenceNumber: 1}}},
	} {
		if err := video.WriteRTCP([]rtcp.Packet{ask}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*side{a, b} {
		checkReport(t, awaitReport(s, complete))
	}
	for s, kind := range map[*side]string{a: "outbound-rtp", b: "inbound-rtp"} {
		awaitReport(s, func(r stats.Report) error {
			for _, o := range r.ByType(kind) {
				if o["kind"] == "video" && o["pliCount"].(uint64) == 1 && o["firCount"].(uint64) == 1 {
					return nil
				}
			}
			return fmt.Errorf("%s does not count one PLI and one FIR", kind)
		})
	}
	a.call.Hangup()
	for _, s := range []*side{a, b} {
		if _, err := s.awaitEnd(); err != nil {
			t.Fatal(err)
		}
		if err := complete(s.call.Stats().Report); err != nil {
			t.Errorf("after the end: %v", err)
		}
	}
}

// complete reports whether all that W3C names and that can be measured has come.
func complete(r stats.Report) error {
	for kind, least := range map[string]int{
		"inbound-rtp": 2, "outbound-rtp": 2, "remote-inbound-rtp": 2, "remote-outbound-rtp": 2, "media-source": 2,
		"candidate-pair": 1, "local-candidate": 1, "remote-candidate": 1, "codec": 2, "transport": 1,
		"certificate": 2, "data-channel": 1, "peer-connection": 1,
	} {
		if got := len(r.ByType(kind)); got < least {
			return fmt.Errorf("%d of %s, want %d", got, kind, least)
		}
	}
	for _, o := range r.ByType("remote-inbound-rtp") {
		if rtt, ok := o["roundTripTime"].(float64); !ok || rtt <= 0 || rtt > 10 {
			return fmt.Errorf("a round trip of %v s", o["roundTripTime"])
		}
	}
	return nil
}

// checkReport checks the form: ids are unique, references lead somewhere.
func checkReport(t *testing.T, r stats.Report) {
	t.Helper()
	ids := map[any]string{}
	for _, o := range r {
		if ids[o["id"]] != "" {
			t.Errorf("%v and %v have one id", ids[o["id"]], o)
		}
		ids[o["id"]], _ = o["type"].(string)
		if o["timestamp"].(float64) < 1.7e12 {
			t.Errorf("no time in milliseconds: %v", o)
		}
	}
	for _, o := range r {
		for member, kind := range map[string]string{
			"transportId": "transport", "codecId": "codec", "mediaSourceId": "media-source",
			"localCandidateId": "local-candidate", "remoteCandidateId": "remote-candidate",
			"selectedCandidatePairId": "candidate-pair", "localCertificateId": "certificate", "remoteCertificateId": "certificate",
		} {
			if to, ok := o[member]; ok && ids[to] != kind {
				t.Errorf("%s of %v leads to %q, want a %s", member, o, ids[to], kind)
			}
		}
	}
	for _, o := range r.ByType("outbound-rtp") {
		if o["kind"] == "audio" && (o["framesSent"] != nil || o["pliCount"] != nil) {
			t.Errorf("audio has no frames: %v", o)
		}
	}
}

// Before anything is measured nothing is 0.
func TestReportLeavesOutWhatIsNotMeasured(t *testing.T) {
	call, err := New(Config{Signaler: &wire{}})
	if err != nil {
		t.Fatal(err)
	}
	if r := call.Stats().Report; len(r) != 1 || r[0]["type"] != "peer-connection" {
		t.Errorf("a call that has not begun reports %v", r)
	}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8)} })
	a.awaitConnected()
	b.awaitConnected()
	if got := b.call.Stats().Report.ByType("inbound-rtp"); len(got) > 0 {
		t.Errorf("nothing was sent, and reported is %v", got)
	}
	for _, o := range a.call.Stats().Report.ByType("remote-inbound-rtp") {
		if _, ok := o["roundTripTime"]; ok {
			t.Errorf("a round trip that nobody measured: %v", o)
		}
	}
}

// drain reads a track until its end.
func drain(t *testing.T, e TrackReceived) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, _, err := e.Track.ReadRTP(); err != nil {
				return
			}
		}
	}()
	go func() {
		for {
			if _, _, err := e.Receiver.ReadRTCP(); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

// All pairs that were tried are reported, the one in use among them, and also
// where none was found.
func TestReportHasAllPairs(t *testing.T) {
	a, b := pair(t, nil)
	for _, s := range []*side{a, b} {
		s.awaitConnected()
		r := awaitReport(s, func(r stats.Report) error {
			// Either side has the loopback address and others.
			if n := len(r.ByType("candidate-pair")); n < 2 {
				return fmt.Errorf("%d pairs", n)
			}
			return nil
		})
		checkReport(t, r)
		nominated := 0
		for _, p := range r.ByType("candidate-pair") {
			if p["nominated"] == true {
				nominated++
			}
		}
		if nominated != 1 || r.ByType("transport")[0]["selectedCandidatePairId"] == nil {
			t.Errorf("%s: %d pairs of %d are nominated", s.name, nominated, len(r.ByType("candidate-pair")))
		}
	}

	deaf := func(kind, s string) (string, bool) { // a description has those that were found before it
		var kept strings.Builder
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, "a=candidate:") {
				kept.WriteString(line)
			}
		}
		return kept.String(), kind != "candidate"
	}
	a, _ = pair(t, func(caller, answerer *Config) {
		answerer.Signaler.(*wire).filter = deaf
		caller.Signaler.(*wire).filter = deaf
		caller.Timeouts.Disconnected, caller.Timeouts.Failed = time.Second, 2*tickInterval
	})
	a.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 2130706431 192.0.2.77 9 typ host"})
	if _, err := a.awaitEnd(); err == nil {
		t.Fatal("it is connected")
	}
	tried := a.call.Stats().Report.ByType("candidate-pair")
	if len(tried) == 0 {
		t.Fatal("no pair is reported that failed")
	}
	for _, p := range tried {
		if p["state"] == "succeeded" || p["nominated"] == true || p["responsesReceived"] != uint64(0) {
			t.Errorf("a pair that leads nowhere: %v", p)
		}
	}
}

// TestLastStatsAreCopies: what a caller adds to the last statistics of a call is not in those of
// another caller.
func TestLastStatsAreCopies(t *testing.T) {
	a, b := pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	a.call.Hangup()
	if _, err := a.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	first := a.call.Stats().Report
	if len(first) < 3 {
		t.Fatalf("the last statistics are %v", first)
	}
	for _, o := range first {
		o["added"] = true
	}
	for _, o := range a.call.Stats().Report {
		if o["added"] != nil {
			t.Errorf("the statistics have a member of another caller: %v", o)
		}
	}
}
