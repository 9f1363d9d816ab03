package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/rtpseq"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// RemoteTrack is the track that a Receiver reads. *webrtc.TrackRemote implements it.
type RemoteTrack interface {
	// Read reads one RTP packet into b.
	Read(b []byte) (n int, a interceptor.Attributes, err error)
	SetReadDeadline(t time.Time) error
	Kind() webrtc.RTPCodecType
	// Codec returns the codec of the latest packet: a sender may switch among the negotiated
	// codecs.
	Codec() webrtc.RTPCodecParameters
}

// RTCPReader reads the RTCP packets of the sender. *webrtc.RTPReceiver implements it.
type RTCPReader interface {
	ReadRTCP() ([]rtcp.Packet, interceptor.Attributes, error)
	SetReadDeadline(t time.Time) error
}

// A PacketSink forwards RTP packets.
type PacketSink interface {
	// SetKeyFrameSource sets the function that requests a key frame from the sender of the packets.
	// SetKeyFrameSource is called before WriteRTP.
	SetKeyFrameSource(request func())
	// WriteRTP takes a packet as it arrives, with its codec and the value of its header extension
	// urn:3gpp:video-orientation, nil if it has none. It must not change the packet.
	WriteRTP(p *rtp.Packet, codec webrtc.RTPCodecParameters, orientation []byte)
}

// Options are the options of a Receiver. The zero value only keeps statistics.
type Options struct {
	// RTCP is read while Run runs: sender reports carry the sender's clock, and interceptors
	// (retransmission, congestion control) only see packets that are read. Nil leaves that to the
	// caller.
	RTCP RTCPReader

	// Sinks take the frames, in this order.
	Sinks []media.FrameSink

	// Forward takes the packets as they arrive. Nil forwards none.
	Forward PacketSink

	// RequestKeyFrame sends a request for a key frame (PLI) to the sender. RequestKeyFrame is
	// called from several goroutines, at most twice a second, and must not block for long. With
	// nil, video waits after a loss for the next key frame.
	RequestKeyFrame func()

	// Wait is how long a missing packet is waited for, so that a retransmission can arrive. It also
	// delays the frames after a loss. The default is 250 ms, the maximum 10 s.
	Wait time.Duration

	// OrientationExtensionID returns the ID of the header extension urn:3gpp:video-orientation, 0
	// while it is not negotiated. Nil stands for 0. The extension sets the rotation of frames; that
	// a camera is flipped is ignored.
	OrientationExtensionID func() uint8

	// RTT returns the round-trip time to the sender, 0 while it is not known. For video it extends
	// Wait to the time of a retransmission, 2 s at most. RTT is called about once a second. Nil
	// keeps Wait.
	RTT func() time.Duration

	// WaitPackets is how many packets wait behind a missing one: 512 by default, 1000 at most.
	WaitPackets int

	// Changed is called after the statistics have changed and the sinks have got their frames, on
	// the goroutine of Run. It must not block. The default does nothing.
	Changed func()

	// Logger gets dropped packets and failed sinks. The default discards them.
	Logger *slog.Logger
}

const (
	defaultWait        = 250 * time.Millisecond
	maxWait            = 10 * time.Second
	maxRetransmitWait  = 2 * time.Second        // for a retransmission; after that a key frame is faster
	nackDelay          = 150 * time.Millisecond // until a NACK is sent, and some jitter
	pollInterval       = time.Second            // between two calls of Options.RTT, or Options.OrientationExtensionID
	defaultWaitPackets = 512
	maxWaitPackets     = 1000
	maxReadErrors      = 1000 // in a row, before Run gives up
)

// A Receiver reads one remote track.
type Receiver struct {
	track     RemoteTrack
	options   Options
	log       *slog.Logger
	stats     statsCollector
	keyFrames keyFrameRequester
	deadline  readDeadline
	clock     senderClock

	// The goroutine of Run owns all fields below.
	codec     webrtc.RTPCodecParameters
	payload   uint8
	ssrc      uint32
	sequence  rtpseq.Counter
	buffer    jitterBuffer
	assembler frameAssembler
	jitter    jitterMeter
	late      int64
	lost      int64     // of streams with another SSRC
	failed    []bool    // sinks that returned an error
	rttTime   time.Time // of the latest call of Options.RTT

	orientationID   uint8     // of the header extension, 0 if it is not known
	orientationTime time.Time // of the latest call of Options.OrientationExtensionID
}

