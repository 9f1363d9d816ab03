package peer

import (
	"math"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// metered is a meter with a clock that the test moves.
func metered() (*meter, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	m := newMeter(nil)
	m.now = func() time.Time { return now }
	return m, &now
}

// Sequence numbers wrap, packets are lost and come again.
func TestMeterCountsLoss(t *testing.T) {
	m, now := metered()
	packets := make(chan []byte, 100)
	reader := m.BindRemoteStream(&interceptor.StreamInfo{SSRC: 7, ClockRate: 1000}, interceptor.RTPReaderFunc(
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
	i, _ := m.receiving(7)
	if i.packets != 7 || i.bytes != 350 || i.headers != 84+9 || i.lost() != 1 {
		t.Errorf("%d packets, %d bytes, %d of headers, %d lost; want 7, 350, 93, 1", i.packets, i.bytes, i.headers, i.lost())
	}
	if i.jitter > 1e-6 {
		t.Errorf("packets that came on time have a jitter of %v", i.jitter)
	}
}

// RFC 3550 §6.4.1: jitter moves by a sixteenth of the difference.
func TestMeterEstimatesJitter(t *testing.T) {
	m, now := metered()
	i := &rtpIn{info: interceptor.StreamInfo{SSRC: 7, ClockRate: 90000}}
	for n := range 2 {
		m.received(i, &rtp.Header{SSRC: 7, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000}, 100, 0)
		*now = now.Add(time.Second/30 + 16*time.Millisecond)
	}
	if got := i.jitter / 90000 * 1000; math.Abs(got-1) > 0.01 {
		t.Errorf("jitter is %.3f ms after a packet 16 ms late, want 1", got)
	}
}

func TestMeterMeasuresRoundTrips(t *testing.T) {
	m, now := metered()
	writer := m.BindLocalStream(&interceptor.StreamInfo{SSRC: 7, SSRCRetransmission: 8, ClockRate: 90000, MimeType: webrtc.MimeTypeVP8}, interceptor.RTPWriterFunc(
		func(_ *rtp.Header, p []byte, _ interceptor.Attributes) (int, error) { return len(p), nil }))
	for _, h := range []rtp.Header{
		{SSRC: 7, SequenceNumber: 65535, Marker: true}, {SSRC: 7, SequenceNumber: 0, Marker: true},
		{SSRC: 7, SequenceNumber: 65535, Marker: true}, {SSRC: 8, SequenceNumber: 1, Marker: true}, // retransmitted
	} {
		if _, err := writer.Write(&h, make([]byte, 10), nil); err != nil {
			t.Fatal(err)
		}
	}
	m.told([]rtcp.Packet{&rtcp.SenderReport{SSRC: 7, NTPTime: 0x1122334455667788}})
	*now = now.Add(150 * time.Millisecond)
	m.heard([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
		SSRC: 7, LastSenderReport: 0x33445566, Delay: 65536 / 10, Jitter: 900, FractionLost: 64, TotalLost: 0xffffff,
	}}}})
	o, _ := m.sending(7)
	if o.packets != 4 || o.again != 2 || o.frames != 2 || o.bytes != 40 || o.againBytes != 20 {
		t.Errorf("%d packets, %d again, %d frames, %d bytes, %d again; want 4, 2, 2, 40, 20", o.packets, o.again, o.frames, o.bytes, o.againBytes)
	}
	if got := o.rtt.Round(time.Millisecond); got != 50*time.Millisecond || o.measurements != 1 {
		t.Errorf("round trip %v by %d measurements, want 50ms by 1", got, o.measurements)
	}
	if o.lost != -1 || o.fraction != 0.25 || o.jitter != 0.01 {
		t.Errorf("lost %d, fraction %v, jitter %v; want -1, 0.25, 0.01", o.lost, o.fraction, o.jitter)
	}
	m.heard([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 7, LastSenderReport: 99}}}})
	if o, _ := m.sending(7); o.measurements != 1 {
		t.Error("a report of a sender report that was not sent was taken for a round trip")
	}
}

// A picture of more than two and a half times the usual size is huge, and key frames are counted once.
func TestMeterCountsPictures(t *testing.T) {
	m, _ := metered()
	writer := m.BindLocalStream(&interceptor.StreamInfo{SSRC: 7, ClockRate: 90000, MimeType: webrtc.MimeTypeVP8}, interceptor.RTPWriterFunc(
		func(_ *rtp.Header, p []byte, _ interceptor.Attributes) (int, error) { return len(p), nil }))
	key, other := []byte{0x10, 0x10, 0, 0}, []byte{0x10, 0x11, 0, 0}
	for n, payload := range [][]byte{key, other, other, append(key, make([]byte, 7)...), other} {
		h := rtp.Header{SSRC: 7, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3000, Marker: true}
		if _, err := writer.Write(&h, payload, nil); err != nil {
			t.Fatal(err)
		}
	}
	if o, _ := m.sending(7); o.frames != 5 || o.keys != 2 || o.huge != 1 {
		t.Errorf("%d frames, %d of them key frames and %d huge; want 5, 2, 1", o.frames, o.keys, o.huge)
	}
}
