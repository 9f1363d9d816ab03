package peer

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"parley/peer/internal/jsep"
)

// A section with no codec of ours is rejected, and the rest of the call goes on: Pion would make no
// answer at all, had the section a track of ours.
func TestOfferWithoutCodecOfOurs(t *testing.T) {
	page := newOriginalPage(t)
	audio, err := page.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		t.Fatal(err)
	}
	strange := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeG722, ClockRate: 8000}, PayloadType: 9,
	}
	if err := audio.SetCodecPreferences([]webrtc.RTPCodecParameters{strange}); err != nil {
		t.Fatal(err)
	}
	s := newSide(t, "terminal", Config{Media: MediaConfig{Tracks: []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}}, Signaler: page})
	page.peer = s.call
	s.start()
	page.call()
	await(s, func(e TrackRejected) bool { return e.Track.Kind() == webrtc.RTPCodecTypeAudio })
	select {
	case <-page.opened:
	case <-time.After(deadline):
		t.Fatalf("no channel; there were %s", s.summary())
	}
	if err := page.channel.SendText("hello terminal"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("hello terminal")
}

// No two tracks of a description have one name, though they were given so: Chromium takes no such
// description.
func TestTracksWithTheSameID(t *testing.T) {
	one, two := rawTrack(t, webrtc.MimeTypeVP8, "video"), rawTrack(t, webrtc.MimeTypeVP8, "video")
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{one, two} })
	a.awaitConnected()
	b.awaitConnected()
	names := map[string]bool{}
	for line := range strings.Lines(a.call.stats.live[0].pc.LocalDescription().SDP) {
		if name, ok := strings.CutPrefix(line, "a=msid:"); ok {
			names[name] = true
		}
	}
	if len(names) != 2 {
		t.Errorf("the tracks are named %v", names)
	}
}

func TestTheDataSectionOfAnOfferHasMidZero(t *testing.T) {
	offers := make(chan string, 8)
	a, b := pair(t, func(caller, _ *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "offer" {
				offers <- s
			}
			return s, true
		}
	})
	a.call.Say("hello")
	b.awaitText("hello")
	a.call.RestartICE() // a later offer says the same
	for range 2 {
		offer := <-offers
		d, err := jsep.Parse(offer)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d.Sections {
			if s.Data != (s.Mid == dataMid) {
				t.Errorf("section %d has the mid %q", s.Index, s.Mid)
			}
		}
		if !strings.Contains(offer, "a=group:BUNDLE v1 a1 0\r\n") {
			t.Errorf("not all sections are bundled:\n%s", offer)
		}
	}
	await(a, func(e PairSelected) bool { return true })
	b.call.Say("and back")
	a.awaitText("and back")
}

// A peer that has named its data channels otherwise keeps that name in our offers.
func TestTheDataSectionKeepsTheMidOfTheOffer(t *testing.T) {
	page := newOriginalPage(t)
	if _, err := page.pc.AddTrack(testTrack(t, webrtc.MimeTypeOpus)); err != nil { // which comes first, so the data are number 1
		t.Fatal(err)
	}
	s := page.callsTerminal()
	s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, testTrack(t, webrtc.MimeTypeVP8)) })
	if text := page.pc.CurrentRemoteDescription().SDP; !strings.Contains(text, "a=group:BUNDLE 0 1 v1\r\n") {
		t.Errorf("we offer\n%s", text)
	}
}

// TestSeveralSourcesInASection: of the sizes of a video, as Chromium's simulcast of old has them,
// or a hostile peer without their names, the first comes; and no number of SSRCs ends the process.
func TestSeveralSourcesInASection(t *testing.T) {
	const more = "a=ssrc:77777 cname:x\r\na=ssrc:77778 cname:x\r\n"
	for name, edit := range map[string]func(description string) string{
		"more":   inVideo(func(s string) string { return s + more }),
		"SIM":    inVideo(func(s string) string { return s + "a=ssrc-group:SIM 77777 77778\r\n" + more }),
		"noMSID": inVideo(func(s string) string { return noMSID(s) + more }),
		"RID": inVideo(func(s string) string {
			return noMSID(s) + "a=rid:a send\r\na=rid:b send\r\na=simulcast:send a;b\r\n" + more
		}),
		"shared": shared,
		"odd": inVideo(func(s string) string {
			return s + "a=ssrc-group:FID\r\na=ssrc:\r\na=ssrc:x y\r\na=ssrc-group:FID 77777 77777\r\n" + more
		}),
	} {
		for _, role := range []string{"offers", "answers"} {
			t.Run(name+" "+role, func(t *testing.T) {
				page := newOriginalPage(t)
				page.edit = edit
				send := page.sends()
				config := Config{Signaler: page}
				if role == "answers" {
					config.Caller, config.Media.Receive = true, []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio}
				}
				s := newSide(t, "terminal", config)
				page.peer = s.call
				s.start()
				if role == "offers" {
					page.call()
				}
				s.awaitConnected()
				defer sending(send)()
				await(s, func(e TrackReceived) bool { return name == "shared" || e.Track.Kind() == webrtc.RTPCodecTypeVideo })
			})
		}
	}
}

// sends gives the page audio and video; send sends a little of both.
func (p *originalPage) sends() (send func()) {
	p.t.Helper()
	samples := map[*webrtc.TrackLocalStaticSample][]byte{}
	for mime, data := range map[string][]byte{webrtc.MimeTypeVP8: {0x10, 2, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}, webrtc.MimeTypeOpus: {0xf8, 0xff, 0xfe}} {
		track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, mime[:1], "s")
		if err == nil {
			_, err = p.pc.AddTrack(track)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		samples[track] = data
	}
	return func() {
		for track, data := range samples {
			_ = track.WriteSample(media.Sample{Data: data, Duration: 20 * time.Millisecond}) // errors are of a call that is over
		}
	}
}

// sending sends again and again, until stop.
func sending(send func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			send()
		}
	}()
	return func() { cancel(); <-done }
}

// shared gives audio the SSRC of the video.
func shared(description string) string {
	ssrc := regexp.MustCompile(`(?s)(m=(\w+).*?a=ssrc:)(\d+)`)
	number := map[string]string{}
	for _, found := range ssrc.FindAllStringSubmatch(description, -1) {
		number[found[2]] = found[3]
	}
	return strings.ReplaceAll(description, fmt.Sprintf("a=ssrc:%s ", number["audio"]), fmt.Sprintf("a=ssrc:%s ", number["video"]))
}

// inVideo edits the first section with a video.
func inVideo(edit func(section string) string) func(description string) string {
	return func(description string) string {
		head, video, _ := strings.Cut(description, "m=video")
		video, rest, more := strings.Cut(video, "m=")
		if video = "m=video" + edit(video); more {
			video += "m=" + rest
		}
		return head + video
	}
}

func noMSID(section string) string {
	lines := strings.SplitAfter(section, "\r\n")
	for i, line := range lines {
		if strings.Contains(line, "msid:") {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "")
}
