package localtrack

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTimestamps: a packet carries the capture time of its frame, also after days.
func TestTimestamps(t *testing.T) {
	for mime, clock := range map[string]uint64{webrtc.MimeTypeVP8: 90000, webrtc.MimeTypeOpus: 48000} {
		track := New(Capability(mime), "", nil)
		if track.Bound() || track.StreamID() != "parley" || track.Codec() != mime {
			t.Errorf("%s: bound %v, stream %q, codec %q", mime, track.Bound(), track.StreamID(), track.Codec())
		}
		c := mediatest.Bind(t, track)
		if !track.Bound() {
			t.Errorf("%s: not bound", mime)
		}
		frame := []byte{0xF8, 0, 0}
		at := 100*time.Hour + 250*time.Millisecond
		track.WriteFrame(frame, 0)
		track.WriteFrame(frame, at)
		want := uint32(uint64(at/time.Millisecond) * clock / 1000) //nolint:gosec // wraps by design
		if got := c.Packets[1].Timestamp - c.Packets[0].Timestamp; got != want {
			t.Errorf("%s: %d ticks after %v, want %d", mime, got, at, want)
		}
	}
}

func TestCongested(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeVP8), "", nil)
	c := mediatest.Bind(t, track)
	if track.WriteFrame([]byte{0}, 0); track.Congested() {
		t.Error("congested while the network is not")
	}
	if c.Congested = true; !track.Congested() {
		t.Error("not congested while the network is")
	}
	if track.lastSent = track.lastSent.Add(-2 * maxFreeze); track.Congested() {
		t.Error("congested for ever")
	}
}

// TestPacketSize: with all header extensions, retransmission and SRTP no packet exceeds 1200 bytes.
func TestPacketSize(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264} {
		track := New(Capability(mime), "", nil)
		c := mediatest.Bind(t, track)
		frame := make([]byte, 40_000)
		for i := range frame {
			frame[i] = byte(rand.N(255) + 1)
		}
		switch mime {
		case webrtc.MimeTypeH264:
			copy(frame, []byte{0, 0, 0, 1, 0x65})
		case webrtc.MimeTypeAV1:
			copy(frame, []byte{0x32, 0xBB, 0xB8, 0x02}) // frame OBU of 39,995 bytes
			frame = frame[:39_999]
		case webrtc.MimeTypeVP9:
			copy(frame, []byte{0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0e, 0xf6, 0})
		}
		track.WriteFrame(frame, 0)
		if len(c.Packets) < 30 {
			t.Errorf("%s: frame of %d bytes sent in %d packets", mime, len(frame), len(c.Packets))
		}
		for i, p := range c.Packets {
			if len(p.Payload) > 1142 {
				t.Errorf("%s: payload of %d bytes", mime, len(p.Payload))
			}
			if p.Marker != (i == len(c.Packets)-1) {
				t.Errorf("%s: packet %d of %d has marker %v", mime, i, len(c.Packets), p.Marker)
			}
		}
	}
}

// TestFramesAreBursts: the packets of a frame of video leave together, those of audio one by one.
func TestFramesAreBursts(t *testing.T) {
	video := New(Capability(webrtc.MimeTypeVP8), "", nil)
	one, two := mediatest.Bind(t, video), mediatest.Bind(t, video)
	video.Write(make([]byte, 10*maxPayloadSize-100), 0)
	video.Write([]byte{0}, 3000)
	for _, c := range []*mediatest.Sender{one, two} {
		if want := []int{10, 1}; !slices.Equal(c.Bursts, want) || len(c.Packets) != 11 {
			t.Errorf("%d packets in bursts of %v, want %v", len(c.Packets), c.Bursts, want)
		}
	}
	audio := New(Capability(webrtc.MimeTypeOpus), "", nil)
	c := mediatest.Bind(t, audio)
	if audio.Write([]byte{0xF8, 1, 2, 3}, 0); len(c.Packets) != 1 || len(c.Bursts) != 0 {
		t.Errorf("%d packets of audio in bursts of %v", len(c.Packets), c.Bursts)
	}
}

