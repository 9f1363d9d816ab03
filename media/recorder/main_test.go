package recorder

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/mp4"
	"parley/media/container/ogg"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

const opusFrame = 20 * time.Millisecond

// start is the arrival of the first frame in most tests.
func start() time.Time { return time.Unix(1_000_000_000, 0) }

// newRecorder returns a recorder for a file in a folder of the test.
func newRecorder(t *testing.T, name string, o Options) (*Recorder, string) {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(t.TempDir(), name)
	}
	r, err := New(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, path
}

func addTrack(t *testing.T, r *Recorder, mime string) *Track {
	t.Helper()
	track, err := r.AddTrack(mime, nil)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

func writeAll(t *testing.T, track *Track, frames ...media.Frame) {
	t.Helper()
	for _, f := range frames {
		if err := track.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
}

func closeRecorder(t *testing.T, r *Recorder) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// frameAt returns a frame whose arrival and timestamp agree.
func frameAt(mime string, at time.Duration, change ...func(*media.Frame)) media.Frame {
	clock := uint32(media.VideoClockRate)
	switch {
	case isG711(mime):
		clock = g711Rate
	case media.KindOf(mime) == webrtc.RTPCodecTypeAudio:
		clock = media.OpusClockRate
	}
	f := media.Frame{
		Kind: media.KindOf(mime), Codec: mime, SSRC: 1, Data: []byte{0xF8, 1, 2, 3}, ClockRate: clock, Key: true, Width: 320, Height: 240,
		Timestamp: uint32(media.DurationToTicks(at, clock)), Arrival: start().Add(at), //nolint:gosec // wraps
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

// framesOf returns the frames of files, one file after the other, as a receiver hands them on.
func framesOf(t *testing.T, paths ...string) (all []media.Frame) {
	t.Helper()
	begin := start()
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		open := map[string]func(media.Input) (media.Demuxer, error){
			".ivf": ivf.NewDemuxer, ".ogg": ogg.NewDemuxer, ".mp4": mp4.NewDemuxer, ".h264": annexb.NewDemuxer,
		}[filepath.Ext(path)]
		demuxer, err := open(media.Input{Reader: bufio.NewReader(bytes.NewReader(data)), ReaderAt: bytes.NewReader(data), Size: int64(len(data)),
			FrameRate: 25, Warn: func(string) {}})
		if err != nil {
			t.Fatal(err)
		}
		track := demuxer.Tracks()[0].Codec
		if err := demuxer.Select(0); err != nil {
			t.Fatal(err)
		}
		length := time.Duration(0)
		for {
			s, err := demuxer.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			at := media.TicksToDuration(int64(s.Time), track.ClockRate)                                                                 //nolint:gosec // small
			f := media.Frame{Kind: media.KindOf(track.MimeType), Codec: track.MimeType, SSRC: uint32(i) + 1, Data: bytes.Clone(s.Data), //nolint:gosec // few
				Timestamp: uint32(s.Time), ClockRate: track.ClockRate, Arrival: begin.Add(at), Key: true} //nolint:gosec // small
			if f.Kind == webrtc.RTPCodecTypeVideo {
				header := codec.ParseFrame(f.Codec, f.Data)
				f.Key, f.Width, f.Height = header.Key, header.Width, header.Height
			}
			all = append(all, f)
			length = at + 40*time.Millisecond
		}
		begin = begin.Add(length)
	}
	return all
}

// videoClips returns a clip of each video codec with a key frame every 10 frames.
func videoClips(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		webrtc.MimeTypeVP8:  mediatest.Clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeVP9:  mediatest.Clip(t, "vp9.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"),
		webrtc.MimeTypeAV1:  mediatest.Clip(t, "av1.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10"),
		webrtc.MimeTypeH264: mediatest.Clip(t, "h264.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"),
	}
}

func opusClip(t *testing.T) string {
	t.Helper()
	return mediatest.Clip(t, "opus.ogg", "-c:a", "libopus")
}

// recording is a track of a test with its frames.
type recording struct {
	track  *Track
	frames []media.Frame
}

// writeInOrder writes the frames of several tracks in the order of their arrivals.
func writeInOrder(t *testing.T, all ...recording) {
	t.Helper()
	type next struct {
		track *Track
		frame media.Frame
	}
	var frames []next
	for _, r := range all {
		for _, f := range r.frames {
			frames = append(frames, next{r.track, f})
		}
	}
	slices.SortStableFunc(frames, func(a, b next) int { return a.frame.Arrival.Compare(b.frame.Arrival) })
	for _, n := range frames {
		writeAll(t, n.track, n.frame)
	}
}

// shifted returns the frames, arriving later by d.
func shifted(frames []media.Frame, d time.Duration) []media.Frame {
	all := slices.Clone(frames)
	for i := range all {
		all[i].Arrival = all[i].Arrival.Add(d)
	}
	return all
}

// contents returns codec:packets of each stream of a file.
func contents(t *testing.T, path string) string {
	t.Helper()
	var all []string
	for _, s := range mediatest.Probe(t, path).Streams {
		all = append(all, s.Codec+":"+s.Packets)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// times returns the times in seconds of the packets of one stream of a file, in the order of the
// file. Stream -1 is all.
func times(t *testing.T, path string, stream int) (all []float64) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "fatal", "-show_entries", "packet=stream_index,pts_time", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		index, at, _ := strings.Cut(strings.TrimSpace(line), ",")
		if stream < 0 || index == strconv.Itoa(stream) {
			all = append(all, mediatest.Number(t, strings.TrimSuffix(at, ",")))
		}
	}
	return all
}

// equalVideo checks that two files decode to the same frames.
func equalVideo(t *testing.T, a, b string) {
	t.Helper()
	raw := func(path string) []byte {
		return mediatest.FFmpeg(t, "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	}
	if x, y := raw(a), raw(b); !bytes.Equal(x, y) {
		t.Errorf("%s and %s decode to different frames: %d and %d bytes", a, b, len(x), len(y))
	}
}
