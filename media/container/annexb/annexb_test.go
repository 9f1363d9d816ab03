//go:build !quick

package annexb

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// clip returns a byte stream that libx264 writes with these options.
func clip(t testing.TB, options ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(mediatest.Clip(t, "x.h264", append([]string{"-c:v", "libx264", "-preset", "ultrafast"}, options...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestAccessUnits: slices are grouped to access units, and every key frame has its parameter sets.
func TestAccessUnits(t *testing.T) {
	data := clip(t, "-profile:v", "baseline", "-g", "10", "-slices", "4", "-x264-params", "aud=1")
	var once []byte // with parameter sets at the start only
	sets := 0
	for nal := range codec.NALUnits(data) {
		if k := codec.NALType(nal); k == codec.NALSPS || k == codec.NALPPS {
			if sets++; sets > 2 {
				continue
			}
		}
		once = codec.AppendNALUnit(once, nal)
	}
	if sets != 10 {
		t.Fatalf("%d parameter sets, want 10", sets)
	}
	for name, stream := range map[string][]byte{"repeated": data, "once": once} {
		tracks, all := mediatest.Demux(t, NewDemuxer, stream)
		if len(all) != 50 || !strings.Contains(tracks[0].Codec.SDPFmtpLine, "profile-level-id=42c0") {
			t.Fatalf("%s: %d frames of %+v, want 50", name, len(all), tracks)
		}
		for i, s := range all {
			p, slices := codec.ParseH264(s.Data), 0
			for nal := range codec.NALUnits(s.Data) {
				if k := codec.NALType(nal); k == codec.NALSlice || k == codec.NALIDR {
					slices++
				}
			}
			if slices != 4 || p.Key != (i%10 == 0) || p.Key && p.Width != 160 || s.Time != uint64(i)*3600 {
				t.Errorf("%s: frame %d has %d slices, %+v, at %d", name, i, slices, p, s.Time)
			}
		}
	}
}

// TestFrameRate: two seconds of video take two seconds at every frame rate.
func TestFrameRate(t *testing.T) {
	for _, rate := range []string{"24000/1001", "50", "240", "1000"} {
		_, all := mediatest.Demux(t, NewDemuxer, clip(t, "-bf", "0", "-vf", "fps="+rate))
		last := all[len(all)-1]
		if got := media.TicksToDuration(int64(last.Time+last.Duration), media.VideoClockRate); (got - 2*time.Second).Abs() > 50*time.Millisecond {
			t.Errorf("%d frames at %s frames/s take %v, want 2s", len(all), rate, got)
		}
	}
	withRate := func(in media.Input) (media.Demuxer, error) {
		in.FrameRate = 50
		return NewDemuxer(in)
	}
	if _, all := mediatest.Demux(t, withRate, clip(t, "-bf", "0")); all[1].Time != 1800 {
		t.Errorf("at 50 frames/s the second frame is at %d, want 1800", all[1].Time)
	}
}

// TestUntimed: the time of arrival is better than the nominal one, unless the stream is a file.
func TestUntimed(t *testing.T) {
	for _, seekable := range []bool{true, false} {
		tracks, _, err := mediatest.TryDemux(NewDemuxer, clip(t, "-bf", "0"), seekable)
		if err != nil || tracks[0].Untimed == seekable {
			t.Errorf("seekable %v: tracks are %+v, %v", seekable, tracks, err)
		}
	}
}

// TestUnsendable: what browsers do not decode, or display in the wrong order, is the error of the
// track.
func TestUnsendable(t *testing.T) {
	for options, want := range map[string]string{
		"-bf 0": "", "-profile:v baseline": "", "-bf 2 -b_strategy 0": "H.264 has B-frames",
		"-bf 1 -b_strategy 0 -x264-params nal-hrd=cbr -b:v 1M -minrate 1M -maxrate 1M -bufsize 1M": "H.264 has B-frames",
		"-pix_fmt yuv444p -bf 0": "H.264 is 4:4:4", "-pix_fmt yuv420p10le": "H.264 is 4:2:0 with 10 bits",
	} {
		for _, seekable := range []bool{true, false} {
			tracks, samples, err := mediatest.TryDemux(NewDemuxer, clip(t, strings.Fields(options)...), seekable)
			if err != nil && want == "" || len(tracks) != 1 {
				t.Fatalf("%s: %d tracks, %v", options, len(tracks), err)
			}
			switch got := tracks[0].Err; {
			case want == "" && (got != nil || len(samples) != 50):
				t.Errorf("%s: %d frames, error is %v", options, len(samples), got)
			case want != "" && (got == nil || !strings.HasPrefix(got.Error(), want) || !strings.Contains(got.Error(), "ffmpeg -i FILE")):
				t.Errorf("%s: error is %v, want %s", options, got, want)
			}
		}
	}
}

// TestLateBFrames: B-frames after the first frames end the stream with the error that says so.
func TestLateBFrames(t *testing.T) {
	data := append(clip(t, "-bf", "0"), clip(t, "-bf", "2", "-b_strategy", "0")...)
	tracks, samples, err := mediatest.TryDemux(NewDemuxer, data, true)
	if !errors.Is(err, codec.ErrBFrames) || tracks[0].Err != nil || len(samples) < 50 || len(samples) > 53 {
		t.Errorf("%d frames, error is %v", len(samples), err)
	}
}

// TestMuxer: the demuxer reads the frames that were written. Key frames without parameter sets get
// those of the first one.
func TestMuxer(t *testing.T) {
	_, want := mediatest.Demux(t, NewDemuxer, clip(t, "-bf", "0", "-g", "10"))
	out := &mediatest.Output{}
	m, err := NewMuxer(out, []media.OutputTrack{{MIME: webrtc.MimeTypeH264}})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range want {
		var data []byte
		for nal := range codec.NALUnits(s.Data) {
			if k := codec.NALType(nal); i == 0 || k != codec.NALSPS && k != codec.NALPPS {
				data = codec.AppendNALUnit(data, nal)
			}
		}
		if err := m.WriteFrame(0, media.Frame{Data: data, Key: i%10 == 0}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Finish(0); err != nil {
		t.Fatal(err)
	}
	if _, got := mediatest.Demux(t, NewDemuxer, out.Data); !reflect.DeepEqual(got, want) {
		t.Errorf("%d frames, want the %d that were written", len(got), len(want))
	}
	if p := mediatest.Probe(t, mediatest.WriteFile(t, "x.h264", out.Data)); mediatest.Number(t, p.Streams[0].Frames) != 50 {
		t.Errorf("streams are %+v", p.Streams)
	}
}

func FuzzDemuxer(f *testing.F) {
	sps := "\x00\x00\x00\x01\x67\x42\xc0\x0a\xda\x0a\x11\xff\x97\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x22\x6a"
	f.Add([]byte(sps + "\x00\x00\x01\x68\xce\x0f\x2c\x80\x00\x00\x01\x65\x88\x84\x00\x00\x00\x01\x41\x9a\x00\x00\x01\x41\x00"))
	f.Add([]byte(sps + "\x00\x00\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65\xff"))
	f.Fuzz(func(t *testing.T, data []byte) { mediatest.FuzzDemuxer(t, NewDemuxer, data) })
}
