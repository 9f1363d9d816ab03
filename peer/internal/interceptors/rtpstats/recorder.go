// Package rtpstats measures the RTP streams of a connection.
package rtpstats

import (
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"

	"parley/peer/internal/keyframe"
)

// Recorder is an interceptor that measures the streams of one connection. It must be the one
// nearest to the network. Pion's own (interceptor/pkg/stats) counts headers as payload, estimates
// jitter differently from RFC 3550 section 6.4.1 and does not count FIR.
type Recorder struct {
	interceptor.NoOp
	now   func() time.Time
	onRTP func(packet []byte) // nil for none

	mu       sync.Mutex // guards the following
	inbound  map[uint32]*Inbound
	outbound map[uint32]*Outbound
}

// Outbound is what was measured of a stream that is sent.
type Outbound struct {
	Info                                             interceptor.StreamInfo
	PacketsSent, BytesSent                           uint64 // with retransmissions
	HeaderBytesSent                                  uint64 // with padding, as in W3C webrtc-stats
	RetransmittedPacketsSent, RetransmittedBytesSent uint64
	FirstSequenceNumber                              int64
	FramesSent, KeyFramesSent                        uint64 // video: frames by their marker bit
	HugeFramesSent                                   uint64 // of more than 2.5 times the average size
	PLICount, FIRCount, NACKCount                    uint64 // received

	// Of the peer's latest reception report, with HasReport.
	HasReport                 bool
	ReportAt                  time.Time
	PacketsLost               int64
	FractionLost              float64
	Jitter                    float64 // seconds
	RoundTripTime             time.Duration
	TotalRoundTripTime        time.Duration
	RoundTripTimeMeasurements uint64

	lastSequenceNumber     int64  // unwrapped
	keyFrameTimestamp      uint32 // RTP timestamp of the latest key frame
	frameBytes, frameSoFar uint64 // of all whole frames, of the one being sent
	senderReports          [8]senderReport
	nextSenderReport       int
}

// senderReport is a sender report of ours by which the round trip is measured.
type senderReport struct {
	middle uint32 // the middle 32 bits of its NTP timestamp, which the peer repeats
	at     time.Time
}

// Inbound is what was measured of a stream that is received.
type Inbound struct {
	Info                               interceptor.StreamInfo
	PacketsReceived                    uint64 // 0 if none has come in
	BytesReceived, HeaderBytesReceived uint64
	PaddingPackets                     uint64 // of padding alone, by which browsers probe the bandwidth
	LastPacketReceived                 time.Time
	Jitter                             float64 // RFC 3550 section 6.4.1, in units of the clock rate
	PLICount, FIRCount, NACKCount      uint64  // sent

	// Of the peer's latest sender report, with HasReport.
	HasReport       bool
	ReportAt        time.Time
	RemoteTimestamp time.Time
	ReportsSent     uint64
	PacketsSent     uint64
	BytesSent       uint64

	first, highest int64 // sequence numbers, unwrapped
	transit        float64
}

// NewRecorder returns the recorder of one connection. onRTP gets each received RTP packet, before
// other interceptors; it may be nil.
func NewRecorder(onRTP func(packet []byte)) *Recorder {
	return &Recorder{
		now: time.Now, onRTP: onRTP,
		inbound: map[uint32]*Inbound{}, outbound: map[uint32]*Outbound{},
	}
}

// NewInterceptor implements interceptor.Factory. A recorder serves one connection.
func (r *Recorder) NewInterceptor(string) (interceptor.Interceptor, error) { return r, nil }

// BindLocalStream implements interceptor.Interceptor.
func (r *Recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.outbound[info.SSRC]
	if o == nil {
		o = &Outbound{}
		r.outbound[info.SSRC] = o
	}
	o.Info = *info
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		n, err := next.Write(h, payload, a)
		if err == nil {
			r.recordSent(o, h, payload)
		}
		return n, err
	})
}

