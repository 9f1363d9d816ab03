package peer

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/gcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

// Bounds of the estimate in bit/s. It begins where a camera of 640x480 does, so
// that a good path is good from the start, and comes down within a second on a
// bad one.
const (
	firstEstimate = 1_000_000
	leastEstimate = 50_000
	mostEstimate  = 20_000_000
)

// maxFeedback bounds how many packets one report may speak of: Pion makes room
// for as many as the report names, in each of its chunks.
const maxFeedback = 4096

// seriousLoss is where less is sent for it (draft-ietf-rmcat-gcc-02 §6).
const seriousLoss = 0.1

// capMemory is how long a limit that the other side named holds without being
// named again: libwebrtc repeats it at least every second.
const capMemory = 5 * time.Second

// bandwidth finds out how much one connection carries, and shares it among the
// tracks that can follow. It is Google congestion control
// (draft-ietf-rmcat-gcc-02) on transport-wide feedback, and what the other side
// says by REMB (draft-alvestrand-rmcat-remb-03), whichever is less. Files cannot
// follow, and are sent as they are.
//
// Packets are not paced: a queue before the network would delay what cannot
// follow for good, and browsers take bursts of a picture's size. But who encodes
// leaves pictures out while as much is under way as there may be, see window.
type bandwidth struct {
	interceptor.NoOp
	estimator *gcc.SendSideBWE
	direct    *directPacer
	window    *window
	now       func() time.Time
	closing   sync.Once
	closed    error
	known     atomic.Int64 // target, for those who send

	mu      sync.Mutex // protects following
	senders []*rateSender
	repeats map[uint32]*repeats // by the SSRC of the stream
	heard   bool                // feedback has come
	target  int                 // what the connection is believed to carry, once heard
	share   int                 // what each follower was told last
}

// rateSender is one outgoing track.
type rateSender struct {
	kind   webrtc.RTPCodecType
	follow track.BitrateSetter // nil for one that cannot
	limit  float64             // by REMB, 0 for none
	at     time.Time           // of limit
	idle   bool                // it was taken away
}

// audioShare is what a sound track takes with its headers, in bit/s.
const audioShare = 50_000

func newBandwidth() (*bandwidth, error) {
	b := &bandwidth{direct: &directPacer{}, window: &window{}, now: time.Now, repeats: map[uint32]*repeats{}}
	var err error
	b.estimator, err = gcc.NewSendSideBWE(
		gcc.SendSideBWEInitialBitrate(firstEstimate), gcc.SendSideBWEMinBitrate(leastEstimate),
		gcc.SendSideBWEMaxBitrate(mostEstimate), gcc.SendSideBWEPacer(b.direct),
		gcc.WithLoggerFactory(&logging.DefaultLoggerFactory{})) // which is quiet: it has a line for every packet
	return b, err
}

// NewInterceptor implements interceptor.Factory: it is its connection's only one.
func (b *bandwidth) NewInterceptor(string) (interceptor.Interceptor, error) { return b, nil }

// Close implements interceptor.Interceptor.
func (b *bandwidth) Close() error {
	b.closing.Do(func() { b.closed = b.estimator.Close() })
	return b.closed
}

// BindLocalStream implements interceptor.Interceptor.
func (b *bandwidth) BindLocalStream(info *interceptor.StreamInfo, writer interceptor.RTPWriter) interceptor.RTPWriter {
	out := b.direct.bind(func() { b.estimator.AddStream(info, writer) })
	var id uint8 // of the header extension with the number, 0 if it was not negotiated
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.TransportCCURI {
			id = uint8(e.ID)
		}
	}
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		var number rtp.TransportCCExtension
		if id != 0 && number.Unmarshal(h.GetExtension(id)) == nil {
			b.window.send(number.TransportSequence, h.MarshalSize()+len(payload), b.now())
		}
		return out.Write(h, payload, a)
	})
}

// BindRTCPReader implements interceptor.Interceptor.
func (b *bandwidth) BindRTCPReader(reader interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(buf []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := reader.Read(buf, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if packets, err := a.GetRTCPPackets(buf[:n]); err == nil {
			b.feedback(packets)
		}
		return n, a, nil
	})
}

