package source

import (
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
	"parley/media/localtrack"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// RemoteTrack is what a Receiver reads. *webrtc.TrackRemote is one.
type RemoteTrack interface {
	ReadRTP() (*rtp.Packet, interceptor.Attributes, error)
	SetReadDeadline(t time.Time) error
	Kind() webrtc.RTPCodecType
	// Codec is that of the latest packet: a sender may change it among those negotiated.
	Codec() webrtc.RTPCodecParameters
}

// RTCPReader is where the sender's reports come from. *webrtc.RTPReceiver is one.
type RTCPReader interface {
	ReadRTCP() ([]rtcp.Packet, interceptor.Attributes, error)
	SetReadDeadline(t time.Time) error
}

// ReceiverOptions are the options of a Receiver. The zero value measures and hands nothing on.
type ReceiverOptions struct {
	// RTCP is read while Run runs: the sender's clock for lip sync is in it, and interceptors (retransmission,
	// congestion control) see only what is read. Nil leaves that to somebody else.
	RTCP RTCPReader

	// Sinks take the frames, in this order.
	Sinks []media.FrameSink

	// Forwarder takes the packets, as they come.
	Forwarder *localtrack.Forwarder

	// RequestKeyFrame sends a request to the other end (PLI). It is called from several goroutines, at most twice
	// a second, and must not block for long. Nil asks for none: after a loss, video then waits for the next key frame
	// that comes by itself.
	RequestKeyFrame func()

	// Wait is how long a missing packet is waited for, which is the time a retransmission has: 250 ms by
	// default, 10 s at most. Frames after a loss come that much later.
	Wait time.Duration

	// RTT is the round trip to the other end now, 0 while it is not known. It is called about once a second, for video
	// alone: a picture waits for as long as a retransmission takes, if that is longer than Wait, up to 2 s. Nil is never
	// known.
	RTT func() time.Duration

	// WaitPackets is how many packets wait behind a missing one: 512 by default and at most 1000.
	WaitPackets int

	// Strip makes the receiver decode key frames of VP8 up to 1280 by 720, at most 30 a second, to read the frame
	// number of a test picture: about 3 ms each at the default size of the test picture.
	Strip bool

	// Logger gets what is odd. The default discards it.
	Logger *slog.Logger
}

const (
	defaultWait        = 250 * time.Millisecond
	maxWait            = 10 * time.Second
	maxRepeatWait      = 2 * time.Second        // for a retransmission; a picture that stands longer is better begun anew
	repeatDelay        = 150 * time.Millisecond // until a loss is asked for, and some jitter
	defaultWaitPackets = 512
	maxWaitPackets     = 1000
	maxBadReads        = 1000 // in a row; then reading will not get better
)

// A Receiver reads one remote track until it ends, puts the packets in order, and hands on what it reads.
type Receiver struct {
	track    RemoteTrack
	options  ReceiverOptions
	log      *slog.Logger
	board    board
	requests *keyFrameRequests
	deadline deadline
	clock    senderClock

	// The rest belongs to the goroutine of Run.
	codec     webrtc.RTPCodecParameters
	payload   uint8
	ssrc      uint32
	sequence  rtpseq.Counter
	reorder   reorder
	assembler assembler
	jitter    jitter
	late      int64
	lost      int64 // of streams with another SSRC
	ear       *ear
	earTime   time.Time
	eye       eye
	failed    []bool    // sinks that returned an error
	looked    time.Time // at the round trip, last
}

// NewReceiver returns a Receiver for track. Run does the work.
func NewReceiver(track RemoteTrack, o ReceiverOptions) *Receiver {
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.WaitPackets <= 0 {
		o.WaitPackets = defaultWaitPackets
	}
	r := &Receiver{
		track:    track,
		options:  o,
		log:      logger(o.Logger),
		requests: &keyFrameRequests{send: o.RequestKeyFrame},
		deadline: deadline{track: track},
		reorder:  reorder{wait: min(o.Wait, maxWait), limit: min(o.WaitPackets, maxWaitPackets)},
		failed:   make([]bool, len(o.Sinks)),
	}
	r.board.stats.Kind = track.Kind().String()
	r.board.stats.Level = silence
	return r
}

// Stats is what has been measured so far. It may be called at any time, from any goroutine. When a media.FrameSink sees a
// frame, the frame is already counted.
func (r *Receiver) Stats() Stats {
	s := r.board.read(time.Now())
	s.KeyFrameRequests = r.requests.count()
	return s
}

// RequestKeyFrame asks the other end for a key frame, now or as soon as the limit of two a second allows, and until one
// comes. It never blocks longer than ReceiverOptions.RequestKeyFrame.
func (r *Receiver) RequestKeyFrame() {
	r.requests.want(time.Now())
}

// Run reads until the track ends or ctx does, both of which are no error. It may be called once, and returns when
// all that it started has ended.
func (r *Receiver) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.deadline.end)
	defer stop()
	var pump sync.WaitGroup
	if r.options.RTCP != nil {
		done := make(chan struct{})
		defer func() {
			close(done)
			_ = r.options.RTCP.SetReadDeadline(time.Unix(1, 0))
			pump.Wait()
			_ = r.options.RTCP.SetReadDeadline(time.Time{})
		}()
		pump.Go(func() { r.pumpRTCP(done) })
	}
	if r.options.Forwarder != nil {
		r.options.Forwarder.SetKeyFrameSource(r.RequestKeyFrame)
	}
	if r.track.Kind() == webrtc.RTPCodecTypeVideo {
		r.requests.want(time.Now())
	}
	err := r.read(ctx)
	r.reorder.flush(r.assembler.push)
	return err
}

