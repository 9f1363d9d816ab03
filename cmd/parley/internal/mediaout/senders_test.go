package mediaout

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"parley/media/device"
	"parley/media/source"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/track"
)

// TestChangesOfOneKind: while the source of a new video track sends nothing, other changes of video
// wait until their context ends, those of audio do not wait, and the end of the call ends all.
func TestChangesOfOneKind(t *testing.T) {
	call, end := context.WithCancel(t.Context())
	s := New(call, Options{Epoch: testsignal.NewEpoch(), Logger: slog.New(slog.DiscardHandler)})
	adding := make(chan error, 1)
	go func() { adding <- s.Add(t.Context(), "video", "exec:exec sleep 60") }()
	for len(s.changes["video"]) == 0 {
		select {
		case err := <-adding:
			t.Fatalf("a program that writes nothing was added: %v", err)
		default:
			runtime.Gosched()
		}
	}
	if err := s.Remove(t.Context(), "audio"); err == nil || err.Error() != "no audio is sent" {
		t.Errorf("removing audio meanwhile: %v", err)
	}
	for _, change := range []func(context.Context) error{
		func(ctx context.Context) error { return s.Remove(ctx, "video") },
		func(ctx context.Context) error { return s.Mute(ctx, "", true) },
		func(ctx context.Context) error { return s.Hold(ctx, true) },
	} {
		late := errors.New("too late")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(late)
		if err := change(ctx); !errors.Is(err, late) {
			t.Errorf("a change whose context has ended: %v", err)
		}
	}
	removing := make(chan error, 1)
	go func() { removing <- s.Remove(t.Context(), "video") }()
	end()
	if err := <-adding; !errors.Is(err, peer.ErrOver) {
		t.Errorf("adding until the call ended: %v", err)
	}
	if err := <-removing; !errors.Is(err, peer.ErrOver) {
		t.Errorf("removing until the call ended: %v", err)
	}
	s.Close()
	if err := s.Add(t.Context(), "audio", "test"); !errors.Is(err, peer.ErrOver) {
		t.Errorf("adding after the call: %v", err)
	}
}

// The test pattern follows the bandwidth estimation; from an encoder it makes key frames on request
// and is sent in several encodings too.
func TestTestPatternOffersWhatACallAsksFor(t *testing.T) {
	s, err := source.OpenVideo("test", source.VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.(track.BitrateSetter); !ok {
		t.Errorf("%T is no BitrateSetter", s)
	}
	if len(device.Codecs()) == 0 {
		return // this build has no encoder
	}
	e, err := device.OpenVideo("test", device.VideoOptions{Simulcast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, ok := e.(track.BitrateSetter); !ok {
		t.Errorf("%T is no BitrateSetter", e)
	}
	if _, ok := e.(track.KeyFrameRequester); !ok {
		t.Errorf("%T is no KeyFrameRequester", e)
	}
	if l, ok := e.(track.Simulcast); !ok || len(l.Layers()) == 0 {
		t.Errorf("%T has no simulcast layers", e)
	}
}
