//go:build !quick

package source

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// runTogether runs the sources of one stream in a bubble of synctest and returns what each sends.
func runTogether(t *testing.T, d time.Duration, sources ...Source) (captures []*mediatest.Sender, start time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start = time.Now()
	var running sync.WaitGroup
	for _, s := range sources {
		captures = append(captures, mediatest.Bind(t, s))
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	for _, s := range sources {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return captures, start
}

// sentAt returns when the packets are sent, since start, and their media time since the first one.
func sentAt(c *mediatest.Sender, start time.Time, clock uint32) (at, stamps []time.Duration) {
	for i, p := range c.Packets {
		at = append(at, c.Times[i].Sub(start))
		stamps = append(stamps, media.TicksToDuration(int64(p.Timestamp-c.Packets[0].Timestamp), clock))
	}
	return at, stamps
}

// TestLoopOfTracksOfDifferentLength: a file with 2.0 s of video and 2.4 s of audio starts again
// with both at 2.4 s, 4.8 s and so on (aiortc#1268).
func TestLoopOfTracksOfDifferentLength(t *testing.T) {
	for _, name := range []string{"a.webm", "a.mp4"} {
		path := t.TempDir() + "/" + name
		video := []string{"-c:v", "libvpx", "-deadline", "realtime"}
		if name == "a.mp4" {
			video = []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"}
		}
		ffmpeg(t, append(append([]string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2.0", "-f", "lavfi", "-i", "sine=frequency=440:duration=2.4:sample_rate=48000",
			"-pix_fmt", "yuv420p"}, video...), "-c:a", "libopus", path)...)
		synctest.Test(t, func(t *testing.T) {
			v, a, err := Open(path, VideoOptions{Loop: true}, AudioOptions{Loop: true})
			if err != nil {
				t.Fatal(err)
			}
			captures, start := runTogether(t, 10*time.Second, v, a)
			var frames []time.Duration // when the first packet of each frame is sent
			at, stamps := sentAt(captures[0], start, media.VideoClockRate)
			for i := range at {
				if i == 0 || captures[0].Packets[i].Timestamp != captures[0].Packets[i-1].Timestamp {
					frames = append(frames, at[i])
				}
				if d := at[i] - stamps[i] - at[0]; d.Abs() > time.Millisecond {
					t.Errorf("%s: video sent at %v has the time %v", name, at[i], stamps[i])
				}
			}
			// The length is that of the audio, with the padding of its codec.
			length := frames[20] - frames[0]
			if length < 2400*time.Millisecond || length > 2450*time.Millisecond {
				t.Errorf("%s: video starts again after %v, want 2.4 s", name, length)
			}
			packets, _ := sentAt(captures[1], start, media.OpusClockRate)
			for round := range 4 {
				want := frames[0] + time.Duration(round)*length
				if got := frames[20*round]; (got - want).Abs() > time.Millisecond {
					t.Errorf("%s: round %d of video starts at %v, want %v", name, round, got, want)
				}
				if i, found := slices.BinarySearch(packets, want-10*time.Millisecond); !found && (i >= len(packets) || packets[i]-want > 15*time.Millisecond) {
					t.Errorf("%s: round %d of audio does not start at %v", name, round, want)
				}
			}
		})
	}
}

// TestPlayerEndsWithItsTracks: the other track goes on when one ends, and the input is closed with
// the last.
func TestPlayerEndsWithItsTracks(t *testing.T) {
	path := t.TempDir() + "/a.webm"
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2", "-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000",
		"-pix_fmt", "yuv420p", "-c:v", "libvpx", "-c:a", "libopus", path)
	synctest.Test(t, func(t *testing.T) {
		v, a, err := Open(path, VideoOptions{Loop: true}, AudioOptions{Loop: true})
		if err != nil {
			t.Fatal(err)
		}
		video, audio := mediatest.Bind(t, v), mediatest.Bind(t, a)
		ctx, cancel := context.WithCancel(context.Background())
		short, stop := context.WithCancel(context.Background())
		done := make(chan error, 2)
		go func() { done <- v.Run(ctx) }()
		go func() { done <- a.Run(short) }()
		time.Sleep(time.Second)
		stop()
		if err := <-done; err != nil || a.Close() != nil {
			t.Errorf("audio ends with %v", err)
		}
		if err := a.Unbind(audio); err != nil {
			t.Error(err)
		}
		before := video.Count()
		time.Sleep(5 * time.Second)
		if got := video.Count() - before; got < 45 {
			t.Errorf("%d packets of video in 5 s after the end of audio", got)
		}
		cancel()
		if err := <-done; err != nil || v.Close() != nil {
			t.Errorf("video ends with %v", err)
		}
		if _, err := v.(*playerTrack).player.in.Read(make([]byte, 1)); err == nil {
			t.Error("the file is still open")
		}
	})
	// Without Run, and with one that never runs.
	v, a, err := Open(path, VideoOptions{}, AudioOptions{})
	if err != nil || v.Close() != nil || a.Close() != nil {
		t.Fatal(err)
	}
	if v, a, err = Open(path, VideoOptions{}, AudioOptions{}); err != nil || a.Close() != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := v.Run(ctx); err != nil || v.Close() != nil {
		t.Error(err)
	}
}

