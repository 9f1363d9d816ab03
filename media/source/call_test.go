package source

import (
	"context"
	"math"
	"testing"

	"parley/media/localtrack"
	"parley/media/receiver"

	"github.com/pion/webrtc/v4"
)

// receive starts a Receiver for a remote track, whose frames the returned watch counts.
func receive(t *testing.T, r remote, o receiver.Options) *watch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	w := newWatch(ctx)
	o.Sinks = append(o.Sinks, w.sinks()...)
	o.RTCP, o.RequestKeyFrame = r.receiver, r.requestKeyFrame
	w.receiver = receiver.New(r.track, o)
	run(t, w.receiver.Run)
	t.Cleanup(cancel) // runs before the receiver is stopped, so that it does not wait for us
	return w
}

func TestTestSourcesInACall(t *testing.T) {
	video, err := OpenVideo("test", VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	audio, err := OpenAudio("test", AudioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if video.Codec() != webrtc.MimeTypeVP8 || audio.Codec() != webrtc.MimeTypeOpus {
		t.Fatalf("codecs are %q and %q", video.Codec(), audio.Codec())
	}
	arrives := connect(t, video, audio)
	run(t, video.Run)
	run(t, audio.Run)
	for range 2 {
		r := next(t, arrives)
		if r.track.Kind() == webrtc.RTPCodecTypeVideo {
			w := receive(t, r, receiver.Options{})
			first := w.until(t, "a frame ID", func(s watched) bool { return s.frameIDs.Count > 0 })
			last := first
			for last.frameIDs.Count < first.frameIDs.Count+15 {
				s := w.until(t, "the next frame ID", func(s watched) bool { return s.frameIDs.Count > last.frameIDs.Count })
				if s.frameIDs.Latest <= last.frameIDs.Latest {
					t.Errorf("frame ID %d came after %d", s.frameIDs.Latest, last.frameIDs.Latest)
				}
				last = s
			}
			if last.Codec != "VP8" || last.Width != 320 || last.Height != 240 || last.KeyFrames != last.Frames || last.Lost != 0 {
				t.Errorf("stats are %+v", last)
			}
			if last.FrameRate <= 0 || last.FrameRate > 17 { // less than 15 on a busy machine
				t.Errorf("frame rate is %.1f", last.FrameRate)
			}
			continue
		}
		w := receive(t, r, receiver.Options{})
		s := w.until(t, "a tone", func(s watched) bool { return s.Tone != 0 })
		if math.Abs(s.Tone-440) > 4.4 || math.Abs(s.Level+15) > 1.5 {
			t.Errorf("tone is %.2f Hz at %.1f dBFS", s.Tone, s.Level)
		}
		if s.Codec != "opus" || s.Packets > 60 {
			t.Errorf("stats are %+v", s)
		}
	}
}

func TestForwarderInACall(t *testing.T) {
	video, err := OpenVideo("test", VideoOptions{Width: 640, Height: 360, FrameRate: 10})
	if err != nil {
		t.Fatal(err)
	}
	audio, err := OpenAudio("tone:1000", AudioOptions{Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	mirrors := map[webrtc.RTPCodecType]*localtrack.Forwarder{}
	var back []webrtc.TrackLocal
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		mirrors[kind] = localtrack.NewForwarder(kind, localtrack.ForwarderOptions{})
		back = append(back, mirrors[kind])
	}
	atCaller, atEcho := connectBoth(t, []webrtc.TrackLocal{video, audio}, back)
	run(t, video.Run)
	run(t, audio.Run)
	for range 2 {
		r := next(t, atEcho)
		receiver := receiver.New(r.track, receiver.Options{
			RTCP: r.receiver, Forward: mirrors[r.track.Kind()], RequestKeyFrame: r.requestKeyFrame,
		})
		run(t, receiver.Run)
	}
	for range 2 {
		r := next(t, atCaller)
		w := receive(t, r, receiver.Options{})
		s := w.until(t, "a frame ID or a tone", func(s watched) bool { return s.frameIDs.Count > 5 || s.Tone != 0 })
		switch r.track.Kind() {
		case webrtc.RTPCodecTypeVideo:
			if s.Width != 640 || s.Height != 360 || s.Codec != "VP8" || s.Broken != 0 {
				t.Errorf("stats are %+v", s)
			}
		default:
			if math.Abs(s.Tone-1000) > 10 || s.Codec != "opus" {
				t.Errorf("stats are %+v", s)
			}
		}
	}
}
