//go:build !quick

package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// TestFormats records each codec in each format that holds it, and compares the file with what was
// received.
func TestFormats(t *testing.T) {
	clips := videoClips(t)
	clips[webrtc.MimeTypeOpus] = opusClip(t)
	for mime, path := range clips {
		all := framesOf(t, path)
		for _, f := range formats() {
			if !f.holds(mime) {
				continue
			}
			t.Run(media.CodecName(mime)+f.extension, func(t *testing.T) {
				recorder, out := newRecorder(t, "out"+f.extension, Options{})
				writeAll(t, addTrack(t, recorder, mime), all...)
				closeRecorder(t, recorder)
				p := mediatest.Probe(t, out)
				if len(p.Streams) != 1 || p.Streams[0].Codec != strings.ToLower(media.CodecName(mime)) ||
					mediatest.Number(t, p.Streams[0].Packets) != float64(len(all)) {
					t.Fatalf("streams are %+v, received were %d frames", p.Streams, len(all))
				}
				if f.extension != ".h264" { // which has no times
					if d := mediatest.Number(t, p.Format.Duration); math.Abs(d-2) > 0.06 {
						t.Errorf("duration is %v s, want 2 s", d)
					}
					want := all[len(all)-1].Arrival.Sub(start()).Seconds()
					if got := mediatest.Number(t, p.Packets[len(p.Packets)-1].Time); math.Abs(got-want) > 0.002 {
						t.Errorf("the last frame is at %v s, want %v s", got, want)
					}
				}
				if media.KindOf(mime) == webrtc.RTPCodecTypeVideo {
					equalVideo(t, path, out)
				}
			})
		}
	}
}

// g711Frames returns two seconds of a tone of 440 Hz in packets of 30 ms.
func g711Frames(t *testing.T, mime string) (all []media.Frame) {
	t.Helper()
	name := "mulaw"
	if mime == webrtc.MimeTypePCMA {
		name = "alaw"
	}
	const packet = 240
	data := mediatest.FFmpeg(t, "-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=8000", "-ac", "1", "-f", name, "-")
	for i := 0; i+packet <= len(data); i += packet {
		at := time.Duration(i) * time.Second / g711Rate
		all = append(all, frameAt(mime, at, func(f *media.Frame) { f.Data = data[i : i+packet] }))
	}
	return all
}

// TestG711 records G.711 in each format for audio: as it is, or as Opus. The tone is in the file,
// for its whole length.
func TestG711(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypePCMU, webrtc.MimeTypePCMA} {
		for _, f := range formats() {
			if !f.takes(webrtc.RTPCodecTypeAudio) {
				continue
			}
			t.Run(media.CodecName(mime)+f.extension, func(t *testing.T) {
				recorder, out := newRecorder(t, "out"+f.extension, Options{})
				writeAll(t, addTrack(t, recorder, mime), g711Frames(t, mime)...)
				closeRecorder(t, recorder)
				want := "opus"
				if f.holds(mime) {
					want = map[string]string{webrtc.MimeTypePCMU: "pcm_mulaw", webrtc.MimeTypePCMA: "pcm_alaw"}[mime]
				}
				if p := mediatest.Probe(t, out); len(p.Streams) != 1 || p.Streams[0].Codec != want || mediatest.Number(t, p.Format.Duration) < 1.95 {
					t.Errorf("streams are %+v in %s s, want %s", p.Streams, p.Format.Duration, want)
				}
				hasTone(t, out, 440, 1.95)
			})
		}
	}
}