// New returns a Receiver for track. Run does the work.
func New(track RemoteTrack, o Options) *Receiver {
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.WaitPackets <= 0 {
		o.WaitPackets = defaultWaitPackets
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Receiver{
		track:     track,
		options:   o,
		log:       o.Logger,
		keyFrames: keyFrameRequester{send: o.RequestKeyFrame},
		deadline:  readDeadline{track: track},
		buffer:    jitterBuffer{maxWait: min(o.Wait, maxWait), maxPackets: min(o.WaitPackets, maxWaitPackets)},
		failed:    make([]bool, len(o.Sinks)),
	}
	r.stats.stats.Kind = track.Kind().String()
	return r
}

// Stats returns the statistics so far. It may be called at any time, from any goroutine. A frame is
// counted before sinks get it.
func (r *Receiver) Stats() Stats {
	s := r.stats.snapshot(time.Now())
	s.KeyFrameRequests = r.keyFrames.count()
	return s
}

// Lost returns the number of lost packets so far, see Stats.
func (r *Receiver) Lost() uint64 {
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	return r.stats.stats.Lost
}

// RequestKeyFrame requests a key frame, now or as soon as the limit of two requests a second
// allows, and again until one arrives. It blocks no longer than Options.RequestKeyFrame.
func (r *Receiver) RequestKeyFrame() {
	r.keyFrames.request(time.Now())
}

// Run reads until the track or ctx ends, and returns nil then. It may be called once. The error
// says why packets can no longer be read.
func (r *Receiver) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.deadline.end)
	defer stop()
	var reading sync.WaitGroup
	if r.options.RTCP != nil {
		done := make(chan struct{})
		defer func() {
			close(done)
			_ = r.options.RTCP.SetReadDeadline(time.Unix(1, 0))
			reading.Wait()
			_ = r.options.RTCP.SetReadDeadline(time.Time{})
		}()
		reading.Go(func() { r.readRTCP(done) })
	}
	if r.options.Forward != nil {
		r.options.Forward.SetKeyFrameSource(r.RequestKeyFrame)
	}
	if r.track.Kind() == webrtc.RTPCodecTypeVideo {
		r.keyFrames.request(time.Now())
	}
	err := r.readRTP(ctx)
	r.buffer.flush(r.assembler.push)
	r.options.Changed()
	return err
}

// maxPacketSize is that of an RTP packet in bytes. Pion drops what is larger than 1460.
const maxPacketSize = 1500

func (r *Receiver) readRTP(ctx context.Context) error {
	buffer := make([]byte, maxPacketSize)
	for failures := 0; ; {
		r.updateWait(time.Now())
		r.deadline.set(r.buffer.deadline())
		packet, err := r.readPacket(buffer)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			r.handlePacket(packet, now)
		case isTimeout(err):
		case isEnd(err):
			return nil
		default:
			// An invalid packet, or a payload type that was not negotiated.
			if failures++; failures > maxReadErrors {
				return fmt.Errorf("read %s track: %w", r.track.Kind(), err)
			}
			r.log.Debug("drop packet", "error", err)
		}
		r.buffer.expire(now, r.assembler.push)
		r.options.Changed()
		r.keyFrames.poll(now)
	}
}

// readPacket reads a packet. It copies it out of the buffer, because most packets are a small part
// of that and they are kept for a while.
func (r *Receiver) readPacket(buffer []byte) (*rtp.Packet, error) {
	n, _, err := r.track.Read(buffer)
	if err != nil {
		return nil, err
	}
	p := &rtp.Packet{}
	return p, p.Unmarshal(bytes.Clone(buffer[:n]))
}