func (r *Recorder) recordSent(o *Outbound, h *rtp.Header, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.PacketsSent++
	o.BytesSent += uint64(len(payload))
	o.HeaderBytesSent += uint64(h.MarshalSize() + int(h.PaddingSize))
	if o.PacketsSent == 1 {
		o.FirstSequenceNumber, o.lastSequenceNumber = int64(h.SequenceNumber), int64(h.SequenceNumber)-1
	}
	number := unwrap(o.lastSequenceNumber, h.SequenceNumber)
	if h.SSRC != o.Info.SSRC || number <= o.lastSequenceNumber {
		o.RetransmittedPacketsSent++
		o.RetransmittedBytesSent += uint64(len(payload))
		return
	}
	o.lastSequenceNumber = number
	if strings.HasPrefix(o.Info.MimeType, "video/") {
		o.recordFrame(h, payload)
	}
}

// recordFrame counts frames.
func (o *Outbound) recordFrame(h *rtp.Header, payload []byte) {
	if (o.KeyFramesSent == 0 || h.Timestamp != o.keyFrameTimestamp) && keyframe.Starts(o.Info.MimeType, payload) {
		o.KeyFramesSent, o.keyFrameTimestamp = o.KeyFramesSent+1, h.Timestamp
	}
	o.frameSoFar += uint64(len(payload))
	if !h.Marker {
		return
	}
	if 2*o.frameSoFar*o.FramesSent > 5*o.frameBytes && o.FramesSent > 0 {
		o.HugeFramesSent++
	}
	o.FramesSent, o.frameBytes, o.frameSoFar = o.FramesSent+1, o.frameBytes+o.frameSoFar, 0
}

// unwrap returns the sequence number nearest to near that ends in low.
func unwrap(near int64, low uint16) int64 { return near + int64(int16(low-uint16(near))) }

// BindRemoteStream implements interceptor.Interceptor.
func (r *Recorder) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.inbound[info.SSRC]
	if i == nil {
		i = &Inbound{}
		r.inbound[info.SSRC] = i
	}
	i.Info = *info
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if h, err := a.GetRTPHeader(b[:n]); err == nil {
			r.recordReceived(i, h, n, padding(h, b[:n]))
			if r.onRTP != nil {
				r.onRTP(b[:n])
			}
		}
		return n, a, nil
	})
}

// padding returns the number of padding bytes of a packet (RFC 3550 section 5.1), which Pion's
// header does not have.
func padding(h *rtp.Header, packet []byte) int {
	if !h.Padding || len(packet) == 0 {
		return 0
	}
	return min(int(packet[len(packet)-1]), max(0, len(packet)-h.MarshalSize()))
}

func (r *Recorder) recordReceived(i *Inbound, h *rtp.Header, size, padding int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, started := r.now(), i.PacketsReceived > 0
	header := h.MarshalSize()
	i.PacketsReceived++
	i.HeaderBytesReceived += uint64(header + padding)
	i.BytesReceived += uint64(max(0, size-header-padding))
	if size <= header+padding {
		i.PaddingPackets++
	}
	if !started {
		i.first, i.highest = int64(h.SequenceNumber), int64(h.SequenceNumber)
	}
	i.highest = max(i.highest, unwrap(i.highest, h.SequenceNumber))
	if clock := float64(i.Info.ClockRate); clock > 0 {
		// The comparison as int32 takes out the wrap of 32 bits.
		arrival := uint32(int64(float64(now.UnixMicro()) * clock / 1e6))
		transit := float64(int32(arrival - h.Timestamp))
		if d := transit - i.transit; started && d < 1<<30 && d > -(1<<30) {
			i.Jitter += (max(d, -d) - i.Jitter) / 16
		}
		i.transit = transit
	}
	i.LastPacketReceived = now
}

// PacketsLost returns the cumulative loss, negative for duplicates (RFC 3550 section 6.4.1).
func (i *Inbound) PacketsLost() int64 { return i.highest - i.first + 1 - int64(i.PacketsReceived) }

// Outbound returns a copy of what was measured of a stream that is sent.
func (r *Recorder) Outbound(ssrc uint32) (Outbound, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.outbound[ssrc]; o != nil {
		return *o, true
	}
	return Outbound{}, false
}

// Inbound returns a copy of what was measured of a stream that is received. It reports false for a
// stream of which no packet has come in.
func (r *Recorder) Inbound(ssrc uint32) (Inbound, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.inbound[ssrc]; i != nil && i.PacketsReceived > 0 {
		return *i, true
	}
	return Inbound{}, false
}
