package source

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"parley/media"
	"parley/media/internal/mediatest"
	"parley/media/receiver"

	"github.com/pion/webrtc/v4"
)

// sample is a sample of one track.
type sample struct {
	data         []byte
	at, duration uint64
}

// nextSample reads the next sample of a source that is a file.
func nextSample(s Source) (sample, error) {
	q, err := s.(*playerTrack).player.next()
	return sample{data: q.Data, at: q.Time, duration: q.Duration}, err
}

// frames reads all frames of a file.
func frames(t testing.TB, path string, o VideoOptions) (*playerTrack, []sample) {
	t.Helper()
	open := func() (Source, error) { return OpenVideo(path, o) }
	if _, err := open(); err != nil {
		open = func() (Source, error) { return OpenAudio(path, AudioOptions{}) }
	}
	source, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	file := source.(*playerTrack)
	var all []sample
	for {
		s, err := nextSample(file)
		if err == io.EOF {
			return file, all
		}
		if err != nil {
			t.Fatal(err)
		}
		s.data = append([]byte(nil), s.data...)
		all = append(all, s)
	}
}

// packetize returns the packets of the frames of a file, each at the time of its frame.
func packetize(t testing.TB, file *playerTrack, all []sample) []mediatest.Sent {
	t.Helper()
	c := mediatest.Bind(t, file)
	var out []mediatest.Sent
	for _, s := range all {
		before := len(c.Packets)
		file.Write(s.data, s.at)
		for _, p := range c.Packets[before:] {
			out = append(out, mediatest.Sent{Packet: p, At: media.TicksToDuration(int64(s.at), file.Capability().ClockRate)})
		}
	}
	return out
}

// receiveAll returns the frames that a Receiver makes of packets, in a bubble of synctest, where
// waiting takes no time.
func receiveAll(t *testing.T, mime string, packets []mediatest.Sent) (frames []media.Frame) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, sink := mediatest.NewWire(mime), &mediatest.FrameList{}
		r := receiver.New(w, receiver.Options{RTCP: w.RTCP(), Sinks: []media.FrameSink{sink}})
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		w.Play(packets)
		if err := <-done; err != nil {
			t.Error(err)
		}
		frames = sink.Frames
	})
	return frames
}

// videoClips are files of every video codec, of 50 frames with a key frame each 10.
func videoClips(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		webrtc.MimeTypeVP8:  clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeVP9:  clip(t, "vp9.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeAV1:  clip(t, "av1.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeH264: clip(t, "h264.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3", "-b:v", "2M"),
	}
}
