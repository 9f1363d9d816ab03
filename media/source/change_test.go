package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"parley/media/receiver"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	record "parley/media/recorder"

	"github.com/pion/webrtc/v4"
)

// filmed are the frames of files, one file after the other, as a receiver hands them on.
func filmed(t *testing.T, paths ...string) (all []media.Frame) {
	t.Helper()
	start := time.Unix(1e9, 0)
	for i, path := range paths {
		file, samples := frames(t, path, VideoOptions{FrameRate: 25})
		some, _ := through(t, file.Codec(), receiver.Options{}, script(t, file, samples))
		first := some[0].Arrival
		for _, f := range some {
			f.Arrival, f.SSRC = start.Add(f.Arrival.Sub(first)), uint32(i) //nolint:gosec // few
			all = append(all, f)
		}
		start = all[len(all)-1].Arrival.Add(40 * time.Millisecond)
	}
	return all
}

// sizedClips are a small and a large clip of each codec.
func sizedClips(t *testing.T) map[string][2]string {
	t.Helper()
	all := make(map[string][2]string)
	for mime, options := range map[string][]string{
		webrtc.MimeTypeH264: {"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"},
		webrtc.MimeTypeVP9:  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"},
		webrtc.MimeTypeAV1:  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10"},
	} {
		large := append([]string{"-s", "320x240"}, options...)
		all[mime] = [2]string{clip(t, "small.mp4", options...), clip(t, "large.mp4", large...)}
	}
	return all
}

// TestMP4Sizes: a picture that becomes larger and smaller again is in one file, which plays whole, also if it was never
// finished; each size is described in its header, and each fragment names its own.
func TestMP4Sizes(t *testing.T) {
	for mime, clips := range sizedClips(t) {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			recorder, path := newRecorder(t, "a.mp4", record.Options{})
			sink := recordTrackOf(t, recorder, mime)
			all := filmed(t, clips[0], clips[1], clips[0])
			writeAll(t, sink, all...)
			for _, finished := range []bool{false, true} {
				if finished {
					if err := recorder.Close(); err != nil {
						t.Fatal(err)
					}
				}
				lost := 0
				if !finished {
					lost = 55 // up to two fragments are still in memory
				}
				widths := decodedWidths(t, path)
				n := len(widths)
				want := slices.Concat(slices.Repeat([]string{"160"}, 50), slices.Repeat([]string{"320"}, 50), slices.Repeat([]string{"160"}, 50))
				if n < 150-lost || n > 150 || !slices.Equal(widths, want[:n]) {
					t.Errorf("finished %v: %d pictures are %v wide", finished, n, slices.Compact(widths))
				}
			}
			if entries, named := described(t, path); entries != 2 || !slices.Equal(slices.Compact(named), []uint32{1, 2, 1}) {
				t.Errorf("%d sizes are described, and fragments have number %v", entries, named)
			}
		})
	}
}

// decodedWidths are the widths of all pictures of a file, decoded by ffmpeg, which must not complain.
func decodedWidths(t *testing.T, path string) []string {
	t.Helper()
	var talk bytes.Buffer
	command := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", path)
	command.Stderr = &talk
	out, err := command.Output()
	if err != nil || talk.Len() > 0 {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, &talk)
	}
	return strings.Fields(strings.ReplaceAll(string(out), ",", ""))
}

// described is how many sample descriptions an MP4 file has, and the number of the one of each fragment.
func described(t *testing.T, path string) (entries int, named []uint32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries = int(binary.BigEndian.Uint32(data[bytes.Index(data, []byte("stsd"))+8:]))
	for _, tfhd := range bytes.Split(data, []byte("tfhd"))[1:] {
		named = append(named, binary.BigEndian.Uint32(tfhd[8:]))
	}
	return entries, named
}

// TestMP4ManySizes: when there is no room left for descriptions the file goes on, and plays.
func TestMP4ManySizes(t *testing.T) {
	recorder, path := newRecorder(t, "a.mp4", record.Options{})
	sink := recordTrackOf(t, recorder, webrtc.MimeTypeVP9)
	clips := sizedClips(t)[webrtc.MimeTypeVP9]
	all := filmed(t, clips[0], clips[1], clips[0], clips[1], clips[0])
	for i, f := range all {
		if f.Key {
			f.Width += i // as if each had another size
		}
		writeAll(t, sink, f)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _ := described(t, path)
	if n := len(decodedWidths(t, path)); n != len(all) || entries < 10 || entries > 24 {
		t.Errorf("%d pictures are in the file, want %d; %d sizes are described", n, len(all), entries)
	}
}

// TestRecordCodecChanges: another codec begins another file, with a key frame, and so does the first when it comes back;
// all of them play.
func TestRecordCodecChanges(t *testing.T) {
	clips := videoClips(t)
	for name, mimes := range map[string][2]string{
		"a.webm": {webrtc.MimeTypeVP8, webrtc.MimeTypeVP9},
		"a.mp4":  {webrtc.MimeTypeH264, webrtc.MimeTypeVP9},
		"a.ivf":  {webrtc.MimeTypeVP9, webrtc.MimeTypeVP8},
	} {
		for _, replaced := range []bool{false, true} {
			part, asked, folder := 0, 0, t.TempDir()
			next := func() string { part++; return filepath.Join(folder, fmt.Sprint(part)+filepath.Ext(name)) }
			recorder, path := newRecorder(t, name, record.Options{Next: next, RequestKeyFrame: func() { asked++ }})
			first := recordTrackOf(t, recorder, mimes[0])
			all := filmed(t, clips[mimes[0]], clips[mimes[1]], clips[mimes[0]])
			writeAll(t, first, all[:50]...)
			second := first // the same track goes over, or another one takes its place
			if replaced {
				second = recordTrackOf(t, recorder, mimes[1])
				writeAll(t, second, all[51]) // no key frame
				writeAll(t, first, all[49])  // still goes on
			}
			writeAll(t, second, all[50:100]...)
			if replaced {
				writeAll(t, first, all[0]) // too late
			}
			writeAll(t, first, all[100:]...) // after the length of a clip
			if replaced && asked != 1 {
				t.Errorf("key frames are asked for %d times", asked)
			}
			if err := recorder.Close(); err != nil {
				t.Fatal(err)
			}
			if files := recorder.Files(); len(files) != 3 || files[0] != path {
				t.Fatalf("the files are %v", files)
			}
			want := [3]int{50, 50, 50}
			if replaced {
				want[0]++
			}
			for i, file := range recorder.Files() {
				if s := probe(t, file).Streams[0]; s.Codec != ffmpegName(mimes[i%2]) || number(t, s.Packets) != float64(want[i]) {
					t.Errorf("%s, replaced %v: file %d has %s pictures of %s, want %d of %s", name, replaced, i, s.Packets, s.Codec, want[i], mimes[i%2])
				}
			}
		}
	}
	recorder, _ := newRecorder(t, "b.mp4", record.Options{Next: func() string { return "" }})
	sink := recordTrackOf(t, recorder, webrtc.MimeTypeVP9)
	writeAll(t, sink, filmed(t, clips[webrtc.MimeTypeVP9])...)
	err := sink.WriteFrame(filmed(t, clips[webrtc.MimeTypeVP8])[0])
	if err == nil || !strings.Contains(err.Error(), "video in VP8 does not fit into .mp4; record to .webm or .ivf") {
		t.Errorf("error is %v", err)
	}
}