// slowReader delivers pieces at a constant interval, as a live program does.
type slowReader struct {
	pieces   [][]byte
	interval time.Duration
	rest     []byte
}

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if len(r.pieces) == 0 {
			return 0, io.EOF
		}
		time.Sleep(r.interval)
		r.rest, r.pieces = r.pieces[0], r.pieces[1:]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// TestArrivalTime: what a pipe delivers below its nominal rate has the time of its arrival, and
// what it delivers faster has the nominal rate.
func TestArrivalTime(t *testing.T) {
	h264, err := os.ReadFile(clip(t, "live.h264", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-x264-params", "aud=1"))
	if err != nil {
		t.Fatal(err)
	}
	var units [][]byte // access units with a delimiter, of 25 frames per second
	for i, unit := range bytes.Split(h264, []byte("\x00\x00\x00\x01\x09")) {
		if i > 0 {
			units = append(units, append([]byte("\x00\x00\x00\x01\x09"), unit...))
		}
	}
	y4m := [][]byte{[]byte("YUV4MPEG2 W16 H16 F30:1\n")}
	for range 40 {
		y4m = append(y4m, append([]byte("FRAME\n"), make([]byte, 16*16*3/2)...))
	}
	for _, test := range []struct {
		name     string
		pieces   [][]byte
		interval time.Duration
		want     time.Duration
	}{
		{"H.264, 10 of 25 frames per second", units, 100 * time.Millisecond, 100 * time.Millisecond},
		{"H.264 at once", units, 0, 40 * time.Millisecond},
		{"Y4M, 10 of 30 frames per second", y4m, 100 * time.Millisecond, 100 * time.Millisecond},
		{"Y4M at once", y4m, 0, time.Second / 30},
	} {
		synctest.Test(t, func(t *testing.T) {
			encoder := &keepEncoder{codec: webrtc.MimeTypeVP8}
			s, err := OpenVideo("-", VideoOptions{Stdin: &slowReader{pieces: test.pieces, interval: test.interval}, NewEncoder: encoder.make})
			if err != nil {
				t.Fatal(err)
			}
			captures, start := runTogether(t, time.Hour, s)
			c := captures[0]
			var last *rtp.Packet
			frames := 0
			for i, p := range c.Packets {
				if !p.Marker {
					continue
				}
				frames++
				if last != nil && frames > 4 && frames < 30 { // the first and the last are read ahead
					if step := media.TicksToDuration(int64(p.Timestamp-last.Timestamp), media.VideoClockRate); (step - test.want).Abs() > time.Millisecond {
						t.Errorf("%s: frame %d at %v has a step of %v, want %v", test.name, frames, c.Times[i].Sub(start), step, test.want)
					}
				}
				last = p
			}
			if frames < 39 {
				t.Errorf("%s: %d frames", test.name, frames)
			}
		})
	}
}

// TestFragmentsOfPipe: the frames of a fragment are sent at their times after it arrives, without a
// gap at its end, and audio and video keep their offset.
func TestFragmentsOfPipe(t *testing.T) {
	path := t.TempDir() + "/a.mp4"
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=6", "-f", "lavfi", "-i", "sine=duration=6:sample_rate=48000", "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "libopus", "-movflags", "frag_keyframe+empty_moov+default_base_moof", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var pieces [][]byte // the init segment with the first fragment, and the others
	for start := 0; start < len(data); {
		end := bytes.Index(data[min(start+2000, len(data)):], []byte("moof"))
		if end += start + 2000 - 4; end < start+2000 {
			end = len(data)
		}
		pieces, start = append(pieces, data[start:end]), end
	}
	if len(pieces) != 6 {
		t.Fatalf("%d fragments, want 6", len(pieces))
	}
	for _, interval := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			v, a, err := Open("-", VideoOptions{Stdin: &slowReader{pieces: pieces, interval: interval}}, AudioOptions{})
			if err != nil {
				t.Fatal(err)
			}
			captures, start := runTogether(t, time.Hour, v, a)
			for i, clock := range []uint32{media.VideoClockRate, media.OpusClockRate} {
				at, stamps := sentAt(captures[i], start, clock)
				for n := range at {
					if d := at[n] - stamps[n] - at[0]; d.Abs() > 10*time.Millisecond {
						t.Errorf("every %v: packet %d of track %d with the time %v is sent at %v after %v", interval, n, i, stamps[n], at[n], at[0])
					}
				}
				if last := stamps[len(stamps)-1]; last < 5900*time.Millisecond {
					t.Errorf("every %v: track %d ends at %v", interval, i, last)
				}
			}
		})
	}
}

