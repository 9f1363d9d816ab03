//go:build linux && cgo

package device

import (
	"errors"
	"image"
	"sync"
	"time"

	"parley/media/device/audiodevice"
	"parley/media/device/videodevice"
)

// fakeCamera is a camera whose frames and errors come from a test.
type fakeCamera struct {
	is      videodevice.Mode
	frames  chan image.Point // sizes of frames
	trouble chan error       // errors of reads

	mu      sync.Mutex // guards what follows
	absent  bool
	opened  int
	running int
}

func newFakeCamera(width, height int) *fakeCamera {
	return &fakeCamera{
		is:     videodevice.Mode{Width: width, Height: height, Rate: 30},
		frames: make(chan image.Point), trouble: make(chan error),
	}
}

func (f *fakeCamera) String() string { return "fake" }

func (f *fakeCamera) Open() (videodevice.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	if f.absent {
		return nil, errors.New("it is not there")
	}
	f.running++
	return &fakeStream{f: f}, nil
}

func (f *fakeCamera) setAbsent(absent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.absent = absent
}

func (f *fakeCamera) counts() (opened, running int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened, f.running
}

type fakeStream struct {
	f *fakeCamera
	n int
}

func (s *fakeStream) Mode() videodevice.Mode { return s.f.is }

// Read has a timeout, as that of a camera.
func (s *fakeStream) Read() (*image.YCbCr, func(), error) {
	select {
	case size := <-s.f.frames:
		p := image.NewYCbCr(image.Rect(0, 0, size.X, size.Y), image.YCbCrSubsampleRatio420)
		s.n++
		for i := range p.Y {
			p.Y[i] = byte(i%size.X + 3*s.n) // a gradient that moves
		}
		return p, func() {}, nil
	case err := <-s.f.trouble:
		return nil, nil, err
	case <-time.After(50 * time.Millisecond):
		return nil, nil, errors.New("read timeout")
	}
}

func (s *fakeStream) Close() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.running--
}

// fakeMicrophone is a microphone whose samples come from a test.
type fakeMicrophone struct {
	mu     sync.Mutex // guards what follows
	absent bool
	now    *fakeAudioStream
	opened chan *fakeAudioStream
}

func (f *fakeMicrophone) String() string { return "fake" }

func (f *fakeMicrophone) Open() (audiodevice.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.absent {
		return nil, errors.New("it is not there")
	}
	f.now = &fakeAudioStream{in: make(chan audiodevice.Chunk, 8), gone: make(chan struct{}), closed: make(chan struct{})}
	f.opened <- f.now
	return f.now, nil
}

func (f *fakeMicrophone) setAbsent(absent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.absent = absent
}

type fakeAudioStream struct {
	in     chan audiodevice.Chunk
	gone   chan struct{}
	closed chan struct{}
}

func (s *fakeAudioStream) Chunks() <-chan audiodevice.Chunk { return s.in }
func (s *fakeAudioStream) Stopped() <-chan struct{}         { return s.gone }
func (s *fakeAudioStream) Close()                           { close(s.closed) }
