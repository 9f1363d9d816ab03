//go:build !quick

package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/stats"
)

// Media comes before the answer that announces it: a few packets, which Pion is
// still looking at when the answer comes, or so many that it has given up. The track is
// reported on all the same, and its first packet is not lost, declared or not.
func TestMediaBeforeItsAnswer(t *testing.T) {
	asIs := func(text string) string { return text }
	for early, describe := range map[uint64]func(string) string{1: asIs, 3: asIs, 20: asIs, 2: undeclared, 21: undeclared} {
		t.Run(fmt.Sprint(early, " packets"), func(t *testing.T) {
			received, on := recordPackets(t)
			var later atomic.Bool
			var offer atomic.Uint64 // number of the latest one
			var a, b *side
			release := make(chan string, 1)
			a, b = pair(t, func(caller, answerer *Config) {
				caller.OnEvent = on
				caller.Signaler.(*wire).see = func(_ string, d SessionDescription) { offer.Store(d.Extension.Number) }
				answerer.Signaler.(*wire).filter = func(kind, payload string) (string, bool) {
					payload = describe(payload)
					if kind == "answer" && later.Load() {
						select {
						case release <- payload:
						default: // it is sent again
						}
						return "", false
					}
					return payload, true
				}
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeVP8, "there")}
				caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
			})
			a.awaitConnected()
			b.awaitConnected()
			later.Store(true)
			video := rawTrack(t, webrtc.MimeTypeVP8, "video")
			b.must(func(ctx context.Context) error { // as a browser does, which sends it with the answer to the next offer
				return b.call.change(ctx, &change{make: func() (func(), error) { return nil, b.call.tracks.add(video) }})
			})
			a.call.request(a.call.addTrack(rawTrack(t, webrtc.MimeTypeOpus, "more")))
			answer := <-release
			sent := awaitVideo(b, "outbound-rtp", "packetsSent", early)
			a.call.DeliverAnswer(SessionDescription{SDP: answer, Extension: &Extension{Number: offer.Load()}})
			received.await("video")
			awaitVideo(a, "inbound-rtp", "packetsReceived", sent+10)
			awaitVideo(b, "remote-inbound-rtp", "roundTripTimeMeasurements", 0)

			a.call.stats.mu.Lock()
			b.call.stats.mu.Lock()
			defer a.call.stats.mu.Unlock()
			defer b.call.stats.mu.Unlock()
			first := firstSent(b.call.stats.live[0])
			received.mu.Lock()
			defer received.mu.Unlock()
			if i := slices.IndexFunc(received.seen, func(p rtp.Packet) bool { return strings.HasSuffix(string(p.Payload), "video") }); received.seen[i].SequenceNumber != first {
				t.Errorf("the first packet that was read is %d, the first that was sent %d", received.seen[i].SequenceNumber, first)
			}
		})
	}
}

// firstSent is the number of the first packet of the video.
func firstSent(c *connection) uint16 {
	out, _ := c.streams.all(c.pc)
	for _, o := range out {
		ssrc, _ := o.Binding()
		if s, ok := c.stats.recorder.Outbound(ssrc); ok && o.Kind() == webrtc.RTPCodecTypeVideo {
			return uint16(s.FirstSequenceNumber)
		}
	}
	return 0
}

// awaitVideo waits until a member of the video's statistics is at least this.
func awaitVideo(s *side, kind, member string, least uint64) (now uint64) {
	s.t.Helper()
	awaitReport(s, func(r stats.Report) error {
		for _, o := range r.ByType(kind) {
			if n, ok := o[member].(uint64); ok && o["kind"] == "video" && n >= least {
				now = n
				return nil
			}
		}
		return fmt.Errorf("no %s of video with %s >= %d", kind, member, least)
	})
	return now
}
