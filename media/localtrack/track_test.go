package localtrack

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capture is a sender that keeps the packets.
type capture struct {
	codecs     []webrtc.RTPCodecParameters
	extensions []webrtc.RTPHeaderExtensionParameter
	congested  bool

	mu      sync.Mutex // guards packets
	packets []*rtp.Packet
}

// bind binds a track to a new capture that negotiated codecs, by default those of a browser.
func bind(t testing.TB, track webrtc.TrackLocal, codecs ...webrtc.RTPCodecParameters) *capture {
	t.Helper()
	if len(codecs) == 0 {
		codecs = negotiated()
	}
	c := &capture{codecs: codecs, extensions: []webrtc.RTPHeaderExtensionParameter{{URI: media.VideoOrientationURI, ID: 4}}}
	if _, err := track.Bind(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// negotiated returns codecs as a browser offers them.
func negotiated() []webrtc.RTPCodecParameters {
	video := func(mime, fmtp string, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp}}
	}
	return []webrtc.RTPCodecParameters{
		video("video/rtx", "apt=96", 97),
		video("video/VP8", "", 96),
		video("video/VP9", "profile-id=0", 98),
		video("video/VP9", "profile-id=2", 100),
		video("video/H264", "packetization-mode=0;profile-level-id=42e01f", 108),
		video("video/H264", "packetization-mode=1;profile-level-id=42e01f", 109),
		video("video/H264", "packetization-mode=1;profile-level-id=640032", 110),
		video("video/AV1", "profile=0", 45),
		{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "audio/opus", ClockRate: 48000, Channels: 2}},
	}
}

func (c *capture) CodecParameters() []webrtc.RTPCodecParameters           { return c.codecs }
func (c *capture) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return c.extensions }
func (c *capture) SSRC() webrtc.SSRC                                      { return 0xC0FFEE }
func (c *capture) SSRCRetransmission() webrtc.SSRC                        { return 0 }
func (c *capture) SSRCForwardErrorCorrection() webrtc.SSRC                { return 0 }
func (c *capture) WriteStream() webrtc.TrackLocalWriter                   { return c }
func (c *capture) ID() string                                             { return "capture" }
func (c *capture) RTCPReader() interceptor.RTCPReader                     { return nil }
func (c *capture) Write([]byte) (int, error)                              { return 0, io.ErrClosedPipe }
func (c *capture) Full() bool                                             { return c.congested }

func (c *capture) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, &rtp.Packet{Header: *h, Payload: slices.Clone(payload)})
	return len(payload), nil
}

// TestTimestamps: a packet carries the capture time of its frame, also after days.
func TestTimestamps(t *testing.T) {
	for mime, clock := range map[string]uint64{webrtc.MimeTypeVP8: 90000, webrtc.MimeTypeOpus: 48000} {
		track := New(Capability(mime), "", nil)
		if track.Bound() || track.StreamID() != "parley" || track.Codec() != mime {
			t.Errorf("%s: bound %v, stream %q, codec %q", mime, track.Bound(), track.StreamID(), track.Codec())
		}
		c := bind(t, track)
		if !track.Bound() {
			t.Errorf("%s: not bound", mime)
		}
		frame := []byte{0xF8, 0, 0}
		at := 100*time.Hour + 250*time.Millisecond
		track.WriteFrame(frame, 0)
		track.WriteFrame(frame, at)
		want := uint32(uint64(at/time.Millisecond) * clock / 1000) //nolint:gosec // wraps by design
		if got := c.packets[1].Timestamp - c.packets[0].Timestamp; got != want {
			t.Errorf("%s: %d ticks after %v, want %d", mime, got, at, want)
		}
	}
}

func TestCongested(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeVP8), "", nil)
	c := bind(t, track)
	if track.WriteFrame([]byte{0}, 0); track.Congested() {
		t.Error("congested while the network is not")
	}
	if c.congested = true; !track.Congested() {
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
		c := bind(t, track)
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
		if len(c.packets) < 30 {
			t.Errorf("%s: frame of %d bytes sent in %d packets", mime, len(frame), len(c.packets))
		}
		for i, p := range c.packets {
			if len(p.Payload) > 1142 {
				t.Errorf("%s: payload of %d bytes", mime, len(p.Payload))
			}
			if p.Marker != (i == len(c.packets)-1) {
				t.Errorf("%s: packet %d of %d has marker %v", mime, i, len(c.packets), p.Marker)
			}
		}
	}
}

