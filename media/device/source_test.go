//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"image"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/device/audiodevice"
	"parley/media/device/hotplug"
	"parley/media/internal/mediatest"
	"parley/media/source"
)

var (
	h264Capability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}
	opusCapability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	small          = image.Point{X: 160, Y: 120}
)

func startFake(t *testing.T, f *fakeCamera, o VideoOptions) *videoSource {
	t.Helper()
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	h, err := startCapture("camera", "camera fake", []string{webrtc.MimeTypeH264}, f, o)
	if err != nil {
		t.Fatal(err)
	}
	v := h.source(o)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// give captures frames until one arrives at the viewer; the encoder may drop some.
func give(t *testing.T, f *fakeCamera, v *viewer, size image.Point) (timestamp uint32, key bool) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case f.frames <- size:
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-done }()
	return v.frame(t)
}

func TestVideoSends(t *testing.T) {
	f := newFakeCamera(160, 120)
	v := startFake(t, f, VideoOptions{})
	running(t, v.Run)
	to := bind(t, v, h264Capability)
	first, key := give(t, f, to, small)
	if !key {
		t.Error("the first frame is no key frame")
	}
	for range 5 {
		if next, _ := give(t, f, to, small); int32(next-first) <= 0 {
			t.Fatalf("timestamp %d after %d", next, first)
		} else {
			first = next
		}
	}
}

func TestVideoKeyFrameOnRequest(t *testing.T) {
	f := newFakeCamera(160, 120)
	v := startFake(t, f, VideoOptions{Bitrate: 2_000_000})
	running(t, v.Run)
	to := bind(t, v, h264Capability)
	give(t, f, to, small)
	var r source.KeyFrameRequester = v
	r.RequestKeyFrame()
	// Before the request one frame may have been in the slot, one in the encoder and some in the
	// viewer.
	for len(to.packets) > 0 {
		if _, key := to.frame(t); key {
			return
		}
	}
	for range 3 {
		if _, key := give(t, f, to, small); key {
			return
		}
	}
	t.Error("three frames after the request there is no key frame")
}

func TestVideoComesBack(t *testing.T) {
	f := newFakeCamera(160, 120)
	warn, warnings := collectWarnings()
	v := startFake(t, f, VideoOptions{Warn: warn})
	gone, late := make(chan bool, 9), make(chan bool, 9)
	v.OnPresence(func(g bool) { gone <- g })
	running(t, v.Run)
	to := bind(t, v, h264Capability)
	give(t, f, to, small)
	f.setAbsent(true)
	f.trouble <- &hotplug.LostError{Err: syscall.ENODEV}
	if s := nextWarning(t, warnings); !strings.Contains(s, "camera fake is gone") {
		t.Errorf("it says %q", s)
	}
	v.capture.source(VideoOptions{}).OnPresence(func(g bool) { late <- g }) // a call that begins while it is lost
	for opened := 0; opened < 3; opened, _ = f.counts() {                   // until it has been retried
		select {
		case s := <-warnings:
			t.Fatalf("it says %q while the camera is away", s)
		case <-time.After(10 * time.Millisecond):
		}
	}
	for len(to.packets) > 0 {
		<-to.packets
	}
	f.setAbsent(false)
	if s := nextWarning(t, warnings); s != "camera fake is back" {
		t.Errorf("it says %q", s)
	}
	for name, events := range map[string]chan bool{"the call": gone, "the late call": late} {
		if away, back := <-events, <-events; !away || back || len(events) > 0 {
			t.Errorf("%s was notified that it is gone: %v, then %v, and %d times more", name, away, back, len(events))
		}
	}
	// Another size has another encoder, which begins with a key frame.
	if _, key := give(t, f, to, image.Point{X: 176, Y: 144}); !key {
		t.Error("it goes on without a key frame")
	}
}

// TestVideoFrameError has reads of single frames fail. The camera is not lost.
func TestVideoFrameError(t *testing.T) {
	f := newFakeCamera(160, 120)
	v := startFake(t, f, VideoOptions{})
	running(t, v.Run)
	to := bind(t, v, h264Capability)
	f.trouble <- errors.New("invalid JPEG format")
	f.frames <- image.Point{X: 2, Y: 2}
	f.frames <- image.Point{X: 8000, Y: 16}
	give(t, f, to, small)
	if opened, _ := f.counts(); opened != 1 {
		t.Errorf("the camera was opened %d times", opened)
	}
}

