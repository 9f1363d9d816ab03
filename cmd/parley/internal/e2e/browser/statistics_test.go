package browser

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// TestStatisticsAgree: what we report of a call with a Chromium tab is what Chromium reports of it,
// but for what is on its way between the two looks.
func TestStatisticsAgree(t *testing.T) {
	_, server := e2etest.Serve(t)
	tab := e2etest.Browsers().Chromium(t, nil).Open(e2etest.OriginalPages(t) + "/video.html?as=page&server=" + server)
	tab.Wait(`document.title === 'ready'`)
	p, write := e2etest.StartCommanded(t, "call", "page", "--as", "alice", "--server", server, "--video", "test", "--audio", "tone:700")
	tab.WaitFrames(30)
	p.Says(t, `"event":"frame".*"kind":"video"`)
	look := func() statistics {
		t.Helper()
		write(`"command":"stats"`)
		return reportOf(t, p)
	}
	var wrong []string
	for deadline := time.Now().Add(e2etest.Patience); time.Now().Before(deadline); { // each look takes its time
		before := look()
		theirs := statisticsOf(t, tab)
		after := look()
		if wrong = differences(before, theirs, after); len(wrong) == 0 {
			break
		}
	}
	if len(wrong) > 0 {
		t.Errorf("what does not agree:\n%s", strings.Join(wrong, "\n"))
	}
	complete(t, look())
	write(`"command":"hangup"`)
	p.Ends(t, 0)
	tab.Close()
}

// statistics are the objects of a report.
type statistics []map[string]any

func (s statistics) find(kind string, member string, value any) map[string]any {
	for _, o := range s {
		if o["type"] == kind && o[member] == value {
			return o
		}
	}
	return nil
}

// reportOf is the latest report of a process.
func reportOf(t *testing.T, p *e2etest.Process) (report statistics) {
	t.Helper()
	events, err := e2etest.ReadEvents(p.Out.Complete())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if all, ok := e["report"].([]any); ok {
			report = nil
			for _, o := range all {
				report = append(report, o.(map[string]any))
			}
		}
	}
	return report
}

func statisticsOf(t *testing.T, tab *webtest.Tab) (theirs statistics) {
	t.Helper()
	if err := tab.Eval(`(async () => [...(await pc.getStats()).values()])()`, &theirs); err != nil {
		t.Fatal(err)
	}
	return theirs
}

// differences are what of their report does not lie between two of ours.
func differences(before, theirs, after statistics) (wrong []string) {
	// What one counts as sent the other counts as received.
	sent := map[string]string{"packetsSent": "packetsReceived", "bytesSent": "bytesReceived", "headerBytesSent": "headerBytesReceived", "framesSent": "framesReceived",
		"nackCount": "nackCount", "pliCount": "pliCount", "firCount": "firCount", "mid": "mid", "frameWidth": "frameWidth", "frameHeight": "frameHeight"}
	for _, direction := range []string{"outbound-rtp", "inbound-rtp"} {
		other := map[string]string{"outbound-rtp": "inbound-rtp", "inbound-rtp": "outbound-rtp"}[direction]
		for _, a := range before {
			if a["type"] != direction {
				continue
			}
			b, c := theirs.find(other, "ssrc", a["ssrc"]), after.find(direction, "ssrc", a["ssrc"])
			if b == nil || c == nil {
				wrong = append(wrong, fmt.Sprintf("%v %s: only one of us has it", a["kind"], direction))
				continue
			}
			if lossy(b) || lossy(c) {
				continue // a busy machine loses packets on its own loopback
			}
			for out, in := range sent {
				ours, other := out, in
				if direction == "inbound-rtp" {
					ours, other = in, out
				}
				wrong = append(wrong, compare(fmt.Sprintf("%v %s %s", a["kind"], direction, ours), a[ours], b[other], c[ours])...)
			}
		}
	}
	a, b := before.find("transport", "id", "T"), theirs.find("transport", "type", "transport")
	for _, member := range []string{"dtlsState", "tlsVersion", "dtlsCipher", "srtpCipher"} {
		wrong = append(wrong, compare("transport "+member, a[member], b[member], a[member])...)
	}
	opposite := map[any]string{"client": "server", "server": "client", "controlling": "controlled", "controlled": "controlling"}
	for _, member := range []string{"dtlsRole", "iceRole"} {
		if opposite[a[member]] != b[member] {
			wrong = append(wrong, fmt.Sprintf("transport %s: ours is %v and theirs %v", member, a[member], b[member]))
		}
	}
	return wrong
}

// lossy reports whether something of a stream did not come.
func lossy(stream map[string]any) bool {
	lost, _ := stream["packetsLost"].(float64)
	dropped, _ := stream["framesDropped"].(float64)
	return lost != 0 || dropped != 0
}

// compare reports whether a value of theirs is not between two of ours. What one of the two does
// not measure is not compared.
func compare(what string, before, theirs, after any) []string {
	low, number := before.(float64)
	if before == nil || theirs == nil {
		return nil
	}
	if high, ok := after.(float64); number && ok {
		if value, ok := theirs.(float64); ok && low <= value && value <= high {
			return nil
		}
	} else if before == theirs {
		return nil
	}
	return []string{fmt.Sprintf("%s: ours is %v and then %v, theirs %v", what, before, after, theirs)}
}

// complete returns what is missing that we can measure.
func complete(t *testing.T, report statistics) {
	t.Helper()
	for kind, members := range map[string]string{
		"video inbound-rtp": "framesReceived framesDropped frameWidth frameHeight framesPerSecond jitter jitterBufferDelay jitterBufferEmittedCount nackCount pliCount " +
			"firCount packetsDiscarded packetsLost lastPacketReceivedTimestamp headerBytesReceived mid trackIdentifier remoteId",
		"audio inbound-rtp": "jitter jitterBufferDelay jitterBufferEmittedCount totalSamplesReceived totalSamplesDuration totalAudioEnergy packetsLost",
		"video outbound-rtp": "active mid framesSent framesEncoded keyFramesEncoded hugeFramesSent frameWidth frameHeight framesPerSecond encoderImplementation " +
			"retransmittedPacketsSent retransmittedBytesSent headerBytesSent nackCount pliCount firCount mediaSourceId rtxSsrc",
		"video media-source": "frames framesPerSecond width height trackIdentifier",
		"audio media-source": "totalSamplesDuration trackIdentifier",
		"<nil> transport":    "bytesSent bytesReceived packetsSent packetsReceived dtlsState dtlsRole iceRole iceState selectedCandidatePairId selectedCandidatePairChanges",
	} {
		i := slices.IndexFunc(report, func(o map[string]any) bool { return fmt.Sprint(o["kind"], " ", o["type"]) == kind })
		if i < 0 {
			t.Errorf("there is no %s", kind)
			continue
		}
		for _, member := range strings.Fields(members) {
			if report[i][member] == nil {
				t.Errorf("%s has no %s, only %v", kind, member, slices.Sorted(maps.Keys(report[i])))
			}
		}
	}
	for _, o := range report {
		for _, member := range []string{"fecPacketsReceived", "framesDecoded", "keyFramesDecoded", "freezeCount", "totalPacketSendDelay", "qualityLimitationReason"} {
			if o[member] != nil {
				t.Errorf("%v is reported, which nobody measured: %v", member, o)
			}
		}
	}
}
