//go:build !quick

package recorder

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/at-wat/ebml-go"
	webmcore "github.com/at-wat/ebml-go/webm"
	"github.com/pion/webrtc/v4"
)

// sizedClips returns a small and a large clip of each codec in MP4.
func sizedClips(t *testing.T) map[string][2]string {
	t.Helper()
	all := make(map[string][2]string)
	for mime, options := range map[string][]string{
		webrtc.MimeTypeH264: {"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"},
		webrtc.MimeTypeVP9:  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"},
		webrtc.MimeTypeAV1:  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10"},
	} {
		large := append([]string{"-s", "320x240"}, options...)
		all[mime] = [2]string{mediatest.Clip(t, "small.mp4", options...), mediatest.Clip(t, "large.mp4", large...)}
	}
	return all
}

// widths returns the width of each decoded frame of a file.
func widths(t *testing.T, path string) []string {
	t.Helper()
	out := ffprobe(t, "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", path)
	return strings.Fields(strings.ReplaceAll(string(out), ",", ""))
}

// sampleDescriptions returns the number of sample descriptions in an MP4 file, and the one that
// each fragment uses.
func sampleDescriptions(t *testing.T, path string) (entries int, used []uint32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries = int(binary.BigEndian.Uint32(data[bytes.Index(data, []byte("stsd"))+8:]))
	for _, tfhd := range bytes.Split(data, []byte("tfhd"))[1:] {
		used = append(used, binary.BigEndian.Uint32(tfhd[8:]))
	}
	return entries, used
}

// TestMP4Sizes records video that becomes larger and smaller again to one file. It plays, also
// before it is finished. Its header describes each size, and each fragment names its own.
func TestMP4Sizes(t *testing.T) {
	for mime, clips := range sizedClips(t) {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			recorder, path := newRecorder(t, "a.mp4", Options{})
			writeAll(t, addTrack(t, recorder, mime), framesOf(t, clips[0], clips[1], clips[0])...)
			want := slices.Concat(slices.Repeat([]string{"160"}, 50), slices.Repeat([]string{"320"}, 50), slices.Repeat([]string{"160"}, 50))
			const pending = 55 // frames of up to two fragments
			if got := widths(t, path); len(got) < 150-pending || len(got) > 150 || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("before the end %d frames have the widths %v", len(got), slices.Compact(got))
			}
			closeRecorder(t, recorder)
			if got := widths(t, path); !slices.Equal(got, want) {
				t.Errorf("%d frames have the widths %v", len(got), slices.Compact(got))
			}
			if entries, used := sampleDescriptions(t, path); entries != 2 || !slices.Equal(slices.Compact(used), []uint32{1, 2, 1}) {
				t.Errorf("%d sizes are described, fragments use %v", entries, used)
			}
		})
	}
}

// TestMP4ManySizes records more sizes than the header has room for: the file plays.
func TestMP4ManySizes(t *testing.T) {
	clips := sizedClips(t)[webrtc.MimeTypeVP9]
	all := framesOf(t, clips[0], clips[1], clips[0], clips[1], clips[0])
	for i := range all {
		if all[i].Key {
			all[i].Width += i // as if each had another size
		}
	}
	recorder, path := newRecorder(t, "a.mp4", Options{})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeVP9), all...)
	closeRecorder(t, recorder)
	entries, _ := sampleDescriptions(t, path)
	if n := len(widths(t, path)); n != len(all) || entries < 10 || entries > 24 {
		t.Errorf("the file has %d frames, want %d; %d sizes are described", n, len(all), entries)
	}
}

// TestSizeChange records video that becomes larger to one file.
func TestSizeChange(t *testing.T) {
	large := mediatest.Clip(t, "large.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-vf", "scale=320x240")
	for _, name := range []string{"a.webm", "a.ivf"} {
		recorder, path := newRecorder(t, name, Options{})
		writeAll(t, addTrack(t, recorder, webrtc.MimeTypeVP8), framesOf(t, videoClips(t)[webrtc.MimeTypeVP8], large)...)
		closeRecorder(t, recorder)
		p := mediatest.Probe(t, path)
		if mediatest.Number(t, p.Streams[0].Frames) != 100 || math.Abs(mediatest.Number(t, p.Format.Duration)-4) > 0.05 {
			t.Errorf("%s: %s frames in %s s", name, p.Streams[0].Frames, p.Format.Duration)
		}
	}
}

// parsed is a WebM file as ebml-go reads it.
type parsed struct {
	Header  webmcore.EBMLHeader `ebml:"EBML"`
	Segment webmcore.Segment    `ebml:"Segment"`
}

