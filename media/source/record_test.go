//go:build !quick

package source

import (
	"fmt"
	"path/filepath"
	"testing"

	"parley/media"
	"parley/media/internal/mediatest"
	"parley/media/recorder"

	"github.com/pion/webrtc/v4"
)

func newRecorder(t *testing.T, name string, o recorder.Options) (*recorder.Recorder, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	r, err := recorder.New(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, path
}

func recordTrackOf(t *testing.T, r *recorder.Recorder, mime string) media.FrameSink {
	t.Helper()
	sink, err := r.AddTrack(mime, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// TestRecordLoss: a recording of a bad connection decodes without an error, and each frame in it is
// one that was sent.
func TestRecordLoss(t *testing.T) {
	for mime, path := range videoClips(t) {
		file, all := frames(t, path, VideoOptions{})
		original := make(map[string]bool)
		for _, img := range decodeVideo(t, path, 160, 120) {
			original[string(img.Pix)] = true
		}
		extension := ".webm"
		if mime == webrtc.MimeTypeH264 {
			extension = ".h264"
		}
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(media.CodecName(mime), seed), func(t *testing.T) {
				rec, out := newRecorder(t, "out"+extension, recorder.Options{})
				lines, _, _ := mediatest.Shuffle(packetize(t, file, all), seed, 0.1, 0.04, 0.05)
				received := receiveAll(t, mime, lines)
				sink := recordTrackOf(t, rec, mime)
				for _, f := range received {
					if err := sink.WriteFrame(f); err != nil {
						t.Fatal(err)
					}
				}
				if err := rec.Close(); err != nil {
					t.Fatal(err)
				}
				for i, img := range decodeVideo(t, out, 160, 120) {
					if !original[string(img.Pix)] {
						t.Errorf("frame %d was never sent", i)
					}
				}
			})
		}
	}
}
