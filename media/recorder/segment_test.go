//go:build !quick

package recorder

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// streamCounts returns contents of all files of a recorder.
func streamCounts(t *testing.T, r *Recorder) (all []string) {
	t.Helper()
	for _, path := range r.Files() {
		all = append(all, contents(t, path))
	}
	return all
}

// TestLateTrack records a track that starts long after the header was written: another file begins,
// with both tracks.
func TestLateTrack(t *testing.T) {
	video := framesOf(t, videoClips(t)[webrtc.MimeTypeVP8])
	audio := framesOf(t, opusClip(t))
	recorder, path := newRecorder(t, "call.webm", Options{Audio: 1})
	a := addTrack(t, recorder, webrtc.MimeTypeOpus)
	writeAll(t, a, audio[:50]...)
	v := addTrack(t, recorder, webrtc.MimeTypeVP8)
	writeInOrder(t, recording{a, audio[50:]}, recording{v, shifted(video, time.Second)})
	closeRecorder(t, recorder)
	if got, want := recorder.Files(), []string{path, strings.TrimSuffix(path, ".webm") + "-2.webm"}; !slices.Equal(got, want) {
		t.Fatalf("files are %v, want %v", got, want)
	}
	if got := streamCounts(t, recorder); got[0] != "opus:51" || got[1] != fmt.Sprintf("opus:%d vp8:50", len(audio)-51) {
		t.Errorf("the files have %v", got)
	}
}

// TestLateAudio adds audio to a recording of video: the next file begins with a key frame of the
// video, and nothing is lost.
func TestLateAudio(t *testing.T) {
	video, audio := framesOf(t, videoClips(t)[webrtc.MimeTypeVP8]), framesOf(t, opusClip(t))
	recorder, _ := newRecorder(t, "call.webm", Options{Video: 1})
	requests := 0
	v, err := recorder.AddTrack(webrtc.MimeTypeVP8, func() { requests++ })
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, v, video[:26]...) // the next key frame is 30
	a := addTrack(t, recorder, webrtc.MimeTypeOpus)
	writeInOrder(t, recording{v, video[26:]}, recording{a, shifted(audio, 1050*time.Millisecond)})
	closeRecorder(t, recorder)
	if got := streamCounts(t, recorder); len(got) != 2 || got[0] != "vp8:30" || got[1] != fmt.Sprintf("opus:%d vp8:20", len(audio)) {
		t.Errorf("the files have %v", got)
	}
	if requests == 0 {
		t.Error("no key frame was requested")
	}
}

// TestLateVideo adds a second video, which ends before the first one continues with a key frame: it
// is in a file.
func TestLateVideo(t *testing.T) {
	video := framesOf(t, videoClips(t)[webrtc.MimeTypeVP8])
	recorder, _ := newRecorder(t, "call.webm", Options{})
	first := addTrack(t, recorder, webrtc.MimeTypeVP8)
	writeAll(t, first, video[:22]...)
	second := addTrack(t, recorder, webrtc.MimeTypeVP8)
	writeInOrder(t, recording{first, video[22:28]}, recording{second, shifted(video[:5], 880*time.Millisecond)})
	closeRecorder(t, recorder)
	if got := streamCounts(t, recorder); !slices.Equal(got, []string{"vp8:28", "vp8:5"}) {
		t.Errorf("the files have %v", got)
	}
}

// TestTwoTracksOfAKind records two videos and two audios: they are four tracks in one file.
func TestTwoTracksOfAKind(t *testing.T) {
	clips, audio := videoClips(t), framesOf(t, opusClip(t))
	for name, mime := range map[string]string{"a.webm": webrtc.MimeTypeVP8, "a.mp4": webrtc.MimeTypeH264, "a.mkv": webrtc.MimeTypeH264} {
		recorder, path := newRecorder(t, name, Options{Audio: 2, Video: 2})
		var all []recording
		for i := range 4 {
			frames, kind := audio, webrtc.MimeTypeOpus
			if i%2 == 0 {
				frames, kind = framesOf(t, clips[mime]), mime
			}
			all = append(all, recording{addTrack(t, recorder, kind), shifted(frames, time.Duration(i)*10*time.Millisecond)})
		}
		writeInOrder(t, all...)
		closeRecorder(t, recorder)
		codec := strings.ToLower(media.CodecName(mime))
		want := []string{codec + ":50", codec + ":50", fmt.Sprint("opus:", len(audio)), fmt.Sprint("opus:", len(audio))}
		slices.Sort(want)
		if got := strings.Fields(contents(t, path)); !slices.Equal(got, want) {
			t.Errorf("%s has %s, want %s", path, got, want)
		}
		if n := len(recorder.Files()); n != 1 {
			t.Errorf("%d files, want 1", n)
		}
	}
}

