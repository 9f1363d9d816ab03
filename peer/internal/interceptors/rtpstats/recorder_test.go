package rtpstats

import (
	"math"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// newTestRecorder returns a recorder with a clock that the test moves.
func newTestRecorder() (*Recorder, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	r := NewRecorder(nil)
	r.now = func() time.Time { return now }
	return r, &now
}

// Sequence numbers wrap, packets are lost and arrive late.
func TestRecorderCountsLoss(t *testing.T) {
	r, now := newTestRecorder()
	packets := make(chan []byte, 100)
	reader := r.BindRemoteStream(&interceptor.StreamInfo{SSRC: 7, ClockRate: 1000}, interceptor.RTPReaderFunc(
		func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			return copy(b, <-packets), a, nil
		}))
	at := uint32(math.MaxUint32 - 30)                                  // wraps too
	for _, number := range []uint16{65533, 65534, 65535, 0, 3, 2, 4} { // 1 is lost, 2 is late
		p := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: number, Timestamp: at}, Payload: make([]byte, 50)}
		if number == 4 {
			p.Padding, p.Header.PaddingSize = true, 9
		}
		raw, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		packets <- raw
		if _, _, err := reader.Read(make([]byte, 1500), nil); err != nil {
			t.Fatal(err)
		}
		*now, at = now.Add(20*time.Millisecond), at+20
	}
	i, _ := r.Inbound(7)
	if i.PacketsReceived != 7 || i.BytesReceived != 350 || i.HeaderBytesReceived != 84+9 || i.PacketsLost() != 1 {
		t.Errorf("%d packets, %d bytes, %d of headers, %d lost; want 7, 350, 93, 1", i.PacketsReceived, i.BytesReceived, i.HeaderBytesReceived, i.PacketsLost())
	}
	if i.Jitter > 1e-6 {
		t.Errorf("jitter of packets that arrive on time is %v, want 0", i.Jitter)
	}
}

// RFC 3550 section 6.4.1: jitter moves by a sixteenth of the difference.
func TestRecorderEstimatesJitter(t *testing.T) {
	r, now := newTestRecorder()
	i := &Inbound{Info: interceptor.StreamInfo{SSRC: 7, ClockRate: 90000}}
	for n := range 2 {
		r.recordReceived(i, &rtp.Header{SSRC: 7, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000}, 100, 0)
		*now = now.Add(time.Second/30 + 16*time.Millisecond)
	}
	if got := i.Jitter / 90000 * 1000; math.Abs(got-1) > 0.01 {
		t.Errorf("jitter is %.3f ms after a packet 16 ms late, want 1", got)
	}
}

func TestRecorderMeasuresRoundTrips(t *testing.T) {
	r, now := newTestRecorder()
	writer := r.BindLocalStream(&interceptor.StreamInfo{SSRC: 7, SSRCRetransmission: 8, ClockRate: 90000, MimeType: webrtc.MimeTypeVP8}, interceptor.RTPWriterFunc(
		func(_ *rtp.Header, p []byte, _ interceptor.Attributes) (int, error) { return len(p), nil }))
	for _, h := range []rtp.Header{
		{SSRC: 7, SequenceNumber: 65535, Marker: true}, {SSRC: 7, SequenceNumber: 0, Marker: true},
		{SSRC: 7, SequenceNumber: 65535, Marker: true}, {SSRC: 8, SequenceNumber: 1, Marker: true}, // retransmitted
	} {
		if _, err := writer.Write(&h, make([]byte, 10), nil); err != nil {
			t.Fatal(err)
		}
	}
	r.recordRTCPSent([]rtcp.Packet{&rtcp.SenderReport{SSRC: 7, NTPTime: 0x1122334455667788}})
	*now = now.Add(150 * time.Millisecond)
	r.recordRTCPReceived([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
		SSRC: 7, LastSenderReport: 0x33445566, Delay: 65536 / 10, Jitter: 900, FractionLost: 64, TotalLost: 0xffffff,
	}}}})
	o, _ := r.Outbound(7)
	if o.PacketsSent != 4 || o.RetransmittedPacketsSent != 2 || o.FramesSent != 2 || o.BytesSent != 40 || o.RetransmittedBytesSent != 20 {
		t.Errorf("%d packets, %d retransmitted, %d frames, %d bytes, %d retransmitted; want 4, 2, 2, 40, 20", o.PacketsSent, o.RetransmittedPacketsSent, o.FramesSent, o.BytesSent, o.RetransmittedBytesSent)
	}
	if got := o.RoundTripTime.Round(time.Millisecond); got != 50*time.Millisecond || o.RoundTripTimeMeasurements != 1 {
		t.Errorf("round trip %v by %d measurements, want 50ms by 1", got, o.RoundTripTimeMeasurements)
	}
	if o.PacketsLost != -1 || o.FractionLost != 0.25 || o.Jitter != 0.01 {
		t.Errorf("lost %d, fraction %v, jitter %v; want -1, 0.25, 0.01", o.PacketsLost, o.FractionLost, o.Jitter)
	}
	r.recordRTCPReceived([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 7, LastSenderReport: 99}}}})
	if o, _ := r.Outbound(7); o.RoundTripTimeMeasurements != 1 {
		t.Error("a report on a sender report that was not sent is taken for a round trip")
	}
}

// A frame of more than two and a half times the average size is huge. A key frame is counted once.
func TestRecorderCountsFrames(t *testing.T) {
	r, _ := newTestRecorder()
	writer := r.BindLocalStream(&interceptor.StreamInfo{SSRC: 7, ClockRate: 90000, MimeType: webrtc.MimeTypeVP8}, interceptor.RTPWriterFunc(
		func(_ *rtp.Header, p []byte, _ interceptor.Attributes) (int, error) { return len(p), nil }))
	key, other := []byte{0x10, 0x10, 0, 0}, []byte{0x10, 0x11, 0, 0}
	for n, payload := range [][]byte{key, other, other, append(key, make([]byte, 7)...), other} {
		h := rtp.Header{SSRC: 7, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000, Marker: true}
		if _, err := writer.Write(&h, payload, nil); err != nil {
			t.Fatal(err)
		}
	}
	if o, _ := r.Outbound(7); o.FramesSent != 5 || o.KeyFramesSent != 2 || o.HugeFramesSent != 1 {
		t.Errorf("%d frames, %d of them key frames and %d huge; want 5, 2, 1", o.FramesSent, o.KeyFramesSent, o.HugeFramesSent)
	}
}
