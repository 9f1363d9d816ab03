package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"
)

// keepEncoder keeps what it is to encode. The encoders proper are tested where they are.
type keepEncoder struct {
	took    time.Duration // of each frame
	skips   bool          // leaves out what is no key frame, and the first key frame
	codec   string
	width   int
	height  int
	rate    float64
	bitrate int

	mu     sync.Mutex // guards what follows
	at     []time.Duration
	luma   []byte
	keys   []bool
	closed bool
}

func (k *keepEncoder) make(width, height int, rate float64, bitrate int) (VideoEncoder, error) {
	k.width, k.height, k.rate, k.bitrate = width, height, rate, bitrate
	return k, nil
}

func (k *keepEncoder) Codec() string { return k.codec }

func (k *keepEncoder) Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error) {
	time.Sleep(k.took)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.luma, k.keys = append(k.at, at), append(k.luma, p.Y[0]), append(k.keys, key)
	if p.Rect.Dx() != k.width || p.Rect.Dy() != k.height || p.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return nil, fmt.Errorf("the frame is %v", p.Rect)
	}
	if k.skips && len(k.at) == 1 {
		return nil, nil
	}
	return []byte{0x10, 2, 3}, nil
}

func (k *keepEncoder) SetBitrate(bitrate int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bitrate = bitrate
	return nil
}

func (k *keepEncoder) Close() { k.closed = true }

// y4mStream returns a Y4M stream of frames of one gray each, 0, 1, 2 and so on.
func y4mStream(head string, size, count int) []byte {
	b := []byte("YUV4MPEG2 " + head + "\n")
	for i := range count {
		b = append(append(b, "FRAME\n"...), bytes.Repeat([]byte{byte(i)}, size)...)
	}
	return b
}

func openY4M(t *testing.T, data []byte, o VideoOptions) *rawVideo {
	t.Helper()
	s, err := OpenVideo(write(t, "a.y4m", data), o)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*rawVideo)
}

// TestY4MPace: raw frames go out at their rate, scaled; those above the rate that was asked for are
// left out.
func TestY4MPace(t *testing.T) {
	data := y4mStream("W64 H48 F20:1 C420jpeg", 64*48*3/2, 40)
	for _, test := range []struct {
		rate  float64
		count int
	}{{0, 40}, {10, 20}, {15, 30}, {100, 40}} {
		synctest.Test(t, func(t *testing.T) {
			k := &keepEncoder{codec: "video/VP8"}
			s := openY4M(t, data, VideoOptions{NewEncoder: k.make, Width: 32, Height: 32, FrameRate: test.rate, Bitrate: 1000})
			c := mediatest.Bind(t, s)
			start := time.Now()
			if err := s.Run(context.Background()); err != nil {
				t.Error(err)
			}
			if len(k.at) != test.count || len(c.Packets) != test.count || k.width != 32 || k.rate != min(20, or(test.rate, 20)) || k.bitrate != 1000 {
				t.Errorf("%d frames of width %d at %v", len(k.at), k.width, k.rate)
			}
			for i, at := range k.at {
				if at != time.Duration(k.luma[i])*50*time.Millisecond || c.Times[i].Sub(start) != at || k.keys[i] != (i == 0) {
					t.Errorf("frame %d is at %v, sent at %v, key %v", k.luma[i], at, c.Times[i].Sub(start), k.keys[i])
				}
			}
			if err := s.Close(); err != nil || !k.closed {
				t.Errorf("close: %v, %v", err, k.closed)
			}
		})
	}
}

func or(a, b float64) float64 {
	if a == 0 {
		return b
	}
	return a
}

// TestY4MSlow: an encoder that is too slow leaves frames out; who asks for a key frame gets it, and
// the bitrate is set.
func TestY4MSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keepEncoder{codec: "video/VP8", took: 120 * time.Millisecond, skips: true}
		s := openY4M(t, y4mStream("W64 H48 F20:1", 64*48*3/2, 40), VideoOptions{NewEncoder: k.make})
		mediatest.Bind(t, s)
		go func() {
			time.Sleep(time.Second)
			s.RequestKeyFrame()
			s.SetBitrate(77000)
		}()
		start := time.Now()
		if err := s.Run(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 2200*time.Millisecond || len(k.at) < 12 || len(k.at) > 16 || k.bitrate != 77000 {
			t.Errorf("%d frames in %v, bitrate %d", len(k.at), took, k.bitrate)
		}
		// The first was left out, so that the key frame is still owed.
		keys := 0
		for i, key := range k.keys {
			if key {
				keys++
			}
			if i == 1 && !key {
				t.Error("the key frame that was left out is forgotten")
			}
		}
		if keys != 3 {
			t.Errorf("%d key frames", keys)
		}
		_ = s.Close()
	})
}

// TestY4MLoop: a file goes on from its start, in time.
func TestY4MLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keepEncoder{codec: "video/VP8"}
		s := openY4M(t, y4mStream("W64 H48 F20:1", 64*48*3/2, 10), VideoOptions{NewEncoder: k.make, Loop: true})
		mediatest.Bind(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), 1240*time.Millisecond)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(k.at) != 25 || k.luma[10] != 0 || k.at[10] != 500*time.Millisecond || k.luma[24] != 4 {
			t.Errorf("%d frames: %v at %v", len(k.at), k.luma, k.at)
		}
		_ = s.Close()
	})
}

// TestHostileY4M: what raw frames cannot be.
func TestHostileY4M(t *testing.T) {
	for want, data := range map[string][]byte{
		"want 16x16 to 4096x4096":        y4mStream("W8 H8", 0, 0),
		"the file is cut off in frame 2": y4mStream("W16 H16", 384, 2)[:500],
		"raw video needs an encoder":     y4mStream("W16 H16", 384, 1),
	} {
		o := VideoOptions{NewEncoder: (&keepEncoder{codec: "video/VP8"}).make}
		if strings.Contains(want, "needs an encoder") {
			o.NewEncoder = nil
		}
		s, err := OpenVideo(write(t, "a.y4m", data), o)
		if err == nil {
			err = s.Run(testContext(t))
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	bad := errors.New("no such encoder")
	_, err := OpenVideo(write(t, "a.y4m", y4mStream("W16 H16", 384, 1)), VideoOptions{
		NewEncoder: func(int, int, float64, int) (VideoEncoder, error) { return nil, bad }})
	if file := (*media.FileError)(nil); !errors.Is(err, bad) || !errors.As(err, &file) {
		t.Errorf("error is %v", err)
	}
}