// TestLongOpusPackets: Opus packets of 120 ms at 256 kbit/s, of 3840 bytes, are split into packets
// that fit.
func TestLongOpusPackets(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeOpus), "", nil)
	c := mediatest.Bind(t, track)
	packet := append([]byte{0xFF, 0x06}, make([]byte, 6*640)...) // CELT fullband 20 ms stereo, code 3: six frames, CBR
	track.Write(packet, 0)
	track.Write(packet, 5760)
	if len(c.Packets) != 12 {
		t.Fatalf("sent %d packets, want 12", len(c.Packets))
	}
	for i, p := range c.Packets {
		if got, want := p.Timestamp-c.Packets[0].Timestamp, uint32(i*960); got != want || len(p.Payload) != 641 || //nolint:gosec // small
			codec.OpusPacketSamples(p.Payload) != 960 || p.SequenceNumber != c.Packets[0].SequenceNumber+uint16(i) { //nolint:gosec // small
			t.Errorf("packet %d: timestamp %d, want %d, %d bytes", i, got, want, len(p.Payload))
		}
	}
}

// TestTalkspurtMarker: the first packet after silence has the marker bit (RFC 3551 section 4.1).
func TestTalkspurtMarker(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeOpus), "", nil)
	c := mediatest.Bind(t, track)
	packet := []byte{0xF8, 1, 2, 3} // 20 ms
	for _, ticks := range []uint64{0, 960, 1920, 19200, 20160} {
		track.Write(packet, ticks)
	}
	var got []bool
	for _, p := range c.Packets {
		got = append(got, p.Marker)
	}
	if want := []bool{true, false, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("markers %v, want %v", got, want)
	}
}

// TestPacketizationMode0: a peer without fragmentation units receives single NAL units (RFC 6184
// section 6.2); one that does not fit is fragmented, with a warning.
func TestPacketizationMode0(t *testing.T) {
	var log bytes.Buffer
	track := New(Capability(webrtc.MimeTypeH264), "", slog.New(slog.NewTextHandler(&log, nil)))
	c := mediatest.Bind(t, track, mediatest.BrowserCodecs()[4])
	unit := func(kind byte, size int) []byte {
		return append([]byte{0, 0, 0, 1, kind}, bytes.Repeat([]byte{0x80}, size-1)...)
	}
	frame := slices.Concat(unit(codec.NALSPS, 10), unit(codec.NALPPS, 5), unit(codec.NALIDR, 1000), unit(codec.NALIDR, 1100))
	track.WriteFrame(frame, 0)
	var got []int
	for i, p := range c.Packets {
		got = append(got, len(p.Payload))
		if p.Payload[0]&0x1F > 23 || p.Marker != (i == 3) {
			t.Errorf("packet %d has type %d, marker %v", i, p.Payload[0]&0x1F, p.Marker)
		}
	}
	if want := []int{10, 5, 1000, 1100}; !slices.Equal(got, want) {
		t.Errorf("payloads of %v bytes, want %v", got, want)
	}
	for range 3 {
		track.WriteFrame(unit(codec.NALIDR, 5000), time.Second)
	}
	if len(c.Packets) != 4+3*5 || strings.Count(log.String(), "packetization-mode 0") != 1 {
		t.Errorf("%d packets; log:\n%s", len(c.Packets), &log)
	}
}

// TestRotation: a peer that negotiated the extension receives the orientation with the last packet
// of each frame; for another one there is a warning.
func TestRotation(t *testing.T) {
	var log bytes.Buffer
	track := New(Capability(webrtc.MimeTypeVP8), "", slog.New(slog.NewTextHandler(&log, nil)))
	track.SetRotation(90)
	c := mediatest.Bind(t, track)
	track.WriteFrame(make([]byte, 3000), 0)
	track.SetRotation(270)
	track.WriteFrame(make([]byte, 10), time.Second)
	var got [][]byte
	for _, p := range c.Packets {
		got = append(got, p.GetExtension(4))
	}
	if want := [][]byte{nil, nil, {1}, {3}}; !slices.EqualFunc(got, want, bytes.Equal) || log.Len() > 0 {
		t.Errorf("extensions %v, want %v; log %q", got, want, &log)
	}
	if _, err := track.Bind(&mediatest.Sender{Codecs: mediatest.BrowserCodecs()}); err != nil || !strings.Contains(log.String(), "orientation") {
		t.Errorf("bound with %v; log %q", err, &log)
	}
}
