//go:build !quick

package source

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/media/internal/mediatest"
	"parley/media/receiver"

	"parley/media"
	"parley/media/recorder"
	"parley/media/testsignal"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// TestLipSync: a tone that begins with frame N is heard in the recording when frame N is seen,
// although the frames come 400 ms later than the audio. The sender's reports make the difference.
func TestLipSync(t *testing.T) {
	const late = 400 * time.Millisecond
	for _, test := range []struct {
		name    string
		reports time.Duration // when the first one comes
		tone    time.Duration // when the tone begins
		offset  time.Duration // of the frame, in the recording
	}{
		{"reports from the start", time.Second, 3 * time.Second, 0},
		{"reports later", 3 * time.Second, 9 * time.Second, 0},
		{"reports later, on the way", 3 * time.Second, 5 * time.Second, late / 2},
		{"no reports", time.Hour, 3 * time.Second, late},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rec, path := newRecorder(t, "out.webm", recorder.Options{Audio: 1, Video: 1})
			length := test.tone + time.Second
			video, frame := videoLines(t, test.tone, length, late)
			audio := audioLines(t, test.tone, length)
			synctest.Test(t, func(t *testing.T) {
				sender := time.Now().Add(-1000 * time.Hour) // the sender's clock is not ours
				wait := recordWire(t, rec, webrtc.MimeTypeVP8, withReports(video, sender, test.reports, late))
				recordWire(t, rec, webrtc.MimeTypeOpus, withReports(audio, sender, test.reports, 0))()
				wait()
				if err := rec.Close(); err != nil {
					t.Error(err)
				}
			})
			seen, heard := whenSeen(t, path, frame), whenHeard(t, path)
			if d := seen - heard - test.offset; d.Abs() > 40*time.Millisecond {
				t.Errorf("frame %d is seen at %v, the tone is heard at %v", frame, seen, heard)
			}
		})
	}
}

// recordWire plays lines into a recorder, and returns a function that waits for the end.
func recordWire(t *testing.T, rec *recorder.Recorder, mime string, lines []mediatest.Sent) (wait func()) {
	w := mediatest.NewWire(mime)
	r := receiver.New(w, receiver.Options{RTCP: w.RTCP(), Sinks: []media.FrameSink{recordTrackOf(t, rec, mime)}})
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	done.Go(func() { w.Play(lines) })
	return done.Wait
}

// videoLines returns frames of test video, 10 per second, each delayed by late, and the number of
// the one at mark.
func videoLines(t *testing.T, mark, length, late time.Duration) (lines []mediatest.Sent, frame uint32) {
	source, err := newTestVideo(VideoOptions{Width: 160, Height: 120, FrameRate: 10, StreamID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := mediatest.Bind(t, source)
	for frame := uint32(0); source.at(frame) < length; frame++ {
		data, err := source.encoder.Encode(source.pattern.Render(frame, source.at(frame), time.Unix(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		before := len(c.Packets)
		source.Write(data, uint64(frame)*9000)
		for _, p := range c.Packets[before:] {
			lines = append(lines, mediatest.Sent{Packet: p, At: source.at(frame) + late})
		}
	}
	return lines, uint32(mark.Seconds() * 10)
}

// audioLines are a tone that begins at the moment mark.
func audioLines(t *testing.T, mark, length time.Duration) (lines []mediatest.Sent) {
	source, err := newTone("test", testsignal.DefaultFrequency, AudioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	source.signal.Start = uint64(mark.Seconds() * media.OpusClockRate)
	c := mediatest.Bind(t, source)
	pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
	for n := uint64(0); time.Duration(n)*opusFrame < length; n++ {
		source.signal.Fill(pcm, 1, n*opusSamples)
		size, err := source.encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(packet[:size], n*opusSamples)
		lines = append(lines, mediatest.Sent{Packet: c.Packets[n], At: time.Duration(n) * opusFrame})
	}
	return lines
}

// withReports adds a sender report each second from first on. The packet at line.At-late was
// captured then.
func withReports(lines []mediatest.Sent, sender time.Time, first, late time.Duration) []mediatest.Sent {
	var out []mediatest.Sent
	due := first
	for _, line := range lines {
		if line.At >= due {
			captured := sender.Add(line.At - late)
			seconds := uint64(captured.Unix()+2208988800) << 32 //nolint:gosec // after 1900
			fraction := uint64(captured.Nanosecond()) << 32 / 1e9
			out = append(out, mediatest.Sent{At: line.At, Report: &rtcp.SenderReport{
				SSRC: line.Packet.SSRC, NTPTime: seconds | fraction, RTPTime: line.Packet.Timestamp,
			}})
			due += time.Second
		}
		out = append(out, line)
	}
	return out
}

// whenSeen returns the time of the frame with a number.
func whenSeen(t *testing.T, path string, frame uint32) time.Duration {
	t.Helper()
	var times []float64
	p := probe(t, path)
	for _, packet := range p.Packets {
		if p.Streams[packet.Stream].Kind == "video" {
			times = append(times, number(t, packet.Time))
		}
	}
	for i, img := range decodeVideo(t, path, 160, 120) {
		if n, ok := testsignal.ReadFrameID(img); ok && n == frame {
			return time.Duration(times[i] * float64(time.Second))
		}
	}
	t.Fatalf("frame %d is not in the recording", frame)
	return 0
}

// whenHeard returns the time at which the audio starts.
func whenHeard(t *testing.T, path string) time.Duration {
	t.Helper()
	pcm := ffmpeg(t, "-i", path, "-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le", "-af", "aresample=async=1:first_pts=0", "-")
	for i := 0; i+1 < len(pcm); i += 2 {
		if sample := int16(binary.LittleEndian.Uint16(pcm[i:])); math.Abs(float64(sample)) > 0.1*math.MaxInt16 { //nolint:gosec // two's complement
			return time.Duration(i/2) * time.Second / media.OpusClockRate
		}
	}
	t.Fatal("no audio in the recording")
	return 0
}

// TestRecordOrder: frames of both tracks are in the file in order of time, and seeking leads to a
// key frame.
func TestRecordOrder(t *testing.T) {
	rec, path := newRecorder(t, "out.webm", recorder.Options{Audio: 1, Video: 1})
	video, _ := videoLines(t, 0, 5*time.Second, 300*time.Millisecond)
	audio := audioLines(t, 0, 5*time.Second)
	synctest.Test(t, func(t *testing.T) {
		sender := time.Now()
		wait := recordWire(t, rec, webrtc.MimeTypeVP8, withReports(video, sender, 0, 300*time.Millisecond))
		recordWire(t, rec, webrtc.MimeTypeOpus, withReports(audio, sender, 0, 0))()
		wait()
		if err := rec.Close(); err != nil {
			t.Error(err)
		}
	})
	p := probe(t, path)
	var times []float64
	for _, packet := range p.Packets {
		times = append(times, number(t, packet.Time))
	}
	if !slices.IsSorted(times) {
		t.Errorf("times in the file are %v", times)
	}
	if d := number(t, p.Format.Duration); math.Abs(d-5) > 0.05 || len(p.Packets) != 300 {
		t.Errorf("duration is %v with %d packets", d, len(p.Packets))
	}
	raw := ffmpeg(t, "-ss", "3.01", "-i", path, "-map", "0:v", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	frame, ok := testsignal.ReadFrameID(grayOf(raw, 160, 120))
	if !ok || frame < 30 || frame > 31 {
		t.Errorf("at 3.01 s there is frame %d, %v", frame, ok)
	}
	if len(p.Streams) != 2 {
		t.Errorf("streams are %+v", p.Streams)
	}
}
