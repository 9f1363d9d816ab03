//go:build !quick

package source

import (
	"context"
	"math"

	"path/filepath"
	"testing"

	"parley/media"
	"parley/media/receiver"
	"parley/media/recorder"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
)

// TestRecordACall records the test sources of a real call and looks at the file with ffprobe and
// ffmpeg.
func TestRecordACall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.webm")
	video, err := OpenVideo("test", VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	audio, err := OpenAudio("test", AudioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := recorder.New(path, recorder.Options{Audio: 1, Video: 1})
	if err != nil {
		t.Fatal(err)
	}
	arrives := connect(t, video, audio)
	run(t, video.Run)
	run(t, audio.Run)
	watches := map[webrtc.RTPCodecType]*watch{}
	stops := map[webrtc.RTPCodecType]func(){}
	for range 2 {
		r := next(t, arrives)
		sink, err := rec.AddTrack(r.track.Codec().MimeType, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		w := newWatch(ctx)
		w.receiver = receiver.New(r.track, receiver.Options{
			RTCP: r.receiver, RequestKeyFrame: r.requestKeyFrame, Sinks: []media.FrameSink{sink, w},
		})
		stop := run(t, w.receiver.Run)
		watches[r.track.Kind()], stops[r.track.Kind()] = w, func() { cancel(); stop() }
	}
	// The sinks hand over one frame at a time, so that both tracks have to be watched in turn.
	var v, a watched
	for v.Frames < 45 || a.Frames < 150 {
		select {
		case v = <-watches[webrtc.RTPCodecTypeVideo].stats:
		case a = <-watches[webrtc.RTPCodecTypeAudio].stats:
		case <-testContext(t).Done():
			t.Fatalf("waited in vain; last were %+v and %+v", v, a)
		}
	}
	for _, stop := range stops {
		stop()
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	v.Stats = watches[webrtc.RTPCodecTypeVideo].receiver.Stats()
	a.Stats = watches[webrtc.RTPCodecTypeAudio].receiver.Stats()

	p := probe(t, path)
	if len(p.Streams) != 2 {
		t.Fatalf("streams are %+v", p.Streams)
	}
	for _, s := range p.Streams {
		want, codec := v, "vp8"
		if s.Kind == "audio" {
			want, codec = a, "opus"
		} else if s.Width != 320 || s.Height != 240 {
			t.Errorf("size is %dx%d", s.Width, s.Height)
		}
		if s.Codec != codec || number(t, s.Packets) != float64(want.Frames) || number(t, s.Frames) != float64(want.Frames) {
			t.Errorf("%s is %s with %s packets and %s frames; received were %d", s.Kind, s.Codec, s.Packets, s.Frames, want.Frames)
		}
	}
	// A machine under load leaves frames out, so that the length is that of the numbers.
	var strips []uint32
	for i, img := range decodeVideo(t, path, 320, 240) {
		frame, ok := testsignal.ReadFrameID(img)
		if !ok || i > 0 && frame <= strips[i-1] {
			t.Errorf("frame %d has strip %d, %v", i, frame, ok)
		}
		strips = append(strips, frame)
	}
	// The other track may go on for longer, so that it is the times of the frames that count.
	var times []float64
	for _, packet := range p.Packets {
		if p.Streams[packet.Stream].Kind == "video" {
			times = append(times, number(t, packet.Time))
		}
	}
	length := float64(strips[len(strips)-1]-strips[0]) / 15
	if d := times[len(times)-1] - times[0]; math.Abs(d-length) > 0.05*length+0.2 {
		t.Errorf("the frames last %.3f s, their numbers say %.3f s", d, length)
	}
}
