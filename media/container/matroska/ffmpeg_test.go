//go:build !quick

package matroska

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/internal/mediatest"
)

// TestUnsendable: video that browsers do not decode is refused before the first frame is sent.
func TestUnsendable(t *testing.T) {
	for options, want := range map[string]string{
		"-c:v libx264 -preset ultrafast -bf 0 -pix_fmt yuv444p":                                       "H.264 is 4:4:4",
		"-c:v libx264 -preset ultrafast -bf 0 -pix_fmt yuv420p10le":                                   "H.264 is 4:2:0 with 10 bits",
		"-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0":                                          "H.264 has B-frames",
		"-c:v libx264 -preset ultrafast -bf 0 -profile:v high":                                        "",
		"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv444p -frames:v 5":                 "VP9 has profile 1",
		"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p10le -frames:v 5":             "VP9 has profile 2",
		"-c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv420p10le -frames:v 5":                "AV1 has profile 0 (4:2:0 with 10 bits",
		"-c:v libx265 -preset ultrafast -x265-params log-level=none -frames:v 5":                      `codec "V_MPEGH/ISO/HEVC" cannot be sent`,
		"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p -color_range pc -frames:v 5": "",
	} {
		tracks, samples, err := mediatest.TryDemux(NewDemuxer, clip(t, "x.mkv", strings.Fields(options)...), false)
		if len(tracks) == 1 && tracks[0].Err != nil {
			err = tracks[0].Err
		}
		if want == "" && (err != nil || len(samples) < 5) || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %d frames, error is %v, want %q", options, len(samples), err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "ffmpeg -i FILE") {
			t.Errorf("%s: error does not name the command that converts: %v", options, err)
		}
	}
}

// TestUnselected: the blocks of a track that is not selected do not matter, whatever their size.
// Raw video of 2560x1440 has frames of 11 MiB.
func TestUnselected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.mkv")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "color=size=2560x1440:rate=2:duration=1", "-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000",
		"-c:v", "rawvideo", "-pix_fmt", "rgb24", "-allow_raw_vfw", "1", "-c:a", "libopus", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tracks, samples := mediatest.Demux(t, NewDemuxer, data)
	if len(tracks) != 2 || tracks[0].Err == nil || len(samples) != 51 && len(samples) != 50 {
		t.Errorf("%d packets of %+v, want 50 of the second one", len(samples), tracks)
	}
	// A selected track of such frames is broken.
	sized := file(nil, open(idCluster), appendSize(appendID(nil, idSimpleBlock), 9<<20), []byte{0x81})
	if _, _, err := mediatest.TryDemux(NewDemuxer, sized, true); err == nil || !strings.Contains(err.Error(), "block 1 claims 9437184 bytes") {
		t.Errorf("error is %v", err)
	}
}

// TestCodecDelay: the packets of Opus lead the video by the CodecDelay of the file, as ffprobe
// gives their times.
func TestCodecDelay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delay.webm")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000",
		"-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", path)
	tracks, samples := mediatest.Demux(t, NewDemuxer, mediatest.ReadFile(t, path))
	first := map[int]float64{}
	for _, s := range slices.Backward(samples) {
		first[s.Track] = float64(s.Time) / float64(tracks[s.Track].Codec.ClockRate)
	}
	probed := map[int]float64{}
	for _, p := range slices.Backward(mediatest.Probe(t, path).Packets) {
		probed[p.Stream] = mediatest.Number(t, p.Time)
	}
	got, want := first[0]-first[1], probed[0]-probed[1]
	if want < 0.006 || math.Abs(got-want) > 0.001 {
		t.Errorf("video is %.4f s after audio, want %.4f s as in ffprobe", got, want)
	}
}

// TestAnnexB: H.264 with byte streams in its blocks is read, as it is when ffmpeg has written
// lengths and a CodecPrivate.
func TestAnnexB(t *testing.T) {
	stream := clip(t, "x.h264", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10")
	_, frames := mediatest.Demux(t, annexb.NewDemuxer, stream)
	for _, seekable := range []bool{true, false} {
		tracks, samples, err := mediatest.TryDemux(NewDemuxer, chromiumFile(frames...), seekable)
		if err != nil || len(samples) != 50 || tracks[0].Err != nil || !strings.Contains(tracks[0].Codec.SDPFmtpLine, "profile-level-id=42c0") {
			t.Fatalf("%d frames of %+v, %v", len(samples), tracks, err)
		}
		for i, s := range samples {
			if p := codec.ParseH264(s.Data); p.Key != (i%10 == 0) || p.Key && p.Width != 160 || s.Time != uint64(i)*3600 {
				t.Errorf("frame %d is %+v at %d", i, p, s.Time)
			}
		}
	}
	h264 := element(idCodecID, []byte("V_MPEG4/ISO/AVC")...)
	for want, data := range map[string][]byte{
		"H.264 is 4:4:4":                 chromiumFile(media.Sample{Data: clip(t, "x.h264", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")}),
		"no parameter sets (SPS)":        file(h264, open(idCluster), element(idSimpleBlock, []byte("\x81\x00\x00\x80\x00\x00\x01\x65\x88")...)),
		"no parameter sets (SPS) of":     file(h264, open(idCluster)),
		"no parameter sets (SPS) of H.2": file(h264, open(idCluster), element(idSimpleBlock, []byte("\x81\x00\x00\x80\x00\x00\x00\x02\x65\x88")...)),
	} {
		tracks, _, _ := mediatest.TryDemux(NewDemuxer, data, true)
		if err := tracks[0].Err; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}
