//go:build !quick

package container

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/matroska"
	"parley/media/container/mp4"
	"parley/media/container/ogg"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// open reads a file of any format, by the extension of its name.
func open(path string) mediatest.Open {
	switch filepath.Ext(path) {
	case ".ivf":
		return ivf.NewDemuxer
	case ".ogg":
		return ogg.NewDemuxer
	case ".mp4":
		return mp4.NewDemuxer
	case ".h264":
		return func(in media.Input) (media.Demuxer, error) {
			in.FrameRate = 25
			return annexb.NewDemuxer(in)
		}
	}
	return matroska.NewDemuxer
}

// demux returns the tracks of a file and all samples.
func demux(t *testing.T, path string) ([]media.Track, []media.Sample) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return mediatest.Demux(t, open(path), data)
}

// clips returns a file of 50 frames of each video codec, and one of Opus.
func clips(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		webrtc.MimeTypeVP8:  mediatest.Clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeVP9:  mediatest.Clip(t, "vp9.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeAV1:  mediatest.Clip(t, "av1.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeH264: mediatest.Clip(t, "h264.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3", "-b:v", "2M"),
		webrtc.MimeTypeOpus: mediatest.Clip(t, "opus.ogg", "-c:a", "libopus"),
	}
}

// comparable returns what is the same of a sample in every container: for H.264 the slices.
func comparable(mime string, data []byte) []byte {
	if mime != webrtc.MimeTypeH264 {
		return data
	}
	var slices []byte
	for nal := range codec.NALUnits(data) {
		if k := codec.NALType(nal); k == codec.NALSlice || k == codec.NALIDR {
			slices = append(slices, nal...)
		}
	}
	return slices
}

// TestContainers: a frame is the same, and at the same time, in every container.
func TestContainers(t *testing.T) {
	clips := clips(t)
	fragmented := []string{"-movflags", "frag_keyframe+empty_moov+default_base_moof"}
	for _, test := range []struct {
		mime, name string
		options    []string
	}{
		{webrtc.MimeTypeVP8, "a.webm", nil}, {webrtc.MimeTypeVP8, "a.mkv", nil},
		{webrtc.MimeTypeVP8, "cues.webm", []string{"-cues_to_front", "1"}},
		{webrtc.MimeTypeVP9, "a.webm", nil}, {webrtc.MimeTypeVP9, "a.mp4", nil}, {webrtc.MimeTypeVP9, "f.mp4", fragmented},
		{webrtc.MimeTypeAV1, "a.webm", nil}, {webrtc.MimeTypeAV1, "a.mkv", nil}, {webrtc.MimeTypeAV1, "a.mp4", nil},
		{webrtc.MimeTypeH264, "a.mkv", nil}, {webrtc.MimeTypeH264, "a.mp4", nil}, {webrtc.MimeTypeH264, "f.mp4", fragmented},
		{webrtc.MimeTypeH264, "fast.mp4", []string{"-movflags", "faststart"}},
		{webrtc.MimeTypeOpus, "a.webm", nil}, {webrtc.MimeTypeOpus, "a.mkv", nil}, {webrtc.MimeTypeOpus, "a.mp4", nil},
		{webrtc.MimeTypeOpus, "f.mp4", fragmented}, {webrtc.MimeTypeOpus, "live.webm", []string{"-live", "1"}},
	} {
		t.Run(media.CodecName(test.mime)+" "+test.name, func(t *testing.T) {
			_, want := demux(t, clips[test.mime])
			tracks, got := demux(t, mediatest.Remux(t, clips[test.mime], test.name, test.options...))
			if tracks[0].Codec.MimeType != test.mime || len(got) != len(want) {
				t.Fatalf("%d frames of %s, want %d", len(got), tracks[0].Codec.MimeType, len(want))
			}
			for i := range got {
				if a, b := comparable(test.mime, got[i].Data), comparable(test.mime, want[i].Data); !bytes.Equal(a, b) {
					t.Fatalf("frame %d has %d bytes, want %d", i, len(a), len(b))
				}
				if p := codec.ParseH264(got[i].Data); test.mime == webrtc.MimeTypeH264 && p.Key && p.Width != 160 {
					t.Errorf("key frame %d comes without its parameter sets", i)
				}
				// Matroska has a resolution of 1 ms. The pre-skip of Opus is sent too.
				if d := int64(got[i].Time) - int64(want[i].Time); test.mime != webrtc.MimeTypeOpus && max(d, -d) > 90 { //nolint:gosec // small
					t.Errorf("frame %d is at %d, want %d", i, got[i].Time, want[i].Time)
				}
			}
		})
	}
}