// TestLongOpusPackets: Opus packets of 120 ms at 256 kbit/s, of 3840 bytes, are split into packets that fit.
func TestLongOpusPackets(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeOpus), "", nil)
	c := bind(t, track)
	packet := append([]byte{0xFF, 0x06}, make([]byte, 6*640)...) // CELT fullband 20 ms stereo, code 3: six frames, CBR
	track.Write(packet, 0)
	track.Write(packet, 5760)
	if len(c.packets) != 12 {
		t.Fatalf("sent %d packets, want 12", len(c.packets))
	}
	for i, p := range c.packets {
		if got, want := p.Timestamp-c.packets[0].Timestamp, uint32(i*960); got != want || len(p.Payload) != 641 || //nolint:gosec // small
			codec.OpusPacketSamples(p.Payload) != 960 || p.SequenceNumber != c.packets[0].SequenceNumber+uint16(i) { //nolint:gosec // small
			t.Errorf("packet %d: timestamp %d, want %d, %d bytes", i, got, want, len(p.Payload))
		}
	}
}

// TestTalkspurtMarker: the first packet after silence has the marker bit (RFC 3551 section 4.1).
func TestTalkspurtMarker(t *testing.T) {
	track := New(Capability(webrtc.MimeTypeOpus), "", nil)
	c := bind(t, track)
	packet := []byte{0xF8, 1, 2, 3} // 20 ms
	for _, ticks := range []uint64{0, 960, 1920, 19200, 20160} {
		track.Write(packet, ticks)
	}
	var got []bool
	for _, p := range c.packets {
		got = append(got, p.Marker)
	}
	if want := []bool{true, false, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("markers %v, want %v", got, want)
	}
}

// TestPacketizationMode0: a peer without fragmentation units receives single NAL units (RFC 6184 section 6.2); one that
// does not fit is fragmented, with a warning.
func TestPacketizationMode0(t *testing.T) {
	var log bytes.Buffer
	track := New(Capability(webrtc.MimeTypeH264), "", slog.New(slog.NewTextHandler(&log, nil)))
	c := bind(t, track, negotiated()[4])
	unit := func(kind byte, size int) []byte {
		return append([]byte{0, 0, 0, 1, kind}, bytes.Repeat([]byte{0x80}, size-1)...)
	}
	frame := slices.Concat(unit(codec.NALSPS, 10), unit(codec.NALPPS, 5), unit(codec.NALIDR, 1000), unit(codec.NALIDR, 1100))
	track.WriteFrame(frame, 0)
	var got []int
	for i, p := range c.packets {
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
	if len(c.packets) != 4+3*5 || strings.Count(log.String(), "packetization-mode 0") != 1 {
		t.Errorf("%d packets; log:\n%s", len(c.packets), &log)
	}
}

// TestRotation: a peer that negotiated the extension receives the orientation with the last packet of each frame; for
// another one there is a warning.
func TestRotation(t *testing.T) {
	var log bytes.Buffer
	track := New(Capability(webrtc.MimeTypeVP8), "", slog.New(slog.NewTextHandler(&log, nil)))
	track.SetRotation(90)
	c := bind(t, track)
	track.WriteFrame(make([]byte, 3000), 0)
	track.SetRotation(270)
	track.WriteFrame(make([]byte, 10), time.Second)
	var got [][]byte
	for _, p := range c.packets {
		got = append(got, p.GetExtension(4))
	}
	if want := [][]byte{nil, nil, {1}, {3}}; !slices.EqualFunc(got, want, bytes.Equal) || log.Len() > 0 {
		t.Errorf("extensions %v, want %v; log %q", got, want, &log)
	}
	if _, err := track.Bind(&capture{codecs: negotiated()}); err != nil || !strings.Contains(log.String(), "orientation") {
		t.Errorf("bound with %v; log %q", err, &log)
	}
}