// TestSecondTrackWithoutRoom names the track that a format with one track cannot hold.
func TestSecondTrackWithoutRoom(t *testing.T) {
	recorder, path := newRecorder(t, "a.ivf", Options{Video: 2})
	first, second := addTrack(t, recorder, webrtc.MimeTypeVP8), addTrack(t, recorder, webrtc.MimeTypeVP9)
	writeInOrder(t, recording{first, framesOf(t, videoClips(t)[webrtc.MimeTypeVP8])},
		recording{second, shifted(framesOf(t, videoClips(t)[webrtc.MimeTypeVP9]), time.Millisecond)})
	err := recorder.Close()
	if want := path + ": not recorded although received: video VP9 (.ivf holds one track)"; err == nil || err.Error() != want {
		t.Errorf("Close returns %v, want %s", err, want)
	}
	if got := contents(t, path); got != "vp8:50" {
		t.Errorf("the file has %s", got)
	}
}

// TestReplacedTrack continues a recording with the track that follows one that ended, was muted or
// fell silent.
func TestReplacedTrack(t *testing.T) {
	for name, pause := range map[string]time.Duration{"ended": 0, "muted": 0, "silent": 2 * time.Second} {
		recorder, path := newRecorder(t, "a.ivf", Options{})
		first := addTrack(t, recorder, webrtc.MimeTypeVP8)
		writeAll(t, first, frameAt(webrtc.MimeTypeVP8, 0), frameAt(webrtc.MimeTypeVP8, 500*time.Millisecond))
		switch name {
		case "ended":
			first.Close()
		case "muted":
			first.SetMuted(true)
		}
		second := addTrack(t, recorder, webrtc.MimeTypeVP8)
		writeAll(t, second, frameAt(webrtc.MimeTypeVP8, time.Second+pause, func(f *media.Frame) { f.SSRC, f.Timestamp = 9, 77 }))
		closeRecorder(t, recorder)
		writeAll(t, second, frameAt(webrtc.MimeTypeVP8, 4*time.Second)) // a track may end after the recording
		if got, want := times(t, path, 0), (time.Second + pause).Seconds(); len(got) != 3 || got[2] != want {
			t.Errorf("%s: frames are at %v, want the last at %v", name, got, want)
		}
	}
}

// TestCodecChanges begins another file for another codec, with a key frame, and again when the
// first codec comes back.
func TestCodecChanges(t *testing.T) {
	clips := videoClips(t)
	for name, mimes := range map[string][2]string{
		"a.webm": {webrtc.MimeTypeVP8, webrtc.MimeTypeVP9},
		"a.mp4":  {webrtc.MimeTypeH264, webrtc.MimeTypeVP9},
		"a.ivf":  {webrtc.MimeTypeVP9, webrtc.MimeTypeVP8},
	} {
		for _, replaced := range []bool{false, true} {
			requests := 0
			request := func() { requests++ }
			recorder, _ := newRecorder(t, name, Options{})
			first, err := recorder.AddTrack(mimes[0], request)
			if err != nil {
				t.Fatal(err)
			}
			all := framesOf(t, clips[mimes[0]], clips[mimes[1]], clips[mimes[0]])
			writeAll(t, first, all[:50]...)
			second := first // the same track changes, or another one replaces it
			if replaced {
				first.Close()
				if second, err = recorder.AddTrack(mimes[1], request); err != nil {
					t.Fatal(err)
				}
				writeAll(t, second, all[51]) // no key frame
			}
			writeAll(t, second, all[50:]...)
			if replaced && requests != 1 {
				t.Errorf("%d key frames were requested, want 1", requests)
			}
			closeRecorder(t, recorder)
			var want []string
			for _, i := range []int{0, 1, 0} {
				want = append(want, strings.ToLower(media.CodecName(mimes[i]))+":50")
			}
			if got := streamCounts(t, recorder); !slices.Equal(got, want) {
				t.Errorf("%s, replaced %v: the files have %v, want %v", name, replaced, got, want)
			}
		}
	}
}

