package source

import (
	"errors"
	"fmt"
	"math"
	"os"
	"parley/media/receiver"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/media"
	record "parley/media/recorder"

	"github.com/pion/webrtc/v4"
)

// recordAll records video and sound of files, by their codecs, in order of time and through receivers as in a call;
// sound "" is none.
func recordAll(t *testing.T, recorder *record.Recorder, video, audio string) (pictures, packets int, err error) {
	t.Helper()
	var all [2][]media.Frame
	var sinks [2]media.FrameSink
	var began [2]time.Time
	for i, path := range []string{video, audio} {
		if path == "" {
			continue
		}
		file, samples := frames(t, path, VideoOptions{FrameRate: 25})
		all[i], _ = through(t, file.Codec(), receiver.Options{}, script(t, file, samples))
		sinks[i], began[i] = recordTrackOf(t, recorder, file.Codec()), all[i][0].Arrival
	}
	start := time.Unix(1e9, 0)
	for next := [2]int{}; next[0] < len(all[0]) || next[1] < len(all[1]); {
		i := 0
		if next[0] == len(all[0]) || next[1] < len(all[1]) &&
			all[1][next[1]].Arrival.Sub(began[1]) < all[0][next[0]].Arrival.Sub(began[0]) {
			i = 1
		}
		f := all[i][next[i]]
		f.Arrival = start.Add(f.Arrival.Sub(began[i]))
		next[i]++
		if err := sinks[i].WriteFrame(f); err != nil {
			return len(all[0]), len(all[1]), err
		}
	}
	return len(all[0]), len(all[1]), nil
}

// TestMP4Both: picture and sound of each codec are in the file, whole and in time, and the file can be sent again.
func TestMP4Both(t *testing.T) {
	audio := clip(t, "opus.ogg", "-c:a", "libopus")
	for mime, video := range videoClips(t) {
		if mime == webrtc.MimeTypeVP8 {
			continue
		}
		recorder, path := newRecorder(t, "a.mp4", record.Options{Audio: true, Video: true})
		pictures, packets, err := recordAll(t, recorder, video, audio)
		if err := errors.Join(err, recorder.Close()); err != nil {
			t.Fatal(err)
		}
		p := probe(t, path)
		if len(p.Streams) != 2 || math.Abs(number(t, p.Format.Duration)-2) > 0.06 {
			t.Fatalf("%s: streams are %+v in %s s", mime, p.Streams, p.Format.Duration)
		}
		for _, s := range p.Streams {
			want := pictures
			if s.Kind == "audio" {
				want = packets
			}
			if number(t, s.Packets) != float64(want) || number(t, s.Frames) != float64(want) {
				t.Errorf("%s: %s packets and %s frames of %s, want %d", mime, s.Packets, s.Frames, s.Kind, want)
			}
		}
		samePictures(t, video, path, webrtc.RTPCodecTypeVideo)
		if _, again := frames(t, path, VideoOptions{}); len(again) != pictures {
			t.Errorf("%s: %d frames can be sent again, want %d", mime, len(again), pictures)
		}
	}
}