// jitterReader delivers a header, and then frames of 30 per second, each after its delay.
type jitterReader struct {
	header, frame []byte
	delay         func(frame int) time.Duration
	start         time.Time
	frames        int
	arrivals      []time.Time
}

func (r *jitterReader) Read(p []byte) (int, error) {
	if r.header != nil {
		n := copy(p, r.header)
		r.header = nil
		return n, nil
	}
	if r.frames == 60 {
		return 0, io.EOF
	}
	if r.start.IsZero() {
		r.start = time.Now()
	}
	time.Sleep(time.Until(r.start.Add(time.Duration(r.frames)*time.Second/30 + r.delay(r.frames))))
	r.frames++
	r.arrivals = append(r.arrivals, time.Now())
	return copy(p, r.frame), nil
}

// TestArrivalJitter: frames of a live stream that arrive up to half an interval early or late are
// sent when they arrive, and a delay of the stream delays no later frame.
func TestArrivalJitter(t *testing.T) {
	for name, delay := range map[string]func(frame int) time.Duration{
		"jitter": func(frame int) time.Duration { return []time.Duration{9, 0, 12, 3}[frame%4] * time.Millisecond },
		"delay": func(frame int) time.Duration { // frames 20 to 29 arrive at once
			return max(0, 30-time.Duration(frame)) * time.Second / 30 * time.Duration(frame/20%2)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			in := &jitterReader{
				header: []byte("YUV4MPEG2 W16 H16 F30:1\n"), frame: append([]byte("FRAME\n"), make([]byte, 16*16*3/2)...), delay: delay,
			}
			encoder := &keepEncoder{codec: webrtc.MimeTypeVP8}
			s, err := OpenVideo("-", VideoOptions{Stdin: in, NewEncoder: encoder.make})
			if err != nil {
				t.Fatal(err)
			}
			captures, _ := runTogether(t, time.Hour, s)
			sent := 0
			for i, p := range captures[0].Packets {
				if !p.Marker {
					continue
				}
				if late := captures[0].Times[i].Sub(in.arrivals[sent]); sent > 1 && late > time.Millisecond {
					t.Errorf("%s: frame %d is sent %v after its arrival", name, sent, late)
				}
				sent++
			}
			if sent != 60 {
				t.Errorf("%s: %d frames, want 60", name, sent)
			}
		})
	}
}
