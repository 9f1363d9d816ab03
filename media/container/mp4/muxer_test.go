//go:build !quick

package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// output is a file in memory.
type output struct {
	bytes.Buffer
	pipe bool
}

func (o *output) Size() int64    { return int64(o.Len()) }
func (o *output) Seekable() bool { return !o.pipe }

func (o *output) Patch(offset int64, data []byte) error {
	if !o.pipe {
		if offset+int64(len(data)) > o.Size() {
			return fmt.Errorf("patch of %d bytes at %d of %d", len(data), offset, o.Len())
		}
		copy(o.Bytes()[offset:], data)
	}
	return nil
}

// recording is what a muxer gets: tracks, and the frames of each.
type recording struct {
	tracks []media.OutputTrack
	frames []timedFrame
}

type timedFrame struct {
	track int
	frame media.Frame
	at    time.Duration
}

// add adds the tracks of an MP4 file, all of whose frames come later by delay.
func (r *recording) add(t *testing.T, data []byte, delay time.Duration) {
	t.Helper()
	tracks, samples := demux(t, data)
	for i, track := range tracks {
		index := len(r.tracks)
		for n, s := range samples[i] {
			f := media.Frame{Kind: media.KindOf(track.Codec.MimeType), Codec: track.Codec.MimeType, Data: s.Data, Key: true}
			if f.Kind == webrtc.RTPCodecTypeVideo {
				h := codec.ParseFrame(f.Codec, f.Data)
				f.Key, f.Width, f.Height = h.Key, h.Width, h.Height
			}
			if n == 0 {
				r.tracks = append(r.tracks, media.OutputTrack{MIME: f.Codec, First: f})
			}
			r.frames = append(r.frames, timedFrame{index, f, at(track, s) + delay})
		}
	}
}

// write writes the recording by the muxer. Without finish it stops after the last frame.
func (r *recording) write(t *testing.T, out *output, finish bool) {
	t.Helper()
	slices.SortStableFunc(r.frames, func(a, b timedFrame) int { return int(a.at - b.at) })
	m, err := NewMuxer(out, r.tracks)
	if err != nil {
		t.Fatal(err)
	}
	var end time.Duration
	for _, f := range r.frames {
		if err := m.WriteFrame(f.track, f.frame, f.at); err != nil {
			t.Fatal(err)
		}
		end = f.at + 20*time.Millisecond
	}
	if finish {
		if err := m.Finish(end); err != nil {
			t.Fatal(err)
		}
	}
}

// probeStream checks the number of packets and frames of a stream of a file.
func probeStream(t *testing.T, p mediatest.Probed, index int, codecName string, packets int) {
	t.Helper()
	s := p.Streams[index]
	if s.Codec != codecName || mediatest.Number(t, s.Packets) != float64(packets) || mediatest.Number(t, s.Frames) != float64(packets) {
		t.Errorf("stream %d has %s packets and %s frames of %s, want %d of %s", index, s.Packets, s.Frames, s.Codec, packets, codecName)
	}
}

// videoOptions returns ffmpeg's options for a codec in real time with a key frame every 10 frames,
// by name of the codec.
func videoOptions() map[string][]string {
	return map[string][]string{
		"h264": {"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"},
		"vp9":  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"},
		"av1":  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10"},
	}
}

// TestMuxer writes video of each codec with Opus, to a file and to a pipe: ffmpeg reads and decodes
// all of it, and so does the demuxer, with the same data at the same times.
func TestMuxer(t *testing.T) {
	for name, options := range videoOptions() {
		source := convert(t, "a.mp4", slices.Concat([]string{"-f", "lavfi", "-i", videoInput, "-f", "lavfi", "-i", audioInput, "-pix_fmt", "yuv420p"}, options,
			[]string{"-c:a", "libopus"})...)
		r := &recording{}
		r.add(t, source, 0)
		for _, pipe := range []bool{false, true} {
			out := &output{pipe: pipe}
			r.write(t, out, true)
			p := mediatest.Probe(t, mediatest.WriteFile(t, "a.mp4", out.Bytes()))
			probeStream(t, p, 0, name, 100)
			probeStream(t, p, 1, "opus", 201)
			if d := mediatest.Number(t, p.Format.Duration); math.Abs(d-4.02) > 0.03 {
				t.Errorf("%s, pipe %v: duration is %v s", name, pipe, d)
			}
			sameSamples(t, name, out.Bytes(), source, time.Millisecond)
			if mehd := bytes.Contains(out.Bytes(), []byte("mehd")); mehd == pipe {
				t.Errorf("pipe %v: the file has a duration: %v", pipe, mehd)
			}
		}
	}
}

