//go:build !quick

package ivf

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/internal/mediatest"
)

// TestUnsendable: video that browsers do not decode is the error of the track.
func TestUnsendable(t *testing.T) {
	vp9, av1 := "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -frames:v 3 ", "-c:v libaom-av1 -usage realtime -cpu-used 8 -frames:v 3 "
	for options, want := range map[string]string{
		vp9 + "-pix_fmt yuv420p": "", vp9 + "-pix_fmt yuv444p": "VP9 has profile 1", vp9 + "-pix_fmt yuv420p10le": "VP9 has profile 2",
		av1 + "-pix_fmt yuv420p": "", av1 + "-pix_fmt yuv420p10le": "AV1 has profile 0 (4:2:0 with 10 bits",
	} {
		data, err := os.ReadFile(mediatest.Clip(t, "x.ivf", strings.Fields(options)...))
		if err != nil {
			t.Fatal(err)
		}
		tracks, samples, err := mediatest.TryDemux(NewDemuxer, data, false)
		switch got := tracks[0].Err; {
		case want == "" && (got != nil || err != nil || len(samples) != 3):
			t.Errorf("%s: %d frames, %v, %v", options, len(samples), got, err)
		case want != "" && (got == nil || !strings.HasPrefix(got.Error(), want)):
			t.Errorf("%s: error is %v, want %s", options, got, want)
		}
	}
	if tracks, _, err := mediatest.TryDemux(NewDemuxer, file("HEVC", 1, 30), true); err != nil || tracks[0].Err == nil || !strings.Contains(tracks[0].Err.Error(), `codec "HEVC" cannot be sent`) {
		t.Errorf("tracks of HEVC are %+v, %v", tracks, err)
	}
}

// TestMuxer: the demuxer and ffprobe read the frames that were written, at their times.
func TestMuxer(t *testing.T) {
	for mime, options := range map[string]string{
		webrtc.MimeTypeVP8: "-c:v libvpx -deadline realtime", webrtc.MimeTypeVP9: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
		webrtc.MimeTypeAV1: "-c:v libaom-av1 -usage realtime -cpu-used 8",
	} {
		data, err := os.ReadFile(mediatest.Clip(t, "x.ivf", strings.Fields(options)...))
		if err != nil {
			t.Fatal(err)
		}
		_, want := mediatest.Demux(t, NewDemuxer, data)
		out := &mediatest.Output{}
		m, err := NewMuxer(out, []media.OutputTrack{{MIME: mime, First: media.Frame{Width: 160, Height: 120}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range want {
			if err := m.WriteFrame(0, media.Frame{Data: s.Data}, media.TicksToDuration(int64(s.Time), media.VideoClockRate)); err != nil { //nolint:gosec // small
				t.Fatal(err)
			}
		}
		if err := m.Finish(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		_, got := mediatest.Demux(t, NewDemuxer, out.Data)
		if !slices.EqualFunc(got, want, func(a, b media.Sample) bool { return a.Time == b.Time && bytes.Equal(a.Data, b.Data) }) {
			t.Errorf("%s: %d frames, want the %d that were written", mime, len(got), len(want))
		}
		p := mediatest.Probe(t, mediatest.WriteFile(t, "x.ivf", out.Data))
		if p.Streams[0].Width != 160 || mediatest.Number(t, p.Streams[0].Frames) != 50 || mediatest.Number(t, p.Format.Duration) != 2 {
			t.Errorf("%s: streams are %+v in %s s", mime, p.Streams, p.Format.Duration)
		}
	}
	if _, err := NewMuxer(&mediatest.Output{}, []media.OutputTrack{{MIME: webrtc.MimeTypeH264}}); err == nil || !strings.Contains(err.Error(), "does not hold H264") {
		t.Errorf("error is %v", err)
	}
}
