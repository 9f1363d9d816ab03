// Package bwe keeps what a connection sends within what its path carries.
package bwe

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

// Bounds of the estimate in bit/s. The initial one suits a 640x480 camera, so that a good path is
// used well from the start; on a bad path it falls within a second.
const (
	initialBitrate = 1_000_000
	minBitrate     = 50_000
	maxBitrate     = 20_000_000
)

// maxFeedback bounds the packets in one feedback message. Pion allocates what each chunk names.
const maxFeedback = 4096

// lossThreshold is the loss above which the target falls (draft-ietf-rmcat-gcc-02 section 6).
const lossThreshold = 0.1

// rembTimeout is how long a REMB is in force without being repeated. libwebrtc repeats it at least
// every second.
const rembTimeout = 5 * time.Second

// audioBitrate is what an audio track takes with its headers, in bit/s.
const audioBitrate = 50_000

// Controller estimates the bandwidth of one connection and allocates it to the tracks that
// implement track.BitrateSetter. The estimate is the minimum of Google congestion control on
// transport-wide feedback (draft-ietf-rmcat-gcc-02) and of the peer's REMB
// (draft-alvestrand-rmcat-remb-03). Tracks with a fixed bitrate are sent as they are.
//
// Packets are not paced: a pacer would delay fixed-bitrate tracks for good, and browsers take
// bursts of the size of a frame. Encoders drop frames while the congestion window is full instead.
type Controller struct {
	interceptor.NoOp
	estimator *gcc.SendSideBWE
	pacer     *noOpPacer
	window    *congestionWindow
	now       func() time.Time
	closeOnce sync.Once
	closeErr  error
	bitrate   atomic.Int64 // target, for writers of packets

	mu       sync.Mutex // guards the following
	tracks   []*Track
	limiters map[uint32]*rtxLimiter // by the SSRC of the stream
	feedback bool                   // feedback has come in
	target   int                    // in bit/s, valid with feedback
	share    int                    // what each track.BitrateSetter was given last
}

// Track is one outgoing track. Its fields are guarded by the controller's mutex.
type Track struct {
	kind    webrtc.RTPCodecType
	setter  track.BitrateSetter // nil for a fixed bitrate
	remb    float64             // in bit/s, 0 for none
	rembAt  time.Time
	stopped bool // the sender has no track
}

// New returns the controller of one connection.
func New() (*Controller, error) {
	c := &Controller{
		pacer: &noOpPacer{}, window: &congestionWindow{}, now: time.Now, limiters: map[uint32]*rtxLimiter{},
	}
	var err error
	c.estimator, err = gcc.NewSendSideBWE(
		gcc.SendSideBWEInitialBitrate(initialBitrate), gcc.SendSideBWEMinBitrate(minBitrate),
		gcc.SendSideBWEMaxBitrate(maxBitrate), gcc.SendSideBWEPacer(c.pacer),
		gcc.WithLoggerFactory(&logging.DefaultLoggerFactory{})) // a quiet one: gcc logs every packet
	return c, err
}

// NewInterceptor implements interceptor.Factory. A controller serves one connection.
func (c *Controller) NewInterceptor(string) (interceptor.Interceptor, error) { return c, nil }

// Close implements interceptor.Interceptor.
func (c *Controller) Close() error {
	c.closeOnce.Do(func() { c.closeErr = c.estimator.Close() })
	return c.closeErr
}

// BindLocalStream implements interceptor.Interceptor.
func (c *Controller) BindLocalStream(info *interceptor.StreamInfo, writer interceptor.RTPWriter) interceptor.RTPWriter {
	out := c.pacer.bind(func() { c.estimator.AddStream(info, writer) })
	var id uint8 // of the transport-wide sequence number, 0 if it was not negotiated
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.TransportCCURI {
			id = uint8(e.ID)
		}
	}
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		var number rtp.TransportCCExtension
		if id != 0 && number.Unmarshal(h.GetExtension(id)) == nil {
			c.window.onSent(number.TransportSequence, h.MarshalSize()+len(payload), c.now())
		}
		return out.Write(h, payload, a)
	})
}

// BindRTCPReader implements interceptor.Interceptor.
func (c *Controller) BindRTCPReader(reader interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(buf []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := reader.Read(buf, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if packets, err := a.GetRTCPPackets(buf[:n]); err == nil {
			c.onRTCP(packets)
		}
		return n, a, nil
	})
}