// TestRotation begins another file when the orientation of the video changes, with a key frame.
func TestRotation(t *testing.T) {
	all := framesOf(t, videoClips(t)[webrtc.MimeTypeH264])
	for i := range all {
		if i >= 35 {
			all[i].Rotation = 90
		}
	}
	for _, name := range []string{"a.mp4", "a.mkv"} {
		requests := 0
		recorder, _ := newRecorder(t, name, Options{})
		track, err := recorder.AddTrack(webrtc.MimeTypeH264, func() { requests++ })
		if err != nil {
			t.Fatal(err)
		}
		writeAll(t, track, all...)
		closeRecorder(t, recorder)
		if got := streamCounts(t, recorder); !slices.Equal(got, []string{"h264:40", "h264:10"}) || requests != 5 {
			t.Errorf("%s: the files have %v, %d key frames were requested", name, got, requests)
		}
		for i, want := range []string{"", "-90"} {
			got := strings.TrimSpace(string(ffprobe(t, "-select_streams", "v", "-show_entries", "stream_side_data=rotation", "-of", "csv=p=0", recorder.Files()[i])))
			if got != want {
				t.Errorf("%s: file %d has rotation %q, want %q", name, i, got, want)
			}
		}
	}
}

// TestFlappingCodec bounds the number of files of a sender whose codec and orientation change with
// every frame.
func TestFlappingCodec(t *testing.T) {
	recorder, _ := newRecorder(t, "a.webm", Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeVP8)
	for n := range 100 {
		mime := []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9}[n%2]
		writeAll(t, track, frameAt(mime, time.Duration(n)*40*time.Millisecond, func(f *media.Frame) { f.Rotation = n % 3 * 90 }))
	}
	closeRecorder(t, recorder)
	if n := len(recorder.Files()); n < 2 || n > 5 {
		t.Errorf("4 s are in %d files", n)
	}
}

// TestSegments checks that each file begins with a key frame and plays alone, and that all frames
// are in the files.
func TestSegments(t *testing.T) {
	clips := videoClips(t)
	for _, test := range []struct {
		name, mime string
		o          Options
		files      int
	}{
		{"a.webm", webrtc.MimeTypeVP8, Options{SegmentTime: 700 * time.Millisecond}, 3},
		{"a.mp4", webrtc.MimeTypeH264, Options{SegmentTime: 700 * time.Millisecond}, 3},
		{"a.ivf", webrtc.MimeTypeVP8, Options{SegmentBytes: 1}, 5},
		{"a.h264", webrtc.MimeTypeH264, Options{SegmentBytes: 1}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests := 0
			recorder, _ := newRecorder(t, test.name, test.o)
			video, err := recorder.AddTrack(test.mime, func() { requests++ })
			if err != nil {
				t.Fatal(err)
			}
			all := []recording{{video, framesOf(t, clips[test.mime])}}
			packets := 0
			if recorder.Takes(webrtc.RTPCodecTypeAudio) {
				audio := framesOf(t, opusClip(t))
				all, packets = append(all, recording{addTrack(t, recorder, webrtc.MimeTypeOpus), audio}), len(audio)
			}
			writeInOrder(t, all...)
			closeRecorder(t, recorder)
			if n := len(recorder.Files()); n != test.files || requests == 0 {
				t.Errorf("%d files, want %d; %d key frames were requested", n, test.files, requests)
			}
			frames := 50
			for _, path := range recorder.Files() {
				for _, s := range mediatest.Probe(t, path).Streams {
					if s.Kind == "audio" {
						packets -= int(mediatest.Number(t, s.Packets))
					} else {
						frames -= int(mediatest.Number(t, s.Frames))
					}
				}
			}
			if frames != 0 || packets != 0 {
				t.Errorf("%d frames and %d packets are missing", frames, packets)
			}
		})
	}
}

