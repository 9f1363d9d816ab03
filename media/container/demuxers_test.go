package source

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// remux puts the track of a file into another container, without encoding it again.
func remux(t *testing.T, from, name string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	input := []string{"-i", from}
	if strings.HasSuffix(from, ".h264") {
		input = []string{"-r", "25", "-i", from} // a byte stream has no times
	}
	ffmpeg(t, append(append(append(input, "-c", "copy"), options...), path)...)
	return path
}

// slices are the units of an H.264 picture that are pictures.
func pictureUnits(data []byte) [][]byte {
	var all [][]byte
	for nal := range codec.NALUnits(data) {
		if k := codec.NALType(nal); k == codec.NALSlice || k == codec.NALIDR {
			all = append(all, nal)
		}
	}
	return all
}

// TestContainers: a frame is the same, and at the same time, from whatever container it comes.
func TestContainers(t *testing.T) {
	clips := videoClips(t)
	clips[webrtc.MimeTypeOpus] = clip(t, "opus.ogg", "-c:a", "libopus")
	fragmented := []string{"-movflags", "frag_keyframe+empty_moov+default_base_moof"}
	for _, test := range []struct {
		mime, name string
		options    []string
	}{
		{webrtc.MimeTypeVP8, "a.webm", nil}, {webrtc.MimeTypeVP8, "a.mkv", nil},
		{webrtc.MimeTypeVP9, "a.webm", nil}, {webrtc.MimeTypeVP9, "a.mp4", nil}, {webrtc.MimeTypeVP9, "f.mp4", fragmented},
		{webrtc.MimeTypeAV1, "a.webm", nil}, {webrtc.MimeTypeAV1, "a.mkv", nil}, {webrtc.MimeTypeAV1, "a.mp4", nil},
		{webrtc.MimeTypeH264, "a.mkv", nil}, {webrtc.MimeTypeH264, "a.mp4", nil}, {webrtc.MimeTypeH264, "f.mp4", fragmented},
		{webrtc.MimeTypeH264, "fast.mp4", []string{"-movflags", "faststart"}},
		{webrtc.MimeTypeOpus, "a.webm", nil}, {webrtc.MimeTypeOpus, "a.mkv", nil}, {webrtc.MimeTypeOpus, "a.mp4", nil},
		{webrtc.MimeTypeOpus, "f.mp4", fragmented}, {webrtc.MimeTypeOpus, "live.webm", []string{"-live", "1"}},
	} {
		t.Run(media.CodecName(test.mime)+" "+test.name, func(t *testing.T) {
			_, want := frames(t, clips[test.mime], VideoOptions{FrameRate: 25})
			file, got := frames(t, remux(t, clips[test.mime], test.name, test.options...), VideoOptions{})
			if file.Codec() != test.mime || len(got) != len(want) {
				t.Fatalf("%d frames of %s, want %d", len(got), file.Codec(), len(want))
			}
			for i := range got {
				a, b := withoutDelimiters(test.mime, got[i].data), withoutDelimiters(test.mime, want[i].data)
				if test.mime == webrtc.MimeTypeH264 {
					a, b = bytes.Join(pictureUnits(a), nil), bytes.Join(pictureUnits(b), nil)
					if p := codec.ParseH264(got[i].data); p.Key && p.Width != 160 {
						t.Errorf("key frame %d comes without its parameter sets", i)
					}
				}
				if !bytes.Equal(a, b) {
					t.Fatalf("frame %d has %d bytes, want %d", i, len(a), len(b))
				}
				// Matroska counts milliseconds. What an encoder has to warm up is not shown, but sent.
				if d := int64(got[i].at) - int64(want[i].at); test.mime != webrtc.MimeTypeOpus && max(d, -d) > 90 { //nolint:gosec // small
					t.Errorf("frame %d is at %d, want %d", i, got[i].at, want[i].at)
				}
			}
		})
	}
}