func parse(t *testing.T, path string) parsed {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p parsed
	if err := ebml.Unmarshal(bytes.NewReader(data), &p, ebml.WithIgnoreUnknown(true)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWebMStructure checks that sizes, index and duration are patched, and point to where they
// should.
func TestWebMStructure(t *testing.T) {
	recorder, path := newRecorder(t, "a.webm", Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeVP8)
	for n := range 100 {
		writeAll(t, track, frameAt(webrtc.MimeTypeVP8, time.Duration(n)*100*time.Millisecond, func(f *media.Frame) { f.Key = n%10 == 0 }))
	}
	closeRecorder(t, recorder)
	p := parse(t, path)
	if p.Segment.Info.Duration != 10000 || len(p.Segment.Cluster) != 10 || len(p.Segment.Cues.CuePoint) != 10 || len(times(t, path, 0)) != 100 {
		t.Errorf("duration %v, %d clusters, %d blocks", p.Segment.Info.Duration, len(p.Segment.Cluster), len(times(t, path, 0)))
	}
	data, _ := os.ReadFile(path)
	segment := bytes.Index(data, []byte{0x18, 0x53, 0x80, 0x67}) + 12
	if size := int(data[segment-2])<<8 | int(data[segment-1]); size != len(data)-segment {
		t.Errorf("the segment has %d bytes in its header, and really %d", size, len(data)-segment)
	}
	for i, cue := range p.Segment.Cues.CuePoint {
		at := segment + int(cue.CueTrackPositions[0].CueClusterPosition)                                  //nolint:gosec // small
		if !bytes.HasPrefix(data[at:], []byte{0x1F, 0x43, 0xB6, 0x75}) || cue.CueTime != uint64(i)*1000 { //nolint:gosec // small
			t.Errorf("cue %d, at %d ms, does not point to a cluster", i, cue.CueTime)
		}
	}
	for _, s := range p.Segment.SeekHead.Seek {
		if at := segment + int(s.SeekPosition); !bytes.HasPrefix(data[at:], s.SeekID) { //nolint:gosec // small
			t.Errorf("the entry for % x points to % x", s.SeekID, data[at:at+4])
		}
	}
}

// TestOggGap records audio with lost packets: what follows the gap is at its time.
func TestOggGap(t *testing.T) {
	all := framesOf(t, opusClip(t))
	kept := slices.Delete(slices.Clone(all), 30, 70)
	recorder, path := newRecorder(t, "a.ogg", Options{})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeOpus), kept...)
	closeRecorder(t, recorder)
	p := mediatest.Probe(t, path)
	if d := mediatest.Number(t, p.Format.Duration); math.Abs(d-float64(len(all))*0.02) > 0.001 || len(p.Packets) != len(all) {
		t.Errorf("%d packets in %v s", len(p.Packets), d)
	}
	if at := mediatest.Number(t, p.Packets[70].Time); math.Abs(at-1.4) > 0.001 {
		t.Errorf("the packet after the gap is at %v s", at)
	}
	pcm := mediatest.FFmpeg(t, "-i", path, "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	if d := float64(len(pcm)/2)/media.OpusClockRate - float64(len(all))*0.02; math.Abs(d) > 0.02 {
		t.Errorf("the audio is longer by %v s", d)
	}
}

// TestH264Sets writes parameter sets before each key frame, also if they were received once.
func TestH264Sets(t *testing.T) {
	recorder, path := newRecorder(t, "a.h264", Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeH264)
	sets := "\x00\x00\x00\x01\x67abc\x00\x00\x00\x01\x68d\x00\x00\x00\x01\x68e"
	key, other := "\x00\x00\x00\x01\x65\x88", "\x00\x00\x00\x01\x41\x9a"
	for _, data := range []string{other, sets + key, other, key} {
		writeAll(t, track, frameAt(webrtc.MimeTypeH264, 0, func(f *media.Frame) { f.Data, f.Key = []byte(data), strings.Contains(data, key) }))
	}
	closeRecorder(t, recorder)
	if got, err := os.ReadFile(path); err != nil || string(got) != sets+key+other+sets+key {
		t.Errorf("the file is %q, %v", got, err)
	}
}

// TestAV1Config compares the private data of the track with that of ffmpeg for the same stream.
func TestAV1Config(t *testing.T) {
	path := videoClips(t)[webrtc.MimeTypeAV1]
	theirs := filepath.Join(t.TempDir(), "theirs.webm")
	mediatest.FFmpeg(t, "-i", path, "-c", "copy", theirs)
	want := parse(t, theirs).Segment.Tracks.TrackEntry[0].CodecPrivate
	if got := codec.AV1DecoderConfig(framesOf(t, path)[0].Data); len(got) < 10 || !bytes.Equal(got, want) {
		t.Errorf("configuration is % x, ffmpeg writes % x", got, want)
	}
}