// readRTCP reads until done, or the end of the stream.
func (r *Receiver) readRTCP(done <-chan struct{}) {
	for failures := 0; failures < maxReadErrors; {
		packets, _, err := r.options.RTCP.ReadRTCP()
		select {
		case <-done:
			return
		default:
		}
		switch {
		case err == nil:
			failures = 0
		case isEnd(err):
			return
		default:
			failures++
		}
		for _, packet := range packets {
			if report, ok := packet.(*rtcp.SenderReport); ok {
				r.clock.handleReport(report)
			}
		}
	}
}

// updateWait sets how long a missing packet is waited for to one and a half round trips, since a
// NACK may be lost.
func (r *Receiver) updateWait(now time.Time) {
	if r.options.RTT == nil || r.track.Kind() != webrtc.RTPCodecTypeVideo || now.Sub(r.rttTime) < pollInterval {
		return
	}
	r.rttTime = now
	wait := min(r.options.Wait, maxWait)
	if rtt := r.options.RTT(); rtt > 0 {
		wait = max(wait, min(rtt+rtt/2+nackDelay, maxRetransmitWait))
	}
	r.buffer.maxWait = wait
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// handlePacket takes a packet in order of arrival.
func (r *Receiver) handlePacket(p *rtp.Packet, now time.Time) {
	orientation := r.orientation(p, now)
	if r.options.Forward != nil {
		r.options.Forward.WriteRTP(p, r.track.Codec(), orientation)
	}
	if !media.CarriesMedia(r.track.Codec().MimeType) {
		// Telephone events share the sequence numbers (RFC 4733 section 2.1).
		if r.codec.MimeType == "" {
			return
		}
		empty := *p
		empty.Payload = nil
		p = &empty
	} else if p.SSRC != r.ssrc || r.codec.MimeType == "" {
		r.startStream(p)
	} else if p.PayloadType != r.payload {
		r.setCodec(p)
	}
	number, arrival := r.sequence.Add(p.SequenceNumber)
	switch arrival {
	case rtpseq.Duplicate:
		r.stats.update(func(s *Stats) { s.Duplicates++ })
		return
	case rtpseq.Stray:
		return
	case rtpseq.Restart:
		r.buffer.flush(r.assembler.push)
		r.jitter = jitterMeter{}
	case rtpseq.New:
	}
	r.countPacket(p, now)
	buffered := bufferedPacket{packet: p, at: now, number: number}
	if len(orientation) > 0 {
		// The two low bits count the rotation in steps of 90 degrees.
		buffered.oriented, buffered.rotation = true, int(orientation[0]&3)*90
	}
	if !r.buffer.push(buffered, r.assembler.push) {
		r.late++
	}
}

// orientation returns the orientation of video in a packet, nil if it has none (3GPP TS 26.114
// section 7.4.5).
func (r *Receiver) orientation(p *rtp.Packet, now time.Time) []byte {
	if !p.Extension || r.options.OrientationExtensionID == nil || r.track.Kind() != webrtc.RTPCodecTypeVideo {
		return nil
	}
	if r.orientationID == 0 && now.Sub(r.orientationTime) >= pollInterval {
		r.orientationID, r.orientationTime = r.options.OrientationExtensionID(), now
	}
	if r.orientationID == 0 {
		return nil
	}
	return p.GetExtension(r.orientationID)
}

// startStream starts again with another SSRC (RFC 3550 section 8).
func (r *Receiver) startStream(p *rtp.Packet) {
	r.buffer.flush(r.assembler.push)
	r.lost += r.sequence.Missing()
	r.sequence, r.jitter = rtpseq.Counter{}, jitterMeter{}
	r.ssrc = p.SSRC
	r.clock.reset(p.SSRC)
	r.stats.update(func(s *Stats) { s.SSRC = p.SSRC })
	r.codec = webrtc.RTPCodecParameters{} // forget the parameter sets of the other stream
	r.setCodec(p)
}

// setCodec switches to the codec of p.
func (r *Receiver) setCodec(p *rtp.Packet) {
	r.buffer.flush(r.assembler.push)
	r.payload = p.PayloadType
	capability := r.track.Codec()
	capability.MimeType = media.CanonicalMIME(capability.MimeType)
	if capability.MimeType == r.codec.MimeType && capability.ClockRate == r.codec.ClockRate {
		return
	}
	r.codec = capability
	r.assembler.reset(newDepacketizer(capability), r.emit, r.dropFrame)
	r.stats.update(func(s *Stats) { s.Codec = media.CodecName(capability.MimeType) })
}

func (r *Receiver) countPacket(p *rtp.Packet, now time.Time) {
	r.jitter.add(p.Timestamp, r.codec.ClockRate, now)
	lost := max(0, r.lost+r.late+r.sequence.Missing())
	r.stats.update(func(s *Stats) {
		s.Packets++
		s.Bytes += uint64(len(p.Payload))
		s.Lost, s.Discarded = uint64(lost), uint64(r.late)
		s.Jitter = r.jitter.milliseconds(r.codec.ClockRate)
		r.stats.bits.add(now, float64(len(p.Payload)*8))
	})
}

// dropFrame counts an incomplete frame and requests a key frame.
func (r *Receiver) dropFrame() {
	r.stats.update(func(s *Stats) { s.Broken++ })
	r.keyFrames.request(time.Now())
}

// emit passes a complete frame on to the sinks.
func (r *Receiver) emit(a assembledFrame) {
	now := time.Now()
	f := media.Frame{
		Kind:      r.track.Kind(),
		Codec:     r.codec.MimeType,
		SSRC:      a.first.packet.SSRC,
		Data:      a.data,
		Timestamp: a.first.packet.Timestamp,
		ClockRate: r.codec.ClockRate,
		Arrival:   a.first.at,
		Captured:  r.clock.at(a.first.packet.Timestamp, r.codec.ClockRate),
		Key:       true,
		Rotation:  a.rotation,
		Gap:       a.gap,
	}
	if f.Kind == webrtc.RTPCodecTypeVideo {
		header := codec.ParseFrame(f.Codec, f.Data)
		f.Key, f.Width, f.Height = header.Key, header.Width, header.Height
		if f.Key {
			r.keyFrames.satisfy()
		} else if f.Gap {
			r.keyFrames.request(now)
		}
	}
	r.countFrame(f, now)
	for i, sink := range r.options.Sinks {
		if r.failed[i] {
			continue
		}
		if err := sink.WriteFrame(f); err != nil {
			r.failed[i] = true
			r.log.Warn("stop writing frames of track", "kind", f.Kind.String(), "error", err)
		}
	}
}

func (r *Receiver) countFrame(f media.Frame, now time.Time) {
	emitted := 1
	switch f.Codec {
	case webrtc.MimeTypeOpus:
		emitted = codec.OpusPacketSamples(f.Data)
	case webrtc.MimeTypePCMU, webrtc.MimeTypePCMA:
		emitted = len(f.Data) * media.OpusClockRate / int(max(1, f.ClockRate))
	}
	r.stats.update(func(s *Stats) {
		s.Frames++
		s.BufferDelay += max(0, now.Sub(f.Arrival))
		s.Emitted += uint64(emitted) //nolint:gosec // not negative
		r.stats.frames.Add(f.Timestamp, f.ClockRate, f.Arrival)
		if s.FirstFrame.IsZero() {
			s.FirstFrame = f.Arrival
		}
		if f.Key {
			s.KeyFrames++
		}
		if f.Width > 0 {
			s.Width, s.Height = f.Width, f.Height
		}
	})
}

// readDeadline is the read deadline of a track. end overrides all others.
type readDeadline struct {
	track RemoteTrack

	mu    sync.Mutex // guards the fields below and orders calls of SetReadDeadline
	ended bool
	at    time.Time
}

// set makes a read return at t, or when a packet arrives if t is zero.
func (d *readDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended || d.at.Equal(t) {
		return
	}
	d.at = t
	_ = d.track.SetReadDeadline(t) // fails on a closed track, as the next read will
}

// end makes all reads return.
func (d *readDeadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	_ = d.track.SetReadDeadline(time.Unix(1, 0))
}