// TestMuxerUnfinished cuts a file that was not finished: all but the last seconds play.
func TestMuxerUnfinished(t *testing.T) {
	r, out := &recording{}, &output{}
	r.add(t, load(t, film(t)), 0)
	r.write(t, out, false)
	for _, lost := range []int{0, 100} {
		path := mediatest.WriteFile(t, "cut.mp4", out.Bytes()[:out.Len()-lost])
		raw := mediatest.FFmpegTolerant(t, "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
		if n := len(raw) / (160 * 120); n < 49 {
			t.Errorf("without the last %d bytes ffmpeg decodes %d frames", lost, n)
		}
		if _, samples, err := mediatest.TryDemux(NewDemuxer, out.Bytes()[:out.Len()-lost], true); len(samples) < 148 {
			t.Errorf("without the last %d bytes %d samples: %v", lost, len(samples), err)
		}
	}
}

// TestMuxerOffset keeps the offset between tracks of which one begins later.
func TestMuxerOffset(t *testing.T) {
	r, out := &recording{}, &output{}
	r.add(t, load(t, film(t, "-vn")), 0)
	r.add(t, load(t, film(t, "-an")), 700*time.Millisecond)
	r.write(t, out, true)
	tracks, samples := demux(t, out.Bytes())
	if d := at(tracks[1], samples[1][0]) - at(tracks[0], samples[0][0]); d != 700*time.Millisecond {
		t.Errorf("the offset is %v", d)
	}
	first := map[int]float64{}
	for _, p := range mediatest.Probe(t, mediatest.WriteFile(t, "a.mp4", out.Bytes())).Packets {
		if _, ok := first[p.Stream]; !ok {
			first[p.Stream] = mediatest.Number(t, p.Time)
		}
	}
	if d := first[1] - first[0]; math.Abs(d-0.7) > 0.001 {
		t.Errorf("ffprobe reads an offset of %v s", d)
	}
}

// TestMuxerRotation writes the rotation of the first frame: ffmpeg displays the video upright,
// whatever comes later.
func TestMuxerRotation(t *testing.T) {
	upright := mediatest.FFmpeg(t, "-i", film(t, "-an"), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	for rotation, back := range map[int]string{0: "null", 90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"} {
		r, out := &recording{}, &output{}
		r.add(t, load(t, film(t, "-an")), 0)
		r.tracks[0].First.Rotation = rotation
		for i := range r.frames {
			r.frames[i].frame.Rotation = rotation
			if i > 50 {
				r.frames[i].frame.Rotation = (rotation + 90) % 360
			}
		}
		r.write(t, out, true)
		path := mediatest.WriteFile(t, "r.mp4", out.Bytes())
		if got := (360 - probeRotation(t, path)) % 360; got != rotation {
			t.Errorf("ffprobe reads a rotation of %d, want %d", got, rotation)
		}
		if got := mediatest.FFmpeg(t, "-i", path, "-frames:v", "1", "-vf", back, "-f", "rawvideo", "-pix_fmt", "gray", "-"); !bytes.Equal(got, upright) {
			t.Errorf("ffmpeg does not display the video rotated by %d degrees", rotation)
		}
		if tracks, _ := demux(t, out.Bytes()); tracks[0].Rotation != rotation {
			t.Errorf("the demuxer reads a rotation of %d, want %d", tracks[0].Rotation, rotation)
		}
	}
}

// TestMuxerVideoTracks writes two video tracks of different codecs, of which the second begins
// later and lasts longer.
func TestMuxerVideoTracks(t *testing.T) {
	r, out := &recording{}, &output{}
	first, second := load(t, mediatest.Clip(t, "a.mp4", videoOptions()["h264"]...)), load(t, mediatest.Clip(t, "b.mp4", videoOptions()["vp9"]...))
	r.add(t, first, 0)
	r.add(t, load(t, film(t, "-vn")), 0)
	r.add(t, second, 1500*time.Millisecond)
	r.write(t, out, true)
	p := mediatest.Probe(t, mediatest.WriteFile(t, "a.mp4", out.Bytes()))
	for i, name := range []string{"h264", "opus", "vp9"} {
		probeStream(t, p, i, name, []int{50, 201, 50}[i])
	}
	tracks, samples := demux(t, out.Bytes())
	if start := at(tracks[2], samples[2][0]); start != 1500*time.Millisecond {
		t.Errorf("the second video starts at %v", start)
	}
}

// TestMuxerSizes writes frames that become larger and smaller again: each size has a sample
// description, which the fragments name. A pipe keeps the first description.
func TestMuxerSizes(t *testing.T) {
	for name, options := range videoOptions() {
		small := load(t, mediatest.Clip(t, "s.mp4", options...))
		large := load(t, mediatest.Clip(t, "l.mp4", append([]string{"-s", "320x240"}, options...)...))
		for _, pipe := range []bool{false, true} {
			r, out := &recording{}, &output{pipe: pipe}
			for i, data := range [][]byte{small, large, small} {
				r.add(t, data, 2*time.Duration(i)*time.Second)
			}
			r.tracks = r.tracks[:1]
			for i := range r.frames {
				r.frames[i].track = 0
			}
			r.write(t, out, true)
			path := mediatest.WriteFile(t, "a.mp4", out.Bytes())
			want := slices.Concat(slices.Repeat([]string{"160"}, 50), slices.Repeat([]string{"320"}, 50), slices.Repeat([]string{"160"}, 50))
			if got := decodedWidths(t, path); !slices.Equal(got, want) {
				t.Errorf("%s, pipe %v: %d frames have widths of %q", name, pipe, len(got), slices.Compact(got))
			}
			entries, named := descriptions(out.Bytes())
			if want := []uint32{1, 2, 1}; !pipe && (entries != 2 || !slices.Equal(slices.Compact(named), want)) || pipe && entries != 1 {
				t.Errorf("%s, pipe %v: %d sample descriptions, fragments name %v", name, pipe, entries, named)
			}
			tracks, samples := demux(t, out.Bytes())
			if len(samples[0]) != 150 || tracks[0].Err != nil {
				t.Errorf("%s, pipe %v: %d samples, %v", name, pipe, len(samples[0]), tracks[0].Err)
			}
		}
	}
}

// decodedWidths returns the widths of all frames of a file, as ffprobe decodes them.
func decodedWidths(t *testing.T, path string) []string {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", path)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, &stderr)
	}
	return strings.Fields(strings.ReplaceAll(string(out), ",", ""))
}

// descriptions returns the number of sample descriptions of the first track, and the index that
// each fragment names.
func descriptions(data []byte) (entries uint32, named []uint32) {
	r := boxReader{data: find(data, "moov", "trak", "mdia", "minf", "stbl", "stsd")}
	r.full()
	entries = r.u32()
	for kind, content := range boxes(data) {
		if kind == "moof" {
			tfhd := boxReader{data: find(content, "traf", "tfhd")}
			tfhd.take(8)
			named = append(named, tfhd.u32())
		}
	}
	return entries, named
}

// TestMuxerManySizes writes more frame sizes than there is space for: the file goes on with the
// description before.
func TestMuxerManySizes(t *testing.T) {
	r, out := &recording{}, &output{}
	for i := range 8 {
		r.add(t, load(t, mediatest.Clip(t, "s.mp4", videoOptions()["vp9"]...)), 2*time.Duration(i)*time.Second)
	}
	r.tracks = r.tracks[:1]
	for i := range r.frames {
		if r.frames[i].track = 0; r.frames[i].frame.Key {
			r.frames[i].frame.Width += i
		}
	}
	r.write(t, out, true)
	entries, _ := descriptions(out.Bytes())
	p := mediatest.Probe(t, mediatest.WriteFile(t, "a.mp4", out.Bytes()))
	probeStream(t, p, 0, "vp9", 400)
	if entries < 10 || entries > 24 {
		t.Errorf("%d sample descriptions", entries)
	}
}

// TestDecoderConfig compares the avcC box with that of ffmpeg, whose profile says which fields it
// has.
func TestDecoderConfig(t *testing.T) {
	for _, profile := range []string{"baseline", "main", "high"} {
		source := load(t, mediatest.Clip(t, "p.mp4", "-c:v", "libx264", "-bf", "0", "-profile:v", profile))
		r, out := &recording{}, &output{}
		r.add(t, source, 0)
		r.write(t, out, true)
		avcC := func(data []byte) []byte {
			i := bytes.Index(data, []byte("avcC"))
			return data[i+4 : i-4+int(binary.BigEndian.Uint32(data[i-4:]))]
		}
		if got, want := avcC(out.Bytes()), avcC(source); !bytes.Equal(got, want) {
			t.Errorf("%s: avcC is % x, ffmpeg writes % x", profile, got, want)
		}
	}
}

// TestMuxerRejects refuses a codec that the file does not hold, and H.264 without parameter sets.
func TestMuxerRejects(t *testing.T) {
	for want, track := range map[string]media.OutputTrack{
		"VP8 cannot be written":  {MIME: webrtc.MimeTypeVP8},
		"PCMU cannot be written": {MIME: webrtc.MimeTypePCMU},
		"has no parameter sets":  {MIME: webrtc.MimeTypeH264, First: media.Frame{Data: []byte("\x00\x00\x00\x01\x65\x88"), Key: true}},
	} {
		out := &output{}
		if _, err := NewMuxer(out, []media.OutputTrack{track}); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("error is %v, want %s; %d bytes are written", err, want, out.Len())
		}
	}
}
