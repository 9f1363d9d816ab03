package ivf

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// file returns a file: its header, and frames of three bytes at times in units of the timebase.
func file(fourCC string, numerator, denominator uint32, times ...uint64) []byte {
	le := binary.LittleEndian
	b := append([]byte("DKIF\x00\x00\x20\x00"), fourCC...)
	b = le.AppendUint16(le.AppendUint16(b, 160), 120)
	b = le.AppendUint32(le.AppendUint32(b, denominator), numerator)
	b = le.AppendUint64(b, 0)
	for _, at := range times {
		b = le.AppendUint64(le.AppendUint32(b, 3), at)
		b = append(b, 1, 2, 3)
	}
	return b
}

// TestTimes: times are in units of the timebase, the last frame lasts as long as the one before.
func TestTimes(t *testing.T) {
	_, all := mediatest.Demux(t, NewDemuxer, file("VP90", 1001, 30000, 100, 101, 103))
	for i, want := range []uint64{0, 3003, 9009} {
		if all[i].Time != want {
			t.Errorf("frame %d is at %d, want %d", i, all[i].Time, want)
		}
	}
	if all[2].Duration != 6006 {
		t.Errorf("the last frame lasts %d, want 6006", all[2].Duration)
	}
}

// TestOneFrame: a frame that is alone lasts for one unit of the timebase, if that is a frame rate.
func TestOneFrame(t *testing.T) {
	for denominator, want := range map[uint32]uint64{25: 3600, 1000: 3000, 90000: 3000} {
		_, all := mediatest.Demux(t, NewDemuxer, file("VP80", 1, denominator, 7))
		if len(all) != 1 || all[0].Time != 0 || all[0].Duration != want {
			t.Errorf("timebase 1/%d: frames are %+v, want one of %d", denominator, all, want)
		}
	}
}

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

func FuzzDemuxer(f *testing.F) {
	f.Add(file("VP80", 1, 30, 0, 1, 5))
	f.Add(file("VP90", 1001, 30000, 7))
	f.Add(append(file("AV01", 1, 1000), 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0))
	f.Add(file("VP80", 1, 1<<31, 1<<62, 1<<63))
	f.Fuzz(func(t *testing.T, data []byte) { mediatest.FuzzDemuxer(t, NewDemuxer, data) })
}
