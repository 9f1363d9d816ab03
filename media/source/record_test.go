package source

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"parley/media/receiver"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	record "parley/media/recorder"

	"github.com/pion/webrtc/v4"
)

func newRecorder(t *testing.T, name string, o record.Options) (*record.Recorder, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	r, err := record.New(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, path
}

func recordTrackOf(t *testing.T, r *record.Recorder, mime string) media.FrameSink {
	t.Helper()
	sink, err := r.Track(media.KindOf(mime), mime)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func ffmpegName(mime string) string { return strings.ToLower(media.CodecName(mime)) }

// recordFormat is a container, and what it holds.
type recordFormat struct {
	extension string
	codecs    []string
}

func recordFormats() []recordFormat {
	vpx := []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}
	return []recordFormat{
		{".webm", append(vpx, webrtc.MimeTypeOpus)},
		{".mp4", []string{webrtc.MimeTypeOpus, webrtc.MimeTypeH264, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}},
		{".ivf", vpx}, {".ogg", []string{webrtc.MimeTypeOpus}}, {".h264", []string{webrtc.MimeTypeH264}},
	}
}

// TestRecordFormats records each codec into each container that holds it, and compares with what was sent.
func TestRecordFormats(t *testing.T) {
	clips := videoClips(t)
	clips[webrtc.MimeTypeOpus] = clip(t, "opus.ogg", "-c:a", "libopus")
	for mime, path := range clips {
		for _, f := range recordFormats() {
			if !slices.Contains(f.codecs, mime) {
				continue
			}
			t.Run(media.CodecName(mime)+f.extension, func(t *testing.T) {
				file, all := frames(t, path, VideoOptions{})
				recorder, out := newRecorder(t, "out"+f.extension, record.Options{})
				sink := recordTrackOf(t, recorder, mime)
				_, stats := through(t, mime, receiver.Options{Sinks: []media.FrameSink{sink}}, script(t, file, all))
				if err := recorder.Close(); err != nil {
					t.Fatal(err)
				}
				p := probe(t, out)
				if len(p.Streams) != 1 || p.Streams[0].Codec != ffmpegName(mime) ||
					number(t, p.Streams[0].Packets) != float64(len(all)) || int(stats.Frames) != len(all) {
					t.Fatalf("streams are %+v, received were %d frames of %d", p.Streams, stats.Frames, len(all))
				}
				if f.extension != ".h264" { // which has no times
					if d := number(t, p.Format.Duration); math.Abs(d-2) > 0.06 {
						t.Errorf("duration is %v", d)
					}
					last := p.Packets[len(p.Packets)-1]
					at := media.TicksToDuration(int64(all[len(all)-1].at), file.Capability().ClockRate).Seconds()
					if math.Abs(number(t, last.Time)-at) > 0.002 {
						t.Errorf("the last frame is at %s, sent was %.3f", last.Time, at)
					}
				}
				samePictures(t, path, out, media.KindOf(mime))
			})
		}
	}
}

// samePictures compares what two files decode to. Sound may differ at its start, where an encoder's warm-up is cut off.
func samePictures(t *testing.T, a, b string, kind webrtc.RTPCodecType) {
	t.Helper()
	if kind == webrtc.RTPCodecTypeAudio {
		pcm := ffmpeg(t, "-i", b, "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
		if len(pcm) < 2*48000*19/10 {
			t.Errorf("decodes to %d bytes", len(pcm))
		}
		return
	}
	hash := func(path string) []byte {
		return ffmpeg(t, "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	}
	if x, y := hash(a), hash(b); !bytes.Equal(x, y) {
		t.Errorf("pictures differ: %d and %d bytes", len(x), len(y))
	}
}

// TestRecordLoss: a recording of a bad connection decodes without an error, and each picture in it is one that was sent.
func TestRecordLoss(t *testing.T) {
	for mime, path := range videoClips(t) {
		file, all := frames(t, path, VideoOptions{})
		original := make(map[string]bool)
		for _, img := range pictures(t, path, 160, 120) {
			original[string(img.Pix)] = true
		}
		extension := ".webm"
		if mime == webrtc.MimeTypeH264 {
			extension = ".h264"
		}
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(media.CodecName(mime), seed), func(t *testing.T) {
				recorder, out := newRecorder(t, "out"+extension, record.Options{})
				lines, _, _ := shuffle(script(t, file, all), seed, 0.1, 0.04, 0.05)
				through(t, mime, receiver.Options{Sinks: []media.FrameSink{recordTrackOf(t, recorder, mime)}}, lines)
				if err := recorder.Close(); err != nil {
					t.Fatal(err)
				}
				for i, img := range pictures(t, out, 160, 120) {
					if !original[string(img.Pix)] {
						t.Errorf("picture %d was never sent", i)
					}
				}
			})
		}
	}
}

func TestRecorderRefuses(t *testing.T) {
	folder := t.TempDir()
	var spec *media.SpecError
	if _, err := record.New(filepath.Join(folder, "call.avi"), record.Options{}); !errors.As(err, &spec) ||
		!strings.Contains(err.Error(), ".webm, .mp4, .ivf, .ogg or .h264") {
		t.Errorf("error is %v", err)
	}
	var file *media.FileError
	for _, path := range []string{filepath.Join(folder, "no", "call.webm"), folder + "/x.ogg"} {
		if strings.HasSuffix(path, ".ogg") {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := record.New(path, record.Options{}); !errors.As(err, &file) || strings.Count(err.Error(), folder) != 1 {
			t.Errorf("error is %v", err)
		}
	}
	recorder, path := newRecorder(t, "call.ogg", record.Options{})
	if recorder.Takes(webrtc.RTPCodecTypeVideo) || !recorder.Takes(webrtc.RTPCodecTypeAudio) {
		t.Error("an .ogg file takes audio only")
	}
	_, err := recorder.Track(webrtc.RTPCodecTypeVideo, "video/vp8")
	if want := path + ": video in VP8 does not fit into .ogg; record to .webm or .ivf"; err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
	if err := recorder.Close(); !errors.Is(err, record.ErrNothingRecorded) {
		t.Errorf("close: %v", err)
	}
	if err := recorder.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestRecordKilled: a recording that is never finished plays.
func TestRecordKilled(t *testing.T) {
	file, all := frames(t, videoClips(t)[webrtc.MimeTypeVP8], VideoOptions{})
	for _, name := range []string{"out.webm", "out.ivf"} {
		recorder, out := newRecorder(t, name, record.Options{})
		through(t, webrtc.MimeTypeVP8, receiver.Options{Sinks: []media.FrameSink{recordTrackOf(t, recorder, webrtc.MimeTypeVP8)}}, script(t, file, all))
		// Not closed, and cut off in the middle of a frame.
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(cut, data[:len(data)-100], 0o600); err != nil {
			t.Fatal(err)
		}
		raw := ffmpegTolerant(t, "-i", cut, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
		if n := len(raw) / (160 * 120); n < 48 {
			t.Errorf("%s plays %d pictures", name, n)
		}
	}
}

// TestRecordDiskFull: the error is clear, and Close returns the same.
func TestRecordDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal("this test needs /dev/full")
	}
	for _, f := range recordFormats() {
		link := filepath.Join(t.TempDir(), "out"+f.extension)
		if err := os.Symlink("/dev/full", link); err != nil {
			t.Fatal(err)
		}
		recorder, err := record.New(link, record.Options{Wait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		mime := f.codecs[len(f.codecs)-1]
		kind := media.KindOf(mime)
		sink := recordTrackOf(t, recorder, mime)
		var failed error
		for i := range 500 {
			frame := media.Frame{Kind: kind, Codec: mime, Data: []byte{0xF8, 1, 2}, ClockRate: 48000, Timestamp: uint32(i * 960),
				Arrival: time.Unix(0, int64(i)*int64(opusFrame)), Key: true, Width: 16, Height: 16}
			if failed = sink.WriteFrame(frame); failed != nil {
				break
			}
		}
		var file *media.FileError
		if !errors.As(failed, &file) || !strings.Contains(failed.Error(), "no space left") {
			t.Errorf("%s: error is %v", f.extension, failed)
		}
		if err := recorder.Close(); err == nil || err.Error() != failed.Error() {
			t.Errorf("%s: close returns %v", f.extension, err)
		}
	}
}

// TestOggGap: what follows lost packets is heard at its time.
func TestOggGap(t *testing.T) {
	file, all := frames(t, clip(t, "opus.ogg", "-c:a", "libopus"), VideoOptions{})
	lines := script(t, file, all)
	lines = append(lines[:30:30], lines[70:]...)
	recorder, out := newRecorder(t, "a.ogg", record.Options{})
	through(t, webrtc.MimeTypeOpus, receiver.Options{Sinks: []media.FrameSink{recordTrackOf(t, recorder, webrtc.MimeTypeOpus)}}, lines)
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	p := probe(t, out)
	if d := number(t, p.Format.Duration); math.Abs(d-float64(len(all))*0.02) > 0.001 || len(p.Packets) != len(all) {
		t.Errorf("%d packets in %v s", len(p.Packets), d)
	}
	if at := number(t, p.Packets[70].Time); math.Abs(at-1.4) > 0.001 {
		t.Errorf("the packet after the gap is at %v s", at)
	}
	pcm := ffmpeg(t, "-i", out, "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	if d := float64(len(pcm)/2)/media.OpusClockRate - float64(len(all))*0.02; math.Abs(d) > 0.02 {
		t.Errorf("sound is longer by %v s", d)
	}
}

// TestH264Sets: each key frame in the file has its parameter sets, also if they were sent once.
func TestH264Sets(t *testing.T) {
	recorder, path := newRecorder(t, "a.h264", record.Options{})
	sink := recordTrackOf(t, recorder, webrtc.MimeTypeH264)
	sets := "\x00\x00\x00\x01\x67abc\x00\x00\x00\x01\x68d\x00\x00\x00\x01\x68e"
	key, other := "\x00\x00\x00\x01\x65\x88", "\x00\x00\x00\x01\x41\x9a"
	for _, data := range []string{other, sets + key, other, key} {
		f := frameAt(webrtc.MimeTypeH264, 0, func(f *media.Frame) { f.Data, f.Key = []byte(data), strings.Contains(data, key) })
		writeAll(t, sink, f)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != sets+key+other+sets+key {
		t.Errorf("the file is %q, %v", got, err)
	}
}

// TestAV1Config: the private data of the track is what ffmpeg makes of the same stream.
func TestAV1Config(t *testing.T) {
	path := videoClips(t)[webrtc.MimeTypeAV1]
	theirs := filepath.Join(t.TempDir(), "theirs.webm")
	ffmpeg(t, "-i", path, "-c", "copy", theirs)
	_, all := frames(t, path, VideoOptions{})
	want := parse(t, theirs).Segment.Tracks.TrackEntry[0].CodecPrivate
	if got := codec.AV1DecoderConfig(all[0].data); len(got) < 10 || !bytes.Equal(got, want) {
		t.Errorf("configuration is % x, ffmpeg says % x", got, want)
	}
}