// hasTone checks that the audio of a file is a tone of this frequency in Hz for at least so many
// seconds.
func hasTone(t *testing.T, path string, frequency int, seconds float64) {
	t.Helper()
	pcm := mediatest.FFmpeg(t, "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "8000", "-f", "s16le", "-")
	if got := float64(len(pcm)/2) / 8000; got < seconds || got > seconds+0.1 {
		t.Errorf("the audio lasts %.3f s, want %.3f s", got, seconds)
	}
	crossings, last, loudest := 0, int16(0), int16(0)
	for i := 0; i+1 < len(pcm); i += 2 {
		sample := int16(binary.LittleEndian.Uint16(pcm[i:])) //nolint:gosec // two's complement
		if last < 0 && sample >= 0 {
			crossings++
		}
		last, loudest = sample, max(loudest, sample)
	}
	if got := float64(crossings) / seconds; math.Abs(got-float64(frequency)) > 0.05*float64(frequency) || loudest < 1000 {
		t.Errorf("the audio has %.0f Hz at %d, want %d Hz", got, loudest, frequency)
	}
}

// TestG711Gap records G.711 with lost packets and a packet that no frame of Opus begins with: all
// that follows the gap is at its time.
func TestG711Gap(t *testing.T) {
	all := g711Frames(t, webrtc.MimeTypePCMU)
	all = slices.Delete(all, 11, 31) // 0.33 s to 0.93 s
	for _, name := range []string{"a.webm", "a.wav", "a.ogg"} {
		recorder, out := newRecorder(t, name, Options{})
		writeAll(t, addTrack(t, recorder, webrtc.MimeTypePCMU), all...)
		closeRecorder(t, recorder)
		pcm := mediatest.FFmpeg(t, "-i", out, "-ac", "1", "-ar", "8000", "-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-")
		energy := func(from, to float64) (sum float64) {
			for i := int(from * 8000); i < int(to*8000) && 2*i+1 < len(pcm); i++ {
				sample := float64(int16(binary.LittleEndian.Uint16(pcm[2*i:]))) //nolint:gosec // two's complement
				sum += sample * sample / (to - from) / 8000
			}
			return sum
		}
		if before, gap, after := energy(0.1, 0.3), energy(0.6, 0.9), energy(0.96, 1.9); before < 1e6 || gap > before/100 || after < before/2 {
			t.Errorf("%s: energy is %.0f, in the gap %.0f, then %.0f", name, before, gap, after)
		}
	}
}

// TestCodecs lists what can be recorded, for the offer.
func TestCodecs(t *testing.T) {
	const opus, pcmu, pcma = webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA
	for path, want := range map[string][2][]string{
		"a.webm": {{opus, pcmu, pcma}, {webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}},
		"A.MP4":  {{opus, pcmu, pcma}, {webrtc.MimeTypeH264, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}},
		"a.mkv":  {{opus, pcmu, pcma}, {webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264}},
		"a.ogg":  {{opus, pcmu, pcma}, nil},
		"a.wav":  {{pcmu, pcma}, nil},
		"a.h264": {nil, {webrtc.MimeTypeH264}},
		"a.avi":  {},
	} {
		if audio, video := Codecs(path); !slices.Equal(audio, want[0]) || !slices.Equal(video, want[1]) {
			t.Errorf("%s: codecs are %v, %v", path, audio, video)
		}
	}
}

// TestRefuses checks the errors for what cannot be recorded.
func TestRefuses(t *testing.T) {
	folder := t.TempDir()
	var spec *media.SpecError
	if _, err := New(filepath.Join(folder, "call.avi"), Options{}); !errors.As(err, &spec) ||
		!strings.Contains(err.Error(), "ends with .webm, .mkv, .mp4, .ivf, .ogg, .wav or .h264") {
		t.Errorf("error is %v", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "x.ogg"), 0o755); err != nil { //nolint:gosec // as any folder
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x.ogg": "is a directory", "none/x.ogg": "no such file or directory", "x.ogg/../../none/y.webm": "no such file"} {
		var file *media.FileError
		path := folder + "/" + name
		if _, err := New(path, Options{}); !errors.As(err, &file) || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	recorder, path := newRecorder(t, "call.ogg", Options{})
	if recorder.Takes(webrtc.RTPCodecTypeVideo) || !recorder.Takes(webrtc.RTPCodecTypeAudio) {
		t.Error("an .ogg file holds audio only")
	}
	_, err := recorder.AddTrack("video/vp8", nil)
	if want := path + ": .ogg does not hold video VP8: record to .webm, .mkv or .ivf"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	addTrack(t, recorder, webrtc.MimeTypeOpus)
	if err := recorder.Close(); !errors.Is(err, ErrEmpty) {
		t.Errorf("Close returns %v", err)
	}
	if err := recorder.Close(); err != nil {
		t.Errorf("the second Close returns %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty recording left a file: %v", err)
	}
}

// TestUnsupportedCodec ends a track that changes to a codec which the format does not hold. Close
// says that it is missing.
func TestUnsupportedCodec(t *testing.T) {
	recorder, path := newRecorder(t, "a.webm", Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeVP8)
	want := path + ": .webm does not hold video H264: record to .mkv, .mp4 or .h264"
	if err := track.WriteFrame(frameAt(webrtc.MimeTypeH264, 0)); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	err := recorder.Close()
	if err == nil || !strings.Contains(err.Error(), "not recorded although received: video H264 (.webm does not hold") {
		t.Errorf("Close returns %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty recording left a file: %v", err)
	}
}

// TestParameterSets records H.264 whose parameter sets arrive as a frame of their own: the file
// decodes, and has no frame without video.
func TestParameterSets(t *testing.T) {
	all := framesOf(t, videoClips(t)[webrtc.MimeTypeH264])
	sets := bytes.Clone(all[0].Data[:bytes.Index(all[0].Data, []byte{0, 0, 1, 0x65})])
	for _, name := range []string{"a.mp4", "a.mkv", "a.h264"} {
		recorder, path := newRecorder(t, name, Options{})
		track := addTrack(t, recorder, webrtc.MimeTypeH264)
		for i, f := range all {
			if f.Key && i > 0 {
				early := f
				early.Data, early.Key, early.Timestamp, early.Width = sets, false, f.Timestamp-900, 0
				writeAll(t, track, early)
			}
			writeAll(t, track, f)
		}
		closeRecorder(t, recorder)
		if got := contents(t, path); got != "h264:50" {
			t.Errorf("%s has %s, want h264:50", name, got)
		}
		equalVideo(t, videoClips(t)[webrtc.MimeTypeH264], path)
	}
}
