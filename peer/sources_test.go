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
)

// TestSeveralSourcesInASection: of the sizes of a picture, as Chromium's simulcast of old has them, or a hostile peer
// without their names, the first comes; and nobody ends the process by naming sources.
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

// sends gives the page sound and picture; send sends a little of both.
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

// shared gives sound the SSRC of the picture.
func shared(description string) string {
	ssrc := regexp.MustCompile(`(?s)(m=(\w+).*?a=ssrc:)(\d+)`)
	number := map[string]string{}
	for _, found := range ssrc.FindAllStringSubmatch(description, -1) {
		number[found[2]] = found[3]
	}
	return strings.ReplaceAll(description, fmt.Sprintf("a=ssrc:%s ", number["audio"]), fmt.Sprintf("a=ssrc:%s ", number["video"]))
}

// inVideo edits the first section with a picture.
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