// TestMP4Killed: of a file that was never finished, and is cut off anywhere, all plays but the last seconds.
func TestMP4Killed(t *testing.T) {
	clips := videoClips(t)
	recorder, path := newRecorder(t, "a.mp4", record.Options{Audio: true, Video: true})
	if _, _, err := recordAll(t, recorder, clips[webrtc.MimeTypeH264], clip(t, "opus.ogg", "-c:a", "libopus")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path) // not closed
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []int{0, 100} {
		cut := filepath.Join(t.TempDir(), "cut.mp4")
		if err := os.WriteFile(cut, data[:len(data)-lost], 0o600); err != nil {
			t.Fatal(err)
		}
		raw := ffmpegTolerant(t, "-i", cut, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
		if n := len(raw) / (160 * 120); n < 22 {
			t.Errorf("without the last %d bytes it plays %d pictures", lost, n)
		}
	}
}

// TestSplit: each file begins with a key frame and plays alone; together they hold every frame.
func TestSplit(t *testing.T) {
	clips := videoClips(t)
	audio := clip(t, "opus.ogg", "-c:a", "libopus")
	for _, test := range []struct {
		name  string
		video string
		o     record.Options
		files int
	}{
		{"a.webm", clips[webrtc.MimeTypeVP8], record.Options{SplitTime: 700 * time.Millisecond}, 3},
		{"a.mp4", clips[webrtc.MimeTypeH264], record.Options{SplitTime: 700 * time.Millisecond}, 3},
		{"a.ivf", clips[webrtc.MimeTypeVP8], record.Options{SplitBytes: 1}, 5},
		{"a.h264", clips[webrtc.MimeTypeH264], record.Options{SplitBytes: 1}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			part := 1
			folder, asked := t.TempDir(), 0
			test.o.Next = func() string { part++; return filepath.Join(folder, fmt.Sprint(part)+filepath.Ext(test.name)) }
			test.o.RequestKeyFrame = func() { asked++ }
			recorder, err := record.New(filepath.Join(folder, "1"+filepath.Ext(test.name)), test.o)
			if err != nil {
				t.Fatal(err)
			}
			sound := audio
			if !recorder.Takes(webrtc.RTPCodecTypeAudio) {
				sound = ""
			}
			pictures, packets, err := recordAll(t, recorder, test.video, sound)
			if err := errors.Join(err, recorder.Close()); err != nil {
				t.Fatal(err)
			}
			if n := len(recorder.Files()); n != test.files || asked == 0 {
				t.Errorf("%d files, key frames asked for %d times", n, asked)
			}
			for _, path := range recorder.Files() {
				for _, s := range probe(t, path).Streams {
					if s.Kind == "audio" {
						packets -= int(number(t, s.Packets))
					} else {
						pictures -= int(number(t, s.Frames))
					}
				}
			}
			if pictures != 0 || packets != 0 {
				t.Errorf("%d pictures and %d packets are missing", pictures, packets)
			}
		})
	}
	next := filepath.Join(t.TempDir(), "none", "b.ogg")
	recorder, _ := newRecorder(t, "a.ogg", record.Options{SplitTime: time.Second, Next: func() string { return next }})
	_, all := frames(t, audio, VideoOptions{})
	sink := recordTrackOf(t, recorder, webrtc.MimeTypeOpus)
	for i, s := range all {
		err := sink.WriteFrame(frameAt(webrtc.MimeTypeOpus, time.Duration(i)*opusFrame, func(f *media.Frame) { f.Data = s.data }))
		if (err != nil) != (i >= 50) {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if err := recorder.Close(); err == nil || err.Error() != next+": no such file or directory" {
		t.Errorf("error is %v", err)
	}
}

// TestDiskFills: on a small disk that fills up, what has been written is a file that plays and knows how long it is.
func TestDiskFills(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("ONLY ROOT ON LINUX CAN MOUNT A SMALL DISK: a full one is not tested")
	}
	folder := t.TempDir()
	clips := videoClips(t)
	for name, video := range map[string]string{"a.webm": clips[webrtc.MimeTypeVP8], "a.mp4": clips[webrtc.MimeTypeH264], "a.ivf": clips[webrtc.MimeTypeVP9]} {
		t.Run(name, func(t *testing.T) {
			sound := clip(t, "opus.ogg", "-c:a", "libopus")
			if filepath.Ext(name) == ".ivf" {
				sound = ""
			}
			whole, whither := newRecorder(t, name, record.Options{})
			_, _, err := recordAll(t, whole, video, sound)
			if err := errors.Join(err, whole.Close()); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(whither)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", info.Size()*3/4)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := syscall.Unmount(folder, 0); err != nil {
					t.Error(err)
				}
			}()
			path := filepath.Join(folder, name)
			recorder, err := record.New(path, record.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = recordAll(t, recorder, video, sound)
			closed := recorder.Close()
			var file *media.FileError
			if !errors.Is(closed, syscall.ENOSPC) || !errors.As(closed, &file) || err != nil && err.Error() != closed.Error() ||
				!strings.HasPrefix(closed.Error(), path+": ") {
				t.Errorf("errors are %v, %v", err, closed)
			}
			p := probe(t, path) // complains if the file is broken
			n := len(pictures(t, path, 160, 120))
			if d := number(t, p.Format.Duration); n < 20 || n > 45 || math.Abs(d-float64(n)/25) > 0.5 {
				t.Errorf("%d pictures in %v s", n, d)
			}
		})
	}
}
