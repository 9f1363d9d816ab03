package peer

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/jsep"
	"parley/peer/peertest"
	"parley/peer/stats"
)

// Audio and video of a peer that signals no SSRC are distinguished, whichever peer
// calls and whatever header extensions there are, and go on when the call is
// changed from either peer.
func TestUnsignaledSSRCs(t *testing.T) {
	both := []string{webrtc.MimeTypeVP8, webrtc.MimeTypeOpus}
	for name, c := range map[string]struct{ mimes, without []string }{
		"as RFC 9429 has it": {both, nil},
		"without RIDs":       {both, []string{sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI}},
		"without MIDs":       {both, []string{sdp.SDESMidURI}},
		"audio alone":        {both[1:], nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				for _, cfg := range []*Config{caller, answerer} {
					_, cfg.OnEvent = recordPackets(t)
					for _, mime := range c.mimes {
						cfg.Media.Tracks = append(cfg.Media.Tracks, testTrack(t, mime))
					}
					cfg.Signaler.(*wire).filter = bare(t, len(c.mimes)+1, c.without)
				}
			})
			checkMediaBothWays(t, a, b)
		})
	}
}

// bare takes the SSRCs and header extensions from descriptions of so many
// sections, in which there is no RID.
func bare(t *testing.T, sections int, extensions []string) func(kind, s string) (string, bool) {
	return func(kind, s string) (string, bool) {
		if kind != "offer" && kind != "answer" {
			return s, true
		}
		if n := strings.Count(s, "\r\nm="); n != sections && n != 0 || strings.Contains(s, jsep.SyntheticRID) {
			t.Errorf("the %s has %d sections, want %d without RIDs:\n%s", kind, n, sections, s)
		}
		for _, section := range strings.Split(s, "\r\nm=") {
			if strings.HasPrefix(section, "audio") && strings.Contains(section, sdp.SDESMidURI) {
				t.Errorf("audio has header extensions that are not for the wire:\n%s", section)
			}
		}
		var kept strings.Builder
		for line := range strings.Lines(undeclared(s)) {
			if !slices.ContainsFunc(extensions, func(uri string) bool { return strings.Contains(line, uri) }) {
				kept.WriteString(line)
			}
		}
		return kept.String(), true
	}
}

// checkMediaBothWays checks that both peers get the tracks of the other, before and after a
// change of the call.
func checkMediaBothWays(t *testing.T, a, b *side) {
	for _, s := range []*side{a, b} {
		s.awaitConnected()
		feed(t, s)
	}
	for _, s := range []*side{a, b} {
		for _, track := range s.call.cfg.Media.Tracks {
			e := await(s, func(e TrackReceived) bool { return e.Track.Kind() == track.Kind() })
			if e.Local == nil || e.Local.Kind() != track.Kind() || e.RID != "" {
				t.Errorf("%s: the section of the received %s, RID %q, sends %v", s.name, track.Kind(), e.RID, e.Local)
			}
		}
	}
	for _, s := range []*side{a, b} {
		s.must(func(ctx context.Context) error { return s.call.Hold(ctx, true) })
		s.must(func(ctx context.Context) error { return s.call.Hold(ctx, false) })
	}
	for _, s := range []*side{a, b} {
		awaitMore(s)
		if n := happenings(s, func(TrackReceived) bool { return true }); n != len(s.call.cfg.Media.Tracks) {
			t.Errorf("%s: %d tracks came, %d are sent", s.name, n, len(s.call.cfg.Media.Tracks))
		}
	}
}

// awaitMore waits until more comes by every track.
func awaitMore(s *side) {
	s.t.Helper()
	packets := func(r stats.Report) (all map[any]uint64) {
		all = map[any]uint64{}
		for _, o := range r.ByType("inbound-rtp") {
			n, _ := o["packetsReceived"].(uint64)
			all[o["kind"]] += n
		}
		return all
	}
	before := packets(s.call.Stats().Report)
	awaitReport(s, func(r stats.Report) error {
		now := packets(r)
		for _, track := range s.call.cfg.Media.Tracks {
			if kind := track.Kind().String(); now[kind] < before[kind]+10 {
				return fmt.Errorf("%d packets of %s came, %d before", now[kind], kind, before[kind])
			}
		}
		return nil
	})
}

