package decoder

import (
	"context"
	"errors"
	"image"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// slowDecoder takes 100 ms per frame, and fails for frames that begin with 0xBB.
type slowDecoder struct{ keysOnly bool }

func (slowDecoder) Decode(frame []byte) (image.Image, error) {
	time.Sleep(100 * time.Millisecond)
	if frame[0] == 0xBB {
		return nil, errors.New("broken")
	}
	return image.NewGray(image.Rect(0, 0, int(frame[0]), 1)), nil
}
func (s slowDecoder) KeyFramesOnly() bool { return s.keysOnly }
func (slowDecoder) Close()                {}

// TestViewer checks that WriteFrame does not block, and that decoding starts with a key frame, and
// again after a loss, after an invalid frame, and when it is too slow.
func TestViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var shown []int
		var warnings []string
		requests := 0
		v := NewViewer(ViewerOptions{
			NewDecoder: func(mime string) (Decoder, error) {
				if mime == webrtc.MimeTypeAV1 {
					return nil, errors.New("no such decoder")
				}
				return slowDecoder{keysOnly: mime == webrtc.MimeTypeVP9}, nil
			},
			Show:            func(img image.Image) { mu.Lock(); shown = append(shown, img.Bounds().Dx()); mu.Unlock() },
			RequestKeyFrame: func() { mu.Lock(); requests++; mu.Unlock() },
			Warn:            func(s string) { warnings = append(warnings, s) },
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { v.Run(ctx); close(done) }()
		write := func(mime string, number byte, key, gap bool) {
			start := time.Now()
			if err := v.WriteFrame(media.Frame{Codec: mime, Data: []byte{number}, Key: key, Gap: gap}); err != nil || time.Since(start) != 0 {
				t.Errorf("WriteFrame takes %v: %v", time.Since(start), err)
			}
		}
		check := func(name, want string, request bool) {
			t.Helper()
			synctest.Wait()
			time.Sleep(900 * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			var got strings.Builder
			for _, n := range shown {
				got.WriteByte(byte(n))
			}
			if got.String() != want || (requests > 0) != request {
				t.Errorf("%s: %q are shown, want %q; %d requests", name, got.String(), want, requests)
			}
			shown, requests = nil, 0
		}
		write(webrtc.MimeTypeVP8, 'a', false, false)
		check("no key frame", "", true)
		write(webrtc.MimeTypeVP8, 'b', true, false)
		write(webrtc.MimeTypeVP8, 'c', false, false)
		check("key frame", "bc", false)
		write(webrtc.MimeTypeVP8, 'd', false, true)
		write(webrtc.MimeTypeVP8, 'e', false, false)
		write(webrtc.MimeTypeVP8, 'f', true, false)
		check("gap", "f", true)
		write(webrtc.MimeTypeVP8, 0xBB, false, false)
		synctest.Wait()
		time.Sleep(150 * time.Millisecond)
		write(webrtc.MimeTypeVP8, 'g', false, false)
		check("broken", "", true)
		write(webrtc.MimeTypeVP8, 'h', true, false)
		synctest.Wait()
		for range 40 {
			write(webrtc.MimeTypeVP8, 'x', false, false)
		}
		write(webrtc.MimeTypeVP8, 'i', true, false)
		check("too slow", "hi", true)
		write(webrtc.MimeTypeVP9, 'j', true, false)
		time.Sleep(2 * time.Second)
		check("key frames only", "j", true)
		write(webrtc.MimeTypeAV1, 'k', true, false)
		check("no decoder", "", false)
		if len(warnings) != 2 || !strings.HasPrefix(warnings[0], "only key frames of VP9 are shown") || warnings[1] != "AV1 is not shown: no such decoder" {
			t.Errorf("warnings are %q", warnings)
		}
		cancel()
		<-done
	})
}

// TestFreezes takes frames that are shown for various times.
func TestFreezes(t *testing.T) {
	var f freezeDetector
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		ms   int
		want bool
	}{{0, false}, {40, false}, {40, false}, {180, false}, {40, false}, {400, true}, {6000, false}, {40, false}} {
		now = now.Add(time.Duration(step.ms) * time.Millisecond)
		if shown, frozen := f.next(now); frozen != step.want {
			t.Errorf("step %d: a frame that was shown for %v is a freeze: %v", i, shown, frozen)
		}
	}
}

// cornerDecoder returns frames of 4x2 that are black but for the top left corner.
type cornerDecoder struct{}

func (cornerDecoder) Decode([]byte) (image.Image, error) {
	p := image.NewYCbCr(image.Rect(0, 0, 4, 2), image.YCbCrSubsampleRatio420)
	p.Y[0] = 200
	return p, nil
}
func (cornerDecoder) KeyFramesOnly() bool { return false }
func (cornerDecoder) Close()              {}

// TestViewerRotates compares the size of the shown frames, and the place of their top left corner,
// for each rotation.
func TestViewerRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []image.Image
		v := NewViewer(ViewerOptions{
			NewDecoder: func(string) (Decoder, error) { return cornerDecoder{}, nil },
			Show:       func(img image.Image) { shown = append(shown, img) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { v.Run(ctx); close(done) }()
		for _, c := range []struct {
			rotation     int
			size, corner image.Point
		}{
			{0, image.Pt(4, 2), image.Pt(0, 0)}, {90, image.Pt(2, 4), image.Pt(1, 0)},
			{180, image.Pt(4, 2), image.Pt(3, 1)}, {270, image.Pt(2, 4), image.Pt(0, 3)},
		} {
			if err := v.WriteFrame(media.Frame{Codec: webrtc.MimeTypeVP8, Data: []byte{1}, Key: true, Rotation: c.rotation}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			got := shown[len(shown)-1].(*image.YCbCr)
			if got.Rect.Size() != c.size || got.YCbCrAt(c.corner.X, c.corner.Y).Y != 200 {
				t.Errorf("rotated by %d degrees it is %v and %v at %v, want %v and 200", c.rotation, got.Rect.Size(),
					got.YCbCrAt(c.corner.X, c.corner.Y).Y, c.corner, c.size)
			}
		}
		cancel()
		<-done
	})
}