// read is the loop of Run.
func (r *Receiver) read(ctx context.Context) error {
	for bad := 0; ; {
		r.follow(time.Now())
		r.deadline.set(r.reorder.deadline())
		packet, _, err := r.track.ReadRTP()
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			bad = 0
			r.receive(packet, now)
		case isTimeout(err):
		case isEnd(err):
			return nil
		default:
			// A packet that cannot be parsed, or of a payload type that was not negotiated.
			if bad++; bad > maxBadReads {
				return fmt.Errorf("read %s track: %w", r.track.Kind(), err)
			}
			r.log.Debug("drop packet", "error", err)
		}
		r.reorder.expire(now, r.assembler.push)
		r.requests.poll(now)
	}
}

// follow makes the wait for a missing packet as long as one more try takes, and half of one: the request may get lost.
func (r *Receiver) follow(now time.Time) {
	if r.options.RTT == nil || r.track.Kind() != webrtc.RTPCodecTypeVideo || now.Sub(r.looked) < time.Second {
		return
	}
	r.looked = now
	wait := min(r.options.Wait, maxWait)
	if rtt := r.options.RTT(); rtt > 0 {
		wait = max(wait, min(rtt+rtt/2+repeatDelay, maxRepeatWait))
	}
	r.reorder.wait = wait
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// receive takes one packet as it comes.
func (r *Receiver) receive(p *rtp.Packet, now time.Time) {
	if r.options.Forwarder != nil {
		r.options.Forwarder.WriteRTP(p, r.track.Codec())
	}
	if !media.CarriesMedia(r.track.Codec().MimeType) {
		// Keys pressed on a telephone and the like come in between, in the same numbering (RFC 4733 section 2.1).
		if r.codec.MimeType == "" {
			return
		}
		aside := *p
		aside.Payload = nil
		p = &aside
	} else if p.SSRC != r.ssrc || r.codec.MimeType == "" {
		r.begin(p)
	} else if p.PayloadType != r.payload {
		r.change(p)
	}
	place, what := r.sequence.Add(p.SequenceNumber)
	switch what {
	case rtpseq.Duplicate:
		r.board.update(func(s *Stats) { s.Duplicates++ })
		return
	case rtpseq.Stray:
		return
	case rtpseq.Restart:
		r.reorder.flush(r.assembler.push)
		r.jitter = jitter{}
	case rtpseq.New:
	}
	r.count(p, now)
	if !r.reorder.push(arrived{packet: p, at: now, place: place}, r.assembler.push) {
		r.late++
	}
}

// begin starts over with another stream: the sender has changed its SSRC (RFC 3550 section 8).
func (r *Receiver) begin(p *rtp.Packet) {
	r.reorder.flush(r.assembler.push)
	r.lost += r.sequence.Missing()
	r.sequence, r.jitter = rtpseq.Counter{}, jitter{}
	r.ssrc = p.SSRC
	r.clock.reset(p.SSRC)
	r.board.update(func(s *Stats) { s.SSRC = p.SSRC })
	r.change(p)
}

// change switches to the codec of p.
func (r *Receiver) change(p *rtp.Packet) {
	r.reorder.flush(r.assembler.push)
	r.payload = p.PayloadType
	capability := r.track.Codec()
	capability.MimeType = media.CanonicalMIME(capability.MimeType)
	if capability.MimeType == r.codec.MimeType && capability.ClockRate == r.codec.ClockRate {
		return
	}
	r.codec = capability
	r.assembler.use(newUnpacker(capability.MimeType), r.frame, r.broken)
	r.ear = nil
	if capability.MimeType == webrtc.MimeTypeOpus {
		var err error
		if r.ear, err = newEar(); err != nil {
			r.log.Warn("cannot listen to audio", "error", err)
		}
	}
	r.board.update(func(s *Stats) { s.Codec = media.CodecName(capability.MimeType) })
}

func (r *Receiver) count(p *rtp.Packet, now time.Time) {
	r.jitter.add(p.Timestamp, r.codec.ClockRate, now)
	lost := max(0, r.lost+r.late+r.sequence.Missing())
	r.board.update(func(s *Stats) {
		s.Packets++
		s.Bytes += uint64(len(p.Payload))
		s.Lost, s.Discarded = uint64(lost), uint64(r.late)
		s.Jitter = r.jitter.milliseconds(r.codec.ClockRate)
		r.board.bits.add(now, float64(len(p.Payload)*8))
	})
}

// broken counts a frame that was dropped.
func (r *Receiver) broken() {
	r.board.update(func(s *Stats) { s.Broken++ })
	r.requests.want(time.Now())
}

// frame takes a complete frame from the assembler.
func (r *Receiver) frame(data []byte, first arrived, gap bool) {
	now := time.Now()
	f := media.Frame{
		Kind:      r.track.Kind(),
		Codec:     r.codec.MimeType,
		SSRC:      first.packet.SSRC,
		Data:      data,
		Timestamp: first.packet.Timestamp,
		ClockRate: r.codec.ClockRate,
		Arrival:   first.at,
		Captured:  r.clock.at(first.packet.Timestamp, r.codec.ClockRate),
		Key:       true,
		Gap:       gap,
	}
	if f.Kind == webrtc.RTPCodecTypeVideo {
		p := codec.ParseFrame(f.Codec, data)
		f.Key, f.Width, f.Height = p.Key, p.Width, p.Height
		if f.Key {
			r.requests.satisfied()
		} else if gap {
			r.requests.want(now)
		}
	}
	r.note(f, now)
	for i, sink := range r.options.Sinks {
		if r.failed[i] {
			continue
		}
		if err := sink.WriteFrame(f); err != nil {
			r.failed[i] = true
			r.log.Warn("stop recording track", "kind", f.Kind.String(), "error", err)
		}
	}
}

// note measures a frame.
func (r *Receiver) note(f media.Frame, now time.Time) {
	tone, level, heard := 0.0, 0.0, false
	if r.ear != nil {
		elapsed := 0.0
		if !r.earTime.IsZero() {
			elapsed = f.Arrival.Sub(r.earTime).Seconds()
		}
		r.earTime = f.Arrival
		tone, level, heard = r.ear.hear(f.Data, f.Timestamp, elapsed)
	}
	emitted := uint64(1)
	if f.Codec == webrtc.MimeTypeOpus {
		emitted = uint64(codec.OpusPacketSamples(f.Data))
	}
	number, read := uint32(0), false
	if r.options.Strip && f.Key && f.Codec == webrtc.MimeTypeVP8 {
		number, read = r.eye.read(f.Data, f.Width, f.Height, now)
	}
	r.board.update(func(s *Stats) {
		s.Frames++
		s.Waited += max(0, now.Sub(f.Arrival))
		s.Emitted += emitted
		if r.ear != nil {
			s.Samples, s.Energy = r.ear.samples, r.ear.energy
		}
		r.board.frames.Add(f.Timestamp, f.ClockRate, f.Arrival)
		if s.FirstFrame.IsZero() {
			s.FirstFrame = f.Arrival
		}
		if f.Key {
			s.KeyFrames++
		}
		if f.Width > 0 {
			s.Width, s.Height = f.Width, f.Height
		}
		if heard {
			s.Tone, s.Level = tone, level
			r.board.heard = now
		}
		if read {
			s.Strip = number
			s.Strips++
		}
	})
}