// source is a stream that a hostile peer sends by hand.
type source struct {
	ssrc    uint32
	payload uint8  // type
	mid     string // "" for packets without
	text    string
	rid     string // "" for packets without
}

// by names what source sends as recordPacketsByTrack receives it.
func (s source) by(mid string) string { return s.text + "@" + mid }

// recordPacketsByTrack is recordPackets that adds "@" and the ID of the track to each packet.
func recordPacketsByTrack(t *testing.T) (*packetLog, func(Event)) {
	return recordPacketsWith(t, func(e TrackReceived) string { return "@" + e.Track.ID() })
}

// sendOnce sends a packet of each source.
func (f *faulty) sendOnce(sources ...source) {
	f.sendNumber(1, f.call.stats.live[0].remote.demuxer.HeaderExtensions(), sources)
}

// sendNumber sends a packet of each source, and reports whether they can be made.
func (f *faulty) sendNumber(number uint16, extensions demux.HeaderExtensions, sources []source) bool {
	for _, s := range sources {
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: true, PayloadType: s.payload, SequenceNumber: number, Timestamp: uint32(number) * 480, SSRC: s.ssrc},
			Payload: []byte("\x10\x10" + s.text),
		}
		if s.mid != "" && p.SetExtension(extensions.MID, []byte(s.mid)) != nil {
			return false
		}
		if s.rid != "" && p.SetExtension(extensions.RID, []byte(s.rid)) != nil {
			return false
		}
		f.protecting.Lock()
		wire, err := f.session.RTP(p)
		f.protecting.Unlock()
		if err == nil {
			_ = f.Write(wire) // the call may be over
		}
	}
	return true
}

// sendsBy sends a packet of each source now and then.
func (f *faulty) sendsBy(sources ...source) {
	extensions := f.call.stats.live[0].remote.demuxer.HeaderExtensions()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for number := uint16(1); f.sendNumber(number, extensions, sources); number++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	f.t.Cleanup(func() { close(quit); <-done })
}

// callUnsignaled calls a peer that sends audio and two video, a1, v1 and v2,
// and declares no SSRC.
func callUnsignaled(t *testing.T) (*faulty, *packetLog) {
	t.Helper()
	l, on := recordPacketsByTrack(t)
	return callHostile(t, func(c *Config, _ *peertest.Hostile) {
		c.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeVideo}
		c.OnEvent = on
	}).connect().handshake().associate(), l
}

// Payload types of our offers.
const opusType, vp8Type, vp8Again = 111, 96, 97

// Streams without a declared SSRC come each by the track of its section: by MID,
// or by a payload type that no other section has. What is sent again comes with
// what it repairs.
func TestUnsignaledSSRCsOfOneKind(t *testing.T) {
	f, received := callUnsignaled(t)
	audio, left, right := source{1, opusType, "", "audio", ""}, source{2, vp8Type, "v1", "left", ""}, source{3, vp8Type, "v2", "right", ""}
	again := source{4, vp8Again, "v1", "again", ""} // its first two bytes number what it repeats
	f.sendsBy(audio, left, right, again)
	for _, s := range []string{audio.by("a1"), left.by("v1"), right.by("v2"), again.by("v1")} {
		received.await(s)
	}
	awaitReport(f.side, func(r stats.Report) error {
		mids := map[any]any{}
		for _, o := range r.ByType("inbound-rtp") {
			if mids[o["ssrc"]] = o["mid"]; o["rid"] != nil {
				t.Errorf("it has the RID %v", o["rid"])
			}
		}
		if want := map[any]any{audio.ssrc: "a1", left.ssrc: "v1", right.ssrc: "v2"}; !maps.Equal(mids, want) {
			return fmt.Errorf("the streams have the MIDs %v, want %v", mids, want)
		}
		return nil
	})
}