// feedback takes reports of what arrived.
func (b *bandwidth) feedback(packets []rtcp.Packet) {
	var reports []rtcp.Packet
	for _, p := range packets {
		if cc, ok := p.(*rtcp.TransportLayerCC); ok && sane(cc) {
			reports = append(reports, cc)
			b.window.report(cc.BaseSequenceNumber+cc.PacketStatusCount-1, b.now())
		}
	}
	// What is malformed is one report less; a connection that closes needs none.
	if len(reports) == 0 || b.estimator.WriteRTCP(reports, nil) != nil {
		return
	}
	b.mu.Lock()
	b.target = believed(b.target, b.estimator.GetTargetBitrate(), b.estimator.GetStats())
	b.heard = true
	b.known.Store(int64(b.target))
	b.mu.Unlock()
	b.divide()
	b.payRepeats()
}

// believed is the next target. Pion's estimate never exceeds one and a half of what arrives, and so falls when the
// tracks have little to send: a still picture, or an encoder that has been told to send less, which would then send
// less and less. Only a queue that grows, or loss, is a reason to fall.
func believed(target, estimate int, why map[string]any) int {
	loss, _ := why["averageLoss"].(float64)
	if estimate > target || why["state"] != "increase" || loss > seriousLoss {
		return estimate
	}
	return target
}

// sane tells if a report is of a size that can be true.
func sane(report *rtcp.TransportLayerCC) bool {
	total := 0
	for _, chunk := range report.PacketChunks {
		switch c := chunk.(type) {
		case *rtcp.RunLengthChunk:
			total += int(c.RunLength)
		case *rtcp.StatusVectorChunk:
			total += len(c.SymbolList)
		}
	}
	return total <= maxFeedback
}

// sends adds a track. The result takes what the other side says of it.
func (b *bandwidth) sends(t webrtc.TrackLocal) *rateSender {
	s := &rateSender{kind: t.Kind()}
	s.follow, _ = t.(track.BitrateSetter)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.senders = append(b.senders, s)
	b.share = 0 // all have to be told anew
	return s
}

// exchanged tells that another track is sent in place of one, or none if it is nil.
func (b *bandwidth) exchanged(s *rateSender, t webrtc.TrackLocal) {
	b.mu.Lock()
	s.follow, _ = t.(track.BitrateSetter)
	s.idle = t == nil
	b.share = 0
	b.mu.Unlock()
	b.divide()
}

// limit takes a REMB of the other side.
func (b *bandwidth) limit(s *rateSender, bitrate float32) {
	b.mu.Lock()
	s.limit, s.at = max(float64(bitrate), leastEstimate), b.now()
	b.mu.Unlock()
	b.divide()
}

// divide tells the tracks what they may send, if that is other than before.
func (b *bandwidth) divide() {
	b.mu.Lock()
	defer b.mu.Unlock()
	total, followers, known := mostEstimate, 0, b.heard
	if b.heard {
		total = b.target
	}
	for _, s := range b.senders {
		if s.limit > 0 && b.now().Sub(s.at) < capMemory {
			total, known = min(total, int(s.limit)), true
		}
		if s.follow != nil {
			followers++
		}
	}
	for _, s := range b.senders {
		if s.kind == webrtc.RTPCodecTypeAudio && s.follow == nil && !s.idle {
			total -= audioShare
		}
	}
	if followers == 0 || !known {
		return
	}
	share := max(total/followers, leastEstimate)
	if near(share, b.share) {
		return
	}
	b.share = share
	for _, s := range b.senders {
		if s.follow != nil {
			s.follow.SetBitrate(share)
		}
	}
}

// near tells if two bitrates differ by less than an encoder should be told of.
func near(a, b int) bool { return max(a-b, b-a)*50 < max(a, b) }

// estimate is what the connection is believed to carry, in bit/s, 0 while nothing
// is known.
func (b *bandwidth) estimate() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.heard {
		return 0
	}
	return b.target
}

// directPacer sends at once. Pion's own pacers know a stream by its SSRC alone,
// and drop retransmissions, which have another one (RFC 4588 §4).
type directPacer struct {
	mu     sync.Mutex // protects following
	latest interceptor.RTPWriter
}

// bind returns the writer of the stream that add adds.
func (d *directPacer) bind(add func()) interceptor.RTPWriter {
	d.mu.Lock()
	defer d.mu.Unlock()
	add()
	return d.latest
}

// AddStream implements gcc.Pacer, within bind.
func (d *directPacer) AddStream(_ uint32, writer interceptor.RTPWriter) { d.latest = writer }

// Write implements gcc.Pacer. Nobody has it: bind hands out what is behind.
func (d *directPacer) Write(*rtp.Header, []byte, interceptor.Attributes) (int, error) {
	return 0, errors.New("a packet without a stream")
}

// SetTargetBitrate implements gcc.Pacer.
func (d *directPacer) SetTargetBitrate(int) {}

// Close implements gcc.Pacer.
func (d *directPacer) Close() error { return nil }
