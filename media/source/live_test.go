package source

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// TestLiveTimestamps: what is sent carries the time of its capture, also after days.
func TestLiveTimestamps(t *testing.T) {
	for mime, clock := range map[string]uint64{webrtc.MimeTypeVP8: 90000, webrtc.MimeTypeOpus: 48000} {
		live := NewLive(mime, "")
		if live.Bound() || live.StreamID() != "parley" || live.Codec() != mime {
			t.Errorf("%s: bound %v, stream %q, codec %q", mime, live.Bound(), live.StreamID(), live.Codec())
		}
		arrives := connect(t, live)
		frame := []byte{0, 0, 0}
		var r remote
		for waiting := true; waiting; { // the first packets may come before the connection is up
			live.WriteFrame(frame, 0)
			select {
			case r = <-arrives:
				waiting = false
			case <-time.After(5 * time.Millisecond):
			}
		}
		if !live.Bound() {
			t.Errorf("%s: not bound in a call", mime)
		}
		packet, _, err := r.track.ReadRTP()
		if err != nil {
			t.Fatal(err)
		}
		first := packet.Timestamp
		at := 100*time.Hour + 250*time.Millisecond
		want := uint32(uint64(at/time.Millisecond) * clock / 1000)
		live.WriteFrame(frame, at)
		for packet.Timestamp == first {
			if packet, _, err = r.track.ReadRTP(); err != nil {
				t.Fatal(err)
			}
		}
		if got := packet.Timestamp - first; got != want {
			t.Errorf("%s: %d ticks after %v, want %d", mime, got, at, want)
		}
	}
}

// fullWriter is a sender whose network may be full.
type fullWriter struct {
	webrtc.TrackLocalWriter
	full bool
}

func (w *fullWriter) Full() bool                                { return w.full }
func (w *fullWriter) WriteRTP(*rtp.Header, []byte) (int, error) { return 0, nil }

func TestLiveLeavesPicturesOutWhileTheNetworkIsFull(t *testing.T) {
	l, w := NewLive(webrtc.MimeTypeVP8, ""), &fullWriter{}
	l.bindings = []binding{{writer: w}}
	if l.WriteFrame([]byte{0}, 0); l.Full() {
		t.Error("it is full while the network is not")
	}
	if w.full = true; !l.Full() {
		t.Error("it is not full while the network is")
	}
	if l.last = l.last.Add(-2 * mostStill); l.Full() {
		t.Error("it stands still for good")
	}
}