// Of a stream that may be in several sections, and of a second one in a section,
// a warning is reported; the others go on.
func TestNamelessSource(t *testing.T) {
	f, received := callUnsignaled(t)
	left := source{2, vp8Type, "v1", "left", ""}
	f.sendsBy(left)
	received.await(left.by("v1"))
	f.sendsBy(source{1234, vp8Type, "", "nameless", ""}, source{1235, vp8Type, "v1", "second", ""})
	for _, ssrc := range []string{"SSRC 1234,", "SSRC 1235,"} {
		await(f.side, func(e Warned) bool { return strings.Contains(e.Text, ssrc) })
	}
	received.await(left.by("v1"))
}

// Unknown streams, however few packets they have, take no simulcast stream the place that Pion has
// for streams it does not know.
func TestUnknownStreamsDoNotBlockSimulcast(t *testing.T) {
	for name, c := range map[string]struct {
		mid  string
		once bool // each sends one packet
	}{
		"of no section":              {"none", false},
		"of no section, one packet":  {"none", true},
		"of no encoding":             {"v1", false},
		"of no encoding, one packet": {"v1", true},
	} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPacketsWith(t, func(e TrackReceived) string { return "@" + e.RID })
			f := callHostile(t, func(c *Config, h *peertest.Hostile) {
				c.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}
				c.OnEvent = on
				h.Lines = "a=msid:s t\r\na=rid:q send\r\na=rid:h send\r\na=simulcast:send q;h\r\n"
			}).connect().handshake().associate()
			var unknown []source
			for n := range uint32(25) {
				unknown = append(unknown, source{100 + n, vp8Type, c.mid, "unknown", ""})
			}
			if c.once {
				f.sendOnce(unknown...)
			} else {
				f.sendsBy(unknown...)
			}
			warned := map[string]bool{}
			await(f.side, func(e Warned) bool {
				if strings.Contains(e.Text, "SSRC 1") {
					warned[e.Text] = true
				}
				return len(warned) >= 12
			})
			f.sendsBy(source{1, vp8Type, "v1", "small", "q"}, source{2, vp8Type, "v1", "large", "h"})
			received.await("small@q")
			received.await("large@h")
		})
	}
}

// A packet with an unsignaled SSRC belongs to the m-section of its MID: our next offer has no other
// one for it.
func TestUnsignaledSSRCIsNoSection(t *testing.T) {
	received, on := recordPackets(t)
	page := newBarePeer(t)
	page.edit = undeclared
	if _, err := page.pc.AddTrack(rawTrack(t, webrtc.MimeTypeOpus, "audio")); err != nil {
		t.Fatal(err)
	}
	track := testTrack(t, webrtc.MimeTypeOpus)
	s := newSide(t, "terminal", Config{Signaler: page, OnEvent: on, Media: MediaConfig{Tracks: []webrtc.TrackLocal{track}}})
	page.peer = s.call
	s.start()
	page.call()
	received.await("audio")
	page.edit = func(text string) string { return text } // webrtcbin declares them in its answers
	if e := await(s, func(TrackReceived) bool { return true }); e.Local != track {
		t.Errorf("it came beside %v, want the track in its section", e.Local)
	}
	s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, testTrack(t, webrtc.MimeTypeVP8)) })
	if text := page.pc.CurrentRemoteDescription().SDP; strings.Count(text, "\r\nm=") != 2 || !regexp.MustCompile("a=group:BUNDLE 0 v1\r\n").MatchString(text) {
		t.Errorf("we offer\n%s", text)
	}
	received.await("audio")
}

// unsignaled is a description without SSRCs.
func undeclared(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "a=ssrc") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