// TestParameterSets: parameter sets that only the header of the file has come before each key
// frame.
func TestParameterSets(t *testing.T) {
	for _, name := range []string{"own.mp4", "own.mkv"} {
		_, all := demux(t, mediatest.Clip(t, name, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"))
		keys := 0
		for i, s := range all {
			if p := codec.ParseH264(s.Data); p.Key {
				if keys++; p.Width != 160 {
					t.Errorf("%s: key frame %d comes without its parameter sets", name, i)
				}
			}
		}
		if keys != 5 {
			t.Errorf("%s: %d key frames, want 5", name, keys)
		}
	}
}

// TestTwoTracks: both tracks are read, interleaved by time.
func TestTwoTracks(t *testing.T) {
	clips := clips(t)
	_, frames := demux(t, clips[webrtc.MimeTypeVP9])
	_, packets := demux(t, clips[webrtc.MimeTypeOpus])
	for _, name := range []string{"both.webm", "both.mkv", "both.mp4"} {
		path := filepath.Join(t.TempDir(), name)
		mediatest.FFmpeg(t, "-i", clips[webrtc.MimeTypeVP9], "-i", clips[webrtc.MimeTypeOpus], "-c", "copy", path)
		tracks, all := demux(t, path)
		if len(tracks) != 2 {
			t.Fatalf("%s: %d tracks, want 2", name, len(tracks))
		}
		counts, last := make(map[string]int), 0.0
		for _, s := range all {
			counts[tracks[s.Track].Codec.MimeType]++
			at := float64(s.Time) / float64(tracks[s.Track].Codec.ClockRate)
			if last-at > 0.1 {
				t.Errorf("%s: a sample at %.3f s comes after one at %.3f s", name, at, last)
			}
			last = max(last, at)
		}
		if counts[webrtc.MimeTypeVP9] != len(frames) || counts[webrtc.MimeTypeOpus] != len(packets) {
			t.Errorf("%s: samples are %v, want %d frames and %d packets", name, counts, len(frames), len(packets))
		}
	}
}

// reason returns why the only track of a file cannot be sent.
func reason(t *testing.T, path string) error {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tracks, _, err := mediatest.TryDemux(open(path), data, true)
	if len(tracks) == 1 && tracks[0].Err != nil {
		return tracks[0].Err
	}
	return err
}

// TestBFrames: B-frames are refused before a call, with the command that converts them.
func TestBFrames(t *testing.T) {
	path := mediatest.Clip(t, "b.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-b_strategy", "0")
	for _, file := range []string{
		path, mediatest.Remux(t, path, "b.mp4"), mediatest.Remux(t, path, "f.mp4", "-movflags", "frag_keyframe+empty_moov"),
		mediatest.Remux(t, path, "b.h264"),
	} {
		if err := reason(t, file); !errors.Is(err, codec.ErrBFrames) || !strings.Contains(err.Error(), "-bf 0") {
			t.Errorf("%s: error is %v", filepath.Base(file), err)
		}
	}
}

// TestUnsupportedCodecs: a codec that WebRTC does not carry is refused by its name.
func TestUnsupportedCodecs(t *testing.T) {
	for _, test := range []struct {
		name, codec string
		options     []string
	}{
		{"x.mkv", "V_MPEG4/ISO/ASP", []string{"-c:v", "mpeg4"}},
		{"x.mp4", "mp4v", []string{"-c:v", "mpeg4"}},
		{"x.mkv", "V_MPEGH/ISO/HEVC", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"}},
	} {
		if err := reason(t, mediatest.Clip(t, test.name, test.options...)); err == nil || !strings.Contains(err.Error(), `codec "`+test.codec+`" cannot be sent`) {
			t.Errorf("error is %v, want codec %s", err, test.codec)
		}
	}
}

// TestTruncated: a file that is cut off anywhere gives the frames up to there, or an error.
func TestTruncated(t *testing.T) {
	clips := clips(t)
	for _, path := range []string{
		mediatest.Remux(t, clips[webrtc.MimeTypeVP8], "a.webm"), mediatest.Remux(t, clips[webrtc.MimeTypeH264], "a.mkv"),
		mediatest.Remux(t, clips[webrtc.MimeTypeH264], "a.mp4", "-movflags", "faststart"),
		mediatest.Remux(t, clips[webrtc.MimeTypeVP9], "f.mp4", "-movflags", "frag_keyframe+empty_moov"),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, whole := demux(t, path)
		most := 0
		for cut := 1; cut < len(data); cut += 1 + cut/20 {
			_, samples, err := mediatest.TryDemux(open(path), data[:cut], true)
			if len(samples) == 0 && err == nil && cut > len(data)/2 {
				t.Errorf("%s cut off at %d of %d bytes: neither frames nor an error", filepath.Base(path), cut, len(data))
			}
			most = max(most, len(samples))
		}
		if most < len(whole)*3/4 || most > len(whole) {
			t.Errorf("%s: at most %d of %d frames", filepath.Base(path), most, len(whole))
		}
	}
}
