package source

import (
	"context"
	"math"
	"testing"

	"parley/media/localtrack"

	"github.com/pion/webrtc/v4"
)

// receive starts a Receiver for a remote track, whose frames the returned watch tells of.
func receive(t *testing.T, r remote, o ReceiverOptions) *watch {
	t.Helper()
	w := &watch{stats: make(chan Stats)}
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	w.ctx = ctx
	o.Sinks = append(o.Sinks, w)
	o.RTCP, o.RequestKeyFrame = r.receiver, r.requestKeyFrame
	w.receiver = NewReceiver(r.track, o)
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
			w := receive(t, r, ReceiverOptions{Strip: true})
			first := w.until(t, "a strip", func(s Stats) bool { return s.Strips > 0 })
			last := first
			for last.Strips < first.Strips+15 {
				s := w.until(t, "the next strip", func(s Stats) bool { return s.Strips > last.Strips })
				if s.Strip <= last.Strip {
					t.Errorf("strip %d came after %d", s.Strip, last.Strip)
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
		w := receive(t, r, ReceiverOptions{})
		s := w.until(t, "a tone", func(s Stats) bool { return s.Tone != 0 })
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
		receiver := NewReceiver(r.track, ReceiverOptions{
			RTCP: r.receiver, Forwarder: mirrors[r.track.Kind()], RequestKeyFrame: r.requestKeyFrame,
		})
		run(t, receiver.Run)
	}
	for range 2 {
		r := next(t, atCaller)
		w := receive(t, r, ReceiverOptions{Strip: true})
		s := w.until(t, "a strip or a tone", func(s Stats) bool { return s.Strips > 5 || s.Tone != 0 })
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
