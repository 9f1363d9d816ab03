package localtrack

import (
	"bytes"
	"log/slog"
	"parley/media/internal/mediatest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

func codecOf(mime, fmtp string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp}}
}

// TestForwarderPayloadTypes: each codec goes out under its own number, whatever it came under.
func TestForwarderPayloadTypes(t *testing.T) {
	var log bytes.Buffer
	m := NewForwarder(webrtc.RTPCodecTypeVideo, ForwarderOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := &mediatest.Sender{Codecs: mediatest.BrowserCodecs()}
	bound, err := m.Bind(c)
	if err != nil || bound.MimeType != "video/VP8" {
		t.Fatalf("bound to %+v, %v", bound, err)
	}
	tests := []struct {
		codec webrtc.RTPCodecParameters
		want  uint8
	}{
		{codecOf("video/VP8", ""), 96},
		{codecOf("video/vp9", ""), 98},
		{codecOf("video/VP9", "profile-id=2"), 100},
		{codecOf("video/AV1", ""), 45},
		{codecOf("video/H264", "profile-level-id=42e01f"), 108},
		{codecOf("video/H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E034"), 109},
		{codecOf("video/H264", "packetization-mode=1;profile-level-id=64001f"), 110},
	}
	for i, test := range tests {
		m.WriteRTP(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i), PayloadType: 1}}, test.codec, nil) //nolint:gosec // small
		if got := c.Packets[i].PayloadType; got != test.want {
			t.Errorf("%s %s goes out as %d, want %d", test.codec.MimeType, test.codec.SDPFmtpLine, got, test.want)
		}
	}
	for i := range 3 {
		m.WriteRTP(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(100 + i)}}, codecOf("video/H265", ""), nil) //nolint:gosec // small
	}
	if len(c.Packets) != len(tests) || strings.Count(log.String(), "video/H265") != 1 {
		t.Errorf("%d packets went out; the log says %s", len(c.Packets), &log)
	}
	if _, err := NewForwarder(webrtc.RTPCodecTypeAudio, ForwarderOptions{}).Bind(&mediatest.Sender{Codecs: mediatest.BrowserCodecs()[:3]}); err == nil {
		t.Error("an audio track is bound to video codecs")
	}
	if err := m.Unbind(c); err != nil {
		t.Error(err)
	}
	if err := m.Unbind(c); err == nil {
		t.Error("unbound twice")
	}
}

// TestForwarderIsOneStream: what is sent has one SSRC, no extensions but the orientation, no
// duplicates, and goes on when the source changes.
func TestForwarderIsOneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewForwarder(webrtc.RTPCodecTypeVideo, ForwarderOptions{})
		c := mediatest.Bind(t, m)
		send := func(ssrc uint32, number uint16, timestamp uint32) {
			p := &rtp.Packet{Header: rtp.Header{
				Version: 2, SSRC: ssrc, SequenceNumber: number, Timestamp: timestamp, CSRC: []uint32{9}, Marker: true,
			}, Payload: []byte{1}}
			if err := p.SetExtension(3, []byte("mid")); err != nil {
				t.Fatal(err)
			}
			m.WriteRTP(p, codecOf("video/VP8", ""), []byte{1})
		}
		send(1, 65534, 1000)
		send(1, 65535, 4000)
		send(1, 1, 10000)
		send(1, 0, 7000) // late
		send(1, 0, 7000) // double
		time.Sleep(time.Second)
		send(2, 500, 77) // another sender
		send(2, 501, 3077)
		var numbers []uint16
		var times []uint32
		for _, p := range c.Packets {
			numbers, times = append(numbers, p.SequenceNumber), append(times, p.Timestamp)
			if p.SSRC != 0xC0FFEE || !slices.Equal(p.GetExtensionIDs(), []uint8{4}) || !slices.Equal(p.GetExtension(4), []byte{1}) || len(p.CSRC) != 0 || !p.Marker {
				t.Errorf("header is %+v", p.Header)
			}
		}
		if want := []uint16{65534, 65535, 1, 0, 2, 3}; !slices.Equal(numbers, want) {
			t.Errorf("numbers are %v, want %v", numbers, want)
		}
		if want := []uint32{1000, 4000, 10000, 7000, 100000, 103000}; !slices.Equal(times, want) {
			t.Errorf("timestamps are %v, want %v", times, want)
		}
	})
}
