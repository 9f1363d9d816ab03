package browser

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// Each video codec that a call with a browser may use has retransmission and all feedback that
// browsers have (RFC 4585, RFC 5104, RFC 4588), and Opus its error correction (RFC 7587).
// Redundancy that nothing here makes use of, RED and ULPFEC, is refused by leaving it out.
func TestRepairIsNegotiated(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--video", "test", "--audio", "tone:600")
		bob.Says(t, "waiting for calls")
		for name, way := range map[string]string{"caller": "call=bob", "called": "answer=1"} {
			tab := b.NewTab()
			tab.KeepPeers()
			tab.Go(page + "/?as=" + name + "&" + way)
			if way == "answer=1" {
				e2etest.Idle(tab)
				e2etest.Start(t, "call", name, "--server", server, "--as", "alice", "--video", "test", "--audio", "tone:600").Says(t, "sending video")
			}
			e2etest.Talking(tab)
			var both struct{ Theirs, Ours string }
			if err := tab.Eval(`(peer => ({Theirs: peer.localDescription.sdp, Ours: peer.remoteDescription.sdp}))(
				window[Symbol.for('webtest.peers')].at(-1))`, &both); err != nil {
				t.Fatal(err)
			}
			tab.Close()
			ours := checkRepair(t, way+", ours", both.Ours)
			for _, common := range []string{"VP8", "VP9", "AV1", "opus"} {
				if !slices.Contains(ours, common) {
					t.Errorf("%s: %s is not in ours: %v", way, common, ours)
				}
			}
			for _, useless := range []string{"red", "ulpfec", "flexfec-03"} {
				if slices.Contains(ours, useless) {
					t.Errorf("%s: %s is in ours, and nothing here reads it", way, useless)
				}
			}
			if way == "answer=1" {
				checkRepair(t, "the browser's answer", both.Theirs)
			}
		}
	})
}

// checkRepair looks at each codec of a description, and returns their names.
func checkRepair(t *testing.T, what, sdp string) (names []string) {
	t.Helper()
	has := func(line string) bool { return strings.Contains(sdp, "\r\na="+line+"\r\n") }
	for _, m := range regexp.MustCompile(`a=rtpmap:(\d+) ([^/\r]+)/(\d+)`).FindAllStringSubmatch(sdp, -1) {
		payload, name := m[1], m[2]
		names = append(names, name)
		var want []string
		switch {
		case name == "opus":
			want = []string{"transport-cc"}
			if !regexp.MustCompile(`a=fmtp:` + payload + ` .*useinbandfec=1`).MatchString(sdp) {
				t.Errorf("%s: Opus has no error correction", what)
			}
		case m[3] == "90000" && name != "rtx":
			want = []string{"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
			if !regexp.MustCompile(`a=fmtp:\d+ apt=` + payload + `\r\n`).MatchString(sdp) {
				t.Errorf("%s: %s, %s, has no retransmission", what, payload, name)
			}
		}
		for _, feedback := range want {
			if !has("rtcp-fb:" + payload + " " + feedback) {
				t.Errorf("%s: %s, %s, has no %s", what, payload, name, feedback)
			}
		}
	}
	return names
}