// TestParameterSets: those that are in the header of a file alone come before each key frame.
func TestParameterSets(t *testing.T) {
	for _, name := range []string{"own.mp4", "own.mkv"} {
		_, all := frames(t, clip(t, name, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"), VideoOptions{})
		keys := 0
		for i, s := range all {
			if p := codec.ParseH264(s.data); p.Key {
				if keys++; p.Width != 160 {
					t.Errorf("%s: key frame %d comes without its parameter sets", name, i)
				}
			}
		}
		if keys != 5 {
			t.Errorf("%s: %d key frames", name, keys)
		}
	}
}

// TestTwoTracks: the track of the wanted kind is taken, whatever else is in the file.
func TestTwoTracks(t *testing.T) {
	video, audio := videoClips(t)[webrtc.MimeTypeVP9], clip(t, "opus.ogg", "-c:a", "libopus")
	_, pictures := frames(t, video, VideoOptions{})
	_, packets := frames(t, audio, VideoOptions{})
	for _, name := range []string{"both.webm", "both.mkv", "both.mp4"} {
		path := filepath.Join(t.TempDir(), name)
		ffmpeg(t, "-i", video, "-i", audio, "-c", "copy", path)
		for kind, want := range map[string]int{"video": len(pictures), "audio": len(packets)} {
			var s Source
			var err error
			if kind == "video" {
				s, err = OpenVideo(path, VideoOptions{})
			} else {
				s, err = OpenAudio(path, AudioOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, err := s.(*fileSource).reader.next(); err == nil; _, err = s.(*fileSource).reader.next() {
				n++
			}
			if n != want || s.Kind().String() != kind || s.Close() != nil {
				t.Errorf("%s: %d frames of %s, want %d of %s", name, n, s.Kind(), want, kind)
			}
		}
	}
}

// TestReordered: B frames are refused before a call, with what to do.
func TestReordered(t *testing.T) {
	path := clip(t, "b.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-b_strategy", "0")
	for _, file := range []string{path, remux(t, path, "b.mp4"), remux(t, path, "b.mp4", "-movflags", "frag_keyframe+empty_moov")} {
		if _, err := OpenVideo(file, VideoOptions{}); !errors.Is(err, codec.ErrBFrames) || !strings.Contains(err.Error(), "-bf 0") {
			t.Errorf("%s: error is %v", filepath.Base(file), err)
		}
	}
}

// TestForeignCodecs: what a call cannot carry is refused by name.
func TestForeignCodecs(t *testing.T) {
	for name, options := range map[string][]string{
		"V_MPEG4/ISO/ASP .mkv": {"-c:v", "mpeg4"}, "mp4v .mp4": {"-c:v", "mpeg4"}, "V_MPEGH/ISO/HEVC .mkv": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"},
	} {
		capability, extension, _ := strings.Cut(name, " ")
		if _, err := OpenVideo(clip(t, "x"+extension, options...), VideoOptions{}); err == nil || !strings.Contains(err.Error(), `codec "`+capability+`" cannot be sent`) {
			t.Errorf("error is %v", err)
		}
	}
	if _, err := OpenAudio(clip(t, "mute.webm", "-c:v", "libvpx", "-deadline", "realtime"), AudioOptions{}); err == nil || !strings.Contains(err.Error(), "there is no audio in it") {
		t.Errorf("error is %v", err)
	}
}

// TestCutOff: wherever a file is cut off it is an error that says so, or the frames up to there, and never a panic.
func TestCutOff(t *testing.T) {
	clips := videoClips(t)
	for _, path := range []string{
		remux(t, clips[webrtc.MimeTypeVP8], "a.webm"), remux(t, clips[webrtc.MimeTypeH264], "a.mkv"),
		remux(t, clips[webrtc.MimeTypeH264], "a.mp4", "-movflags", "faststart"),
		remux(t, clips[webrtc.MimeTypeVP9], "f.mp4", "-movflags", "frag_keyframe+empty_moov"),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, whole := frames(t, path, VideoOptions{})
		most := 0
		for cut := 1; cut < len(data); cut += 1 + cut/20 {
			source, err := OpenVideo(write(t, filepath.Base(path), data[:cut]), VideoOptions{})
			n := 0
			if err == nil {
				for err == nil {
					_, err = source.(*fileSource).reader.next()
					n++
				}
				if err := source.Close(); err != nil {
					t.Error(err)
				}
			} else if file := (*media.FileError)(nil); !errors.As(err, &file) {
				t.Errorf("%s cut off at %d: error is %v", filepath.Base(path), cut, err)
			}
			most = max(most, n-1)
		}
		if most < len(whole)*3/4 || most > len(whole) {
			t.Errorf("%s: at most %d frames of %d came", filepath.Base(path), most, len(whole))
		}
	}
}