// onRTCP handles the transport-wide feedback among packets.
func (c *Controller) onRTCP(packets []rtcp.Packet) {
	var reports []rtcp.Packet
	for _, p := range packets {
		if cc, ok := p.(*rtcp.TransportLayerCC); ok && validFeedback(cc) {
			reports = append(reports, cc)
			c.window.onFeedback(cc.BaseSequenceNumber+cc.PacketStatusCount-1, c.now())
		}
	}
	// A malformed report counts as missing; a closed estimator needs none.
	if len(reports) == 0 || c.estimator.WriteRTCP(reports, nil) != nil {
		return
	}
	c.mu.Lock()
	c.target = nextTarget(c.target, c.estimator.GetTargetBitrate(), c.estimator.GetStats())
	c.feedback = true
	c.bitrate.Store(int64(c.target))
	c.mu.Unlock()
	c.allocate()
	c.drainRTX()
}

// nextTarget returns the target after a new estimate. Pion's estimate never exceeds one and a half
// times what arrives, so it falls when the tracks have little to send, such as a static image or
// an encoder that was given a low bitrate, which would then send ever less. The target falls only
// for a growing queue or for loss.
func nextTarget(target, estimate int, stats map[string]any) int {
	loss, _ := stats["averageLoss"].(float64)
	if estimate > target || stats["state"] != "increase" || loss > lossThreshold {
		return estimate
	}
	return target
}

// validFeedback reports whether a feedback message has a plausible size.
func validFeedback(report *rtcp.TransportLayerCC) bool {
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

// AddTrack adds an outgoing track.
func (c *Controller) AddTrack(t webrtc.TrackLocal) *Track {
	added := &Track{kind: t.Kind()}
	added.setter, _ = t.(track.BitrateSetter)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracks = append(c.tracks, added)
	c.share = 0 // sets the bitrate of all tracks anew
	return added
}

// ReplaceTrack sets what is sent in place of a track, nil for nothing.
func (c *Controller) ReplaceTrack(of *Track, t webrtc.TrackLocal) {
	c.mu.Lock()
	of.setter, _ = t.(track.BitrateSetter)
	of.stopped = t == nil
	c.share = 0
	c.mu.Unlock()
	c.allocate()
}

// SetREMB handles the peer's REMB for a track, in bit/s.
func (c *Controller) SetREMB(of *Track, bitrate float32) {
	c.mu.Lock()
	of.remb, of.rembAt = max(float64(bitrate), minBitrate), c.now()
	c.mu.Unlock()
	c.allocate()
}

// allocate sets the bitrate of each track if it has changed.
func (c *Controller) allocate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	total, setters, known := maxBitrate, 0, c.feedback
	if c.feedback {
		total = c.target
	}
	for _, t := range c.tracks {
		if t.remb > 0 && c.now().Sub(t.rembAt) < rembTimeout {
			total, known = min(total, int(t.remb)), true
		}
		if t.setter != nil {
			setters++
		}
	}
	for _, t := range c.tracks {
		if t.kind == webrtc.RTPCodecTypeAudio && t.setter == nil && !t.stopped {
			total -= audioBitrate
		}
	}
	if setters == 0 || !known {
		return
	}
	share := max(total/setters, minBitrate)
	if similar(share, c.share) {
		return
	}
	c.share = share
	for _, t := range c.tracks {
		if t.setter != nil {
			t.setter.SetBitrate(share)
		}
	}
}

// similar reports whether two bitrates differ by too little to reconfigure an encoder.
func similar(a, b int) bool { return max(a-b, b-a)*50 < max(a, b) }

// TargetBitrate returns the estimate in bit/s, 0 before the first feedback.
func (c *Controller) TargetBitrate() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.feedback {
		return 0
	}
	return c.target
}

// CongestionWindowFull reports whether encoders should drop the next frame.
func (c *Controller) CongestionWindowFull() bool { return c.window.pushback() }

// noOpPacer sends at once. Pion's pacers look streams up by their SSRC and drop retransmissions,
// which have another one (RFC 4588 section 4).
type noOpPacer struct {
	mu     sync.Mutex // guards writer
	writer interceptor.RTPWriter
}

// bind returns the writer of the stream that add adds.
func (p *noOpPacer) bind(add func()) interceptor.RTPWriter {
	p.mu.Lock()
	defer p.mu.Unlock()
	add()
	return p.writer
}

// AddStream implements gcc.Pacer. AddStream is called within bind.
func (p *noOpPacer) AddStream(_ uint32, writer interceptor.RTPWriter) { p.writer = writer }

// Write implements gcc.Pacer. Write is not used: bind returns the writer behind the pacer.
func (p *noOpPacer) Write(*rtp.Header, []byte, interceptor.Attributes) (int, error) {
	return 0, errors.New("no-op pacer has no queue")
}

// SetTargetBitrate implements gcc.Pacer.
func (p *noOpPacer) SetTargetBitrate(int) {}

// Close implements gcc.Pacer.
func (p *noOpPacer) Close() error { return nil }