// TestSegmentFails returns the error of a next file that cannot be created.
func TestSegmentFails(t *testing.T) {
	next := filepath.Join(t.TempDir(), "none", "b.ogg")
	recorder, _ := newRecorder(t, "a.ogg", Options{SegmentTime: time.Second, Next: func() string { return next }})
	track := addTrack(t, recorder, webrtc.MimeTypeOpus)
	for i := range 100 {
		if err := track.WriteFrame(frameAt(webrtc.MimeTypeOpus, time.Duration(i)*opusFrame)); (err != nil) != (i >= 50) {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if err := recorder.Close(); err == nil || err.Error() != next+": no such file or directory" {
		t.Errorf("Close returns %v", err)
	}
}

// TestWait checks that a header waits for the expected tracks, and that a file begins without one
// that does not start.
func TestWait(t *testing.T) {
	const audio, video = webrtc.MimeTypeOpus, webrtc.MimeTypeVP8
	var created []string
	recorder, _ := newRecorder(t, "a.webm", Options{
		Audio: 1, Video: 1, Wait: 2 * time.Second, OnFile: func(path string) { created = append(created, path) }})
	a, v := addTrack(t, recorder, audio), addTrack(t, recorder, video)
	for n := range 150 {
		at := time.Duration(n) * opusFrame
		if (len(created) > 0) != (at > 2*time.Second) {
			t.Fatalf("at %v the files are %v", at, created)
		}
		writeAll(t, a, frameAt(audio, at))
	}
	var late []media.Frame
	for n := range 10 {
		late = append(late, frameAt(video, 3*time.Second+time.Duration(n)*time.Second/10))
	}
	writeAll(t, v, late...)
	closeRecorder(t, recorder)
	if !slices.Equal(created, recorder.Files()) || len(created) != 2 {
		t.Errorf("reported files are %v, files are %v", created, recorder.Files())
	}

	// Video that starts with a key frame 1.6 s after the audio: no audio is lost.
	recorder, path := newRecorder(t, "b.webm", Options{Audio: 1, Video: 1})
	a, v = addTrack(t, recorder, audio), addTrack(t, recorder, video)
	for n := range 100 {
		at := time.Duration(n) * opusFrame
		writeAll(t, a, frameAt(audio, at))
		if n >= 75 && n%5 == 0 {
			writeAll(t, v, frameAt(video, at, func(f *media.Frame) { f.Key = n >= 80 }))
		}
	}
	closeRecorder(t, recorder)
	if s, m := times(t, path, 0), times(t, path, 1); len(s) != 100 || s[0] != 0 || len(m) != 4 || m[0] != 1.6 {
		t.Errorf("audio is at %v, video is at %v", s, m)
	}
}

// TestLoss waits for a key frame after a loss of video; audio continues at its time.
func TestLoss(t *testing.T) {
	const audio, video = webrtc.MimeTypeOpus, webrtc.MimeTypeVP8
	recorder, path := newRecorder(t, "a.webm", Options{})
	a, v := addTrack(t, recorder, audio), addTrack(t, recorder, video)
	for n := range 40 {
		at := time.Duration(n) * 100 * time.Millisecond
		if n != 15 {
			writeAll(t, a, frameAt(audio, at, func(f *media.Frame) { f.Gap = n == 16 }))
			writeAll(t, v, frameAt(video, at, func(f *media.Frame) { f.Key, f.Gap = n%10 == 0, n == 16 }))
		}
	}
	closeRecorder(t, recorder)
	if s, m := times(t, path, 0), times(t, path, 1); len(s) != 39 || s[15] != 1.6 || len(m) != 35 || m[14] != 1.4 || m[15] != 2 {
		t.Errorf("audio is at %v, video is at %v", s, m)
	}
}

// TestMissingTrack reports a received track of which nothing could be recorded.
func TestMissingTrack(t *testing.T) {
	recorder, path := newRecorder(t, "a.webm", Options{})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeOpus), framesOf(t, opusClip(t))...)
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeVP8), frameAt(webrtc.MimeTypeVP8, 0, func(f *media.Frame) { f.Key = false }))
	addTrack(t, recorder, webrtc.MimeTypeVP8) // nothing is received
	err := recorder.Close()
	if want := path + ": not recorded although received: video VP8 (no key frame arrived)"; err == nil || err.Error() != want || errors.Is(err, ErrEmpty) {
		t.Errorf("Close returns %v, want %s", err, want)
	}
}
