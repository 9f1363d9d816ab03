package peer

import (
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"

	"parley/peer/internal/keyframe"
)

// meter counts the RTP streams of a connection, as an interceptor nearest to
// the network. Pion's own (interceptor/pkg/stats) counts headers as payload,
// estimates jitter otherwise than RFC 3550 §6.4.1, and misses FIR.
type meter struct {
	interceptor.NoOp
	now   func() time.Time
	onRTP func([]byte) // nil for nobody

	mu  sync.Mutex // protects following
	in  map[uint32]*rtpIn
	out map[uint32]*rtpOut
}

// rtpOut is what was counted of a stream that this side sends.
type rtpOut struct {
	info                interceptor.StreamInfo
	packets, bytes      uint64 // of the stream and of its retransmissions
	headers             uint64 // bytes of RTP headers and padding, which W3C counts together
	again, againBytes   uint64 // retransmitted
	frames, huge        uint64 // video: that ended in a marker; of more than 2.5 times the usual size
	keys                uint64 // frames that stand on their own
	keyAt               uint32 // timestamp of the latest
	frameBytes, inFrame uint64 // of all whole frames, and of the one that is being sent
	plis, firs, nacks   uint64 // that came in
	reports             [8]sentReport
	nextReport          int
	heard               bool // a receiver report came; the rest is of the latest
	heardAt             time.Time
	lost                int64
	fraction            float64
	jitter              float64 // seconds
	rtt, totalRTT       time.Duration
	measurements        uint64 // of rtt
	firstSent, lastSent int64  // sequence numbers, unwrapped
}

// sentReport is a sender report by which the round trip is measured.
type sentReport struct {
	middle uint32 // of its NTP time, which the other side repeats
	at     time.Time
}

// rtpIn is what was counted of a stream that comes in.
type rtpIn struct {
	info              interceptor.StreamInfo
	started           bool
	first, highest    int64 // sequence numbers, unwrapped
	packets           uint64
	bytes, headers    uint64
	empty             uint64 // packets of padding alone, by which browsers find out what a path carries
	last              time.Time
	transit           float64 // RFC 3550 §6.4.1, in units of the clock rate
	jitter            float64
	plis, firs, nacks uint64 // that were sent
	told              bool   // a sender report came; the rest is of the latest
	toldAt            time.Time
	theirs            time.Time
	reports           uint64
	sentPackets       uint64
	sentBytes         uint64
}

func newMeter(onRTP func([]byte)) *meter {
	return &meter{now: time.Now, onRTP: onRTP, in: map[uint32]*rtpIn{}, out: map[uint32]*rtpOut{}}
}

// NewInterceptor implements interceptor.Factory: a meter is for one connection.
func (m *meter) NewInterceptor(string) (interceptor.Interceptor, error) { return m, nil }

// BindLocalStream implements interceptor.Interceptor.
func (m *meter) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.out[info.SSRC]
	if o == nil {
		o = &rtpOut{}
		m.out[info.SSRC] = o
	}
	o.info = *info
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		n, err := next.Write(h, payload, a)
		if err == nil {
			m.sent(o, h, payload)
		}
		return n, err
	})
}

func (m *meter) sent(o *rtpOut, h *rtp.Header, payload []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o.packets++
	o.bytes += uint64(len(payload))
	o.headers += uint64(h.MarshalSize() + int(h.PaddingSize))
	if o.packets == 1 {
		o.firstSent, o.lastSent = int64(h.SequenceNumber), int64(h.SequenceNumber)-1
	}
	number := unwrap(o.lastSent, h.SequenceNumber)
	if h.SSRC != o.info.SSRC || number <= o.lastSent {
		o.again++
		o.againBytes += uint64(len(payload))
		return
	}
	o.lastSent = number
	if strings.HasPrefix(o.info.MimeType, "video/") {
		o.frame(h, payload)
	}
}

// frame counts pictures.
func (o *rtpOut) frame(h *rtp.Header, payload []byte) {
	if (o.keys == 0 || h.Timestamp != o.keyAt) && keyframe.Starts(o.info.MimeType, payload) {
		o.keys, o.keyAt = o.keys+1, h.Timestamp
	}
	o.inFrame += uint64(len(payload))
	if !h.Marker {
		return
	}
	if 2*o.inFrame*o.frames > 5*o.frameBytes && o.frames > 0 {
		o.huge++
	}
	o.frames, o.frameBytes, o.inFrame = o.frames+1, o.frameBytes+o.inFrame, 0
}

// unwrap is the sequence number nearest to near that ends in low.
func unwrap(near int64, low uint16) int64 { return near + int64(int16(low-uint16(near))) }

// BindRemoteStream implements interceptor.Interceptor.
func (m *meter) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.in[info.SSRC]
	if i == nil {
		i = &rtpIn{}
		m.in[info.SSRC] = i
	}
	i.info = *info
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if h, err := a.GetRTPHeader(b[:n]); err == nil {
			m.received(i, h, n, padding(h, b[:n]))
			if m.onRTP != nil {
				m.onRTP(b[:n])
			}
		}
		return n, a, nil
	})
}

// padding is how many bytes at the end of a packet are none of the payload's (RFC 3550 §5.1). Pion's header alone does not
// know.
func padding(h *rtp.Header, packet []byte) int {
	if !h.Padding || len(packet) == 0 {
		return 0
	}
	return min(int(packet[len(packet)-1]), max(0, len(packet)-h.MarshalSize()))
}

func (m *meter) received(i *rtpIn, h *rtp.Header, size, padding int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	header := h.MarshalSize()
	i.packets++
	i.headers += uint64(header + padding)
	i.bytes += uint64(max(0, size-header-padding))
	if size <= header+padding {
		i.empty++
	}
	if !i.started {
		i.first, i.highest = int64(h.SequenceNumber), int64(h.SequenceNumber)
	}
	i.highest = max(i.highest, unwrap(i.highest, h.SequenceNumber))
	if clock := float64(i.info.ClockRate); clock > 0 {
		// The wrap of 32 bits is taken out by comparing as int32.
		arrival := uint32(int64(float64(now.UnixMicro()) * clock / 1e6))
		transit := float64(int32(arrival - h.Timestamp))
		if d := transit - i.transit; i.started && d < 1<<30 && d > -(1<<30) {
			i.jitter += (max(d, -d) - i.jitter) / 16
		}
		i.transit = transit
	}
	i.started, i.last = true, now
}

// lost may be negative, by duplicates (RFC 3550 §6.4.1).
func (i *rtpIn) lost() int64 { return i.highest - i.first + 1 - int64(i.packets) }

// sending is a copy of what was counted of an outgoing stream.
func (m *meter) sending(ssrc uint32) (rtpOut, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.out[ssrc]; o != nil {
		return *o, true
	}
	return rtpOut{}, false
}

// receiving is a copy of what was counted of an incoming stream.
func (m *meter) receiving(ssrc uint32) (rtpIn, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.in[ssrc]; i != nil {
		return *i, true
	}
	return rtpIn{}, false
}
