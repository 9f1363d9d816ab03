//go:build linux && cgo

package device

import (
	"context"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// viewer is a webrtc.TrackLocalContext that keeps the packets of a track.
type viewer struct {
	webrtc.TrackLocalContext
	codec   webrtc.RTPCodecParameters
	packets chan rtp.Packet
}

func bind(t *testing.T, track webrtc.TrackLocal, codec webrtc.RTPCodecCapability) *viewer {
	t.Helper()
	v := &viewer{
		codec:   webrtc.RTPCodecParameters{RTPCodecCapability: codec, PayloadType: 99},
		packets: make(chan rtp.Packet, 10000),
	}
	if _, err := track.Bind(v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *viewer) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }

func (v *viewer) CodecParameters() []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{v.codec}
}
func (v *viewer) SSRC() webrtc.SSRC                    { return 7 }
func (v *viewer) WriteStream() webrtc.TrackLocalWriter { return v }
func (v *viewer) ID() string                           { return "viewer" }
func (v *viewer) RTCPReader() interceptor.RTCPReader   { return nil }
func (v *viewer) Write([]byte) (int, error)            { panic("not used") }

func (v *viewer) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	v.packets <- rtp.Packet{Header: *h, Payload: append([]byte(nil), payload...)}
	return len(payload), nil
}

// next waits for the next packet.
func (v *viewer) next(t *testing.T) rtp.Packet {
	t.Helper()
	select {
	case p := <-v.packets:
		return p
	case <-time.After(testTime):
		t.Fatal("no packet comes")
	}
	return rtp.Packet{}
}

// frame waits for the next frame of H.264, and returns its timestamp and whether it is a key frame.
func (v *viewer) frame(t *testing.T) (timestamp uint32, key bool) {
	t.Helper()
	for {
		p := v.next(t)
		kind := p.Payload[0] & 31
		if kind == 28 { // FU-A: the kind is in the second byte (RFC 6184 section 5.8)
			kind = p.Payload[1] & 31
		}
		key = key || kind == 5
		if p.Marker {
			return p.Timestamp, key
		}
	}
}

// testTime bounds every wait of these tests; nothing waits for it to pass.
const testTime = 30 * time.Second

// running runs a source until the test ends, and then checks its error.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// collectWarnings returns a function for Warn, and the channel of the texts.
func collectWarnings() (warn func(string), warnings chan string) {
	warnings = make(chan string, 100)
	return func(s string) { warnings <- s }, warnings
}

func nextWarning(t *testing.T, warnings chan string) string {
	t.Helper()
	select {
	case s := <-warnings:
		return s
	case <-time.After(testTime):
		t.Fatal("no warning")
		return ""
	}
}