func TestVideoGivesTheCameraBack(t *testing.T) {
	for name, end := range map[string]func(*videoSource){
		"by Close": func(v *videoSource) { _ = v.Close(); _ = v.Close() },
		"by the end of Run": func(v *videoSource) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := v.Run(ctx); err != nil {
				t.Error(err)
			}
			_ = v.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeCamera(160, 120)
			v := startFake(t, f, VideoOptions{})
			end(v)
			if _, running := f.counts(); running != 0 {
				t.Error("the camera is still open")
			}
			var file *media.FileError
			if err := v.Run(context.Background()); !errors.As(err, &file) {
				t.Errorf("Run after that: %v", err)
			}
		})
	}
}

func TestVideoSaysWhatItCannotDo(t *testing.T) {
	warn, warnings := collectWarnings()
	startFake(t, newFakeCamera(320, 180), VideoOptions{Width: 320, Height: 240, FrameRate: 10, Warn: warn})
	if s := nextWarning(t, warnings); !strings.Contains(s, "320x180@30") || !strings.Contains(s, "320x240@10") {
		t.Errorf("it says %q", s)
	}
	startFake(t, newFakeCamera(320, 240), VideoOptions{Width: 320, Height: 240, FrameRate: 30, Warn: warn})
	startFake(t, newFakeCamera(320, 240), VideoOptions{Warn: warn})
	if len(warnings) > 0 {
		t.Errorf("warning %q, want none for a mode as requested", <-warnings)
	}
}

func TestVideoAbsentAtStart(t *testing.T) {
	f := newFakeCamera(320, 240)
	f.setAbsent(true)
	_, err := startCapture("camera:3", "camera fake", []string{webrtc.MimeTypeH264}, f, VideoOptions{})
	var file *media.FileError
	if !errors.As(err, &file) || file.Path != "camera:3" {
		t.Errorf("%v", err)
	}
}

func startFakeMicrophone(t *testing.T, o AudioOptions) (*fakeMicrophone, *microphoneSource) {
	t.Helper()
	f := &fakeMicrophone{opened: make(chan *fakeAudioStream, 10)}
	o.Warn, o.Logger, o.Channels, o.Bitrate = warnFunc(o.Warn), logger(o.Logger), 1, 32000
	h, err := startMicrophone("microphone", f, 48000, o)
	if err != nil {
		t.Fatal(err)
	}
	a := h.source()
	t.Cleanup(func() { _ = a.Close() })
	return f, a
}

func TestAudioComesBack(t *testing.T) {
	warn, warnings := collectWarnings()
	f, a := startFakeMicrophone(t, AudioOptions{Warn: warn})
	gone := make(chan bool, 9)
	a.OnPresence(func(g bool) { gone <- g })
	running(t, a.Run)
	to := bind(t, a, opusCapability)
	pcm := mediatest.Speech(960)
	first := <-f.opened
	// Run drops what was queued before, so send until a packet arrives.
	var before uint32 // the timestamp of the first packet
	for got := false; !got; {
		select {
		case first.in <- audiodevice.Chunk{PCM: pcm}:
		case p := <-to.packets:
			before, got = p.Timestamp, true
		}
	}
	f.setAbsent(true)
	close(first.gone)
	if s := nextWarning(t, warnings); !strings.Contains(s, "microphone fake is gone") {
		t.Errorf("it says %q", s)
	}
	<-first.closed
	for len(to.packets) > 0 {
		<-to.packets
	}
	f.setAbsent(false)
	second := <-f.opened
	if s := nextWarning(t, warnings); s != "microphone fake is back" {
		t.Errorf("it says %q", s)
	}
	if away, back := <-gone, <-gone; !away || back || len(gone) > 0 {
		t.Errorf("the call was notified that it is gone: %v, then %v, and %d times more", away, back, len(gone))
	}
	for {
		select {
		case second.in <- audiodevice.Chunk{PCM: pcm}:
			continue
		case p := <-to.packets:
			passed := time.Duration(p.Timestamp-before) * time.Second / 48000
			if passed < hotplug.MinRetryDelay || passed > testTime {
				t.Errorf("timestamps say that %v have passed, and it was away for %v", passed, hotplug.MinRetryDelay)
			}
		}
		return
	}
}

func TestAudioPacketsFollowEachOther(t *testing.T) {
	f, a := startFakeMicrophone(t, AudioOptions{})
	running(t, a.Run)
	to := bind(t, a, opusCapability)
	s := <-f.opened
	go func() {
		for range 100 {
			select {
			case s.in <- audiodevice.Chunk{PCM: mediatest.Speech(480)}:
			case <-s.closed:
				return
			}
		}
	}()
	last := to.next(t)
	for range 20 {
		p := to.next(t)
		if p.Timestamp-last.Timestamp != 960 || p.SequenceNumber-last.SequenceNumber != 1 {
			t.Fatalf("packet %d at %d after %d at %d", p.SequenceNumber, p.Timestamp, last.SequenceNumber, last.Timestamp)
		}
		last = p
	}
}
