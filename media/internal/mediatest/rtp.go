package mediatest

import (
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/media"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// Sent is a packet, or a sender report, that a test sends at a time after the start.
type Sent struct {
	Packet *rtp.Packet
	Report *rtcp.SenderReport
	At     time.Duration
}

// CodecParameters returns the parameters of a codec as a browser offers it.
func CodecParameters(mime string) webrtc.RTPCodecParameters {
	p := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}}
	switch mime {
	case webrtc.MimeTypeVP8:
		p.PayloadType = 96
	case webrtc.MimeTypeVP9:
		p.PayloadType, p.SDPFmtpLine = 98, "profile-id=0"
	case webrtc.MimeTypeH264:
		p.PayloadType, p.SDPFmtpLine = 109, "packetization-mode=1;profile-level-id=42e01f"
	case webrtc.MimeTypeAV1:
		p.PayloadType, p.SDPFmtpLine = 45, "profile=0"
	case webrtc.MimeTypeOpus:
		p.PayloadType, p.ClockRate, p.Channels, p.SDPFmtpLine = 111, media.OpusClockRate, 2, "minptime=10;useinbandfec=1"
	case webrtc.MimeTypePCMU:
		p.PayloadType, p.ClockRate = 0, 8000
	case webrtc.MimeTypePCMA:
		p.PayloadType, p.ClockRate = 8, 8000
	}
	return p
}

// Packetize returns the packets of the samples of one track, each at the time of its sample.
func Packetize(mime string, samples []media.Sample) (sent []Sent) {
	var payloader rtp.Payloader
	switch mime {
	case webrtc.MimeTypeVP8:
		payloader = &codecs.VP8Payloader{EnablePictureID: true}
	case webrtc.MimeTypeVP9:
		payloader = &codecs.VP9Payloader{}
	case webrtc.MimeTypeAV1:
		payloader = &codecs.AV1Payloader{}
	case webrtc.MimeTypeH264:
		payloader = &codecs.H264Payloader{DisableStapA: true}
	default:
		payloader = &codecs.OpusPayloader{}
	}
	codec := CodecParameters(mime)
	number := uint16(65500) // wraps soon
	for _, s := range samples {
		payloads := payloader.Payload(1188, s.Data)
		for i, payload := range payloads {
			sent = append(sent, Sent{
				At: media.TicksToDuration(int64(s.Time), codec.ClockRate), //nolint:gosec // small
				Packet: &rtp.Packet{Payload: payload, Header: rtp.Header{
					Version: 2, PayloadType: uint8(codec.PayloadType), SSRC: 0xC0FFEE, SequenceNumber: number,
					Timestamp: 1<<32 - 48000 + uint32(s.Time), //nolint:gosec // wraps
					Marker:    media.KindOf(mime) == webrtc.RTPCodecTypeVideo && i == len(payloads)-1,
				}},
			})
			number++
		}
	}
	return sent
}

// Shuffle delays, drops and duplicates packets with these probabilities, in the same way for equal
// seeds.
func Shuffle(sent []Sent, seed uint64, reorder, drop, duplicate float64) (out []Sent, dropped, duplicated int) {
	random := rand.New(rand.NewPCG(seed, 0))
	for i, s := range sent {
		switch x := random.Float64(); {
		case x < drop:
			dropped++
			continue
		case x < drop+duplicate:
			again := *s.Packet
			out = append(out, s, Sent{Packet: &again, At: s.At})
			duplicated++
			continue
		case x < drop+duplicate+reorder && i > 0:
			s.At += time.Duration(random.IntN(100)) * time.Millisecond
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Sent) int { return int(a.At - b.At) })
	return out, dropped, duplicated
}

// A Wire is a remote track and its RTCP reader, both fed by a test.
type Wire struct {
	// Packets is what Read returns. Close ends the track.
	Packets chan *rtp.Packet
	// Reports is read by RTCP.
	Reports chan rtcp.Packet
	// Parameters are the codec. They may be changed between packets.
	Parameters webrtc.RTPCodecParameters

	kind        webrtc.RTPCodecType
	rtp, report deadline
}

// NewWire returns a Wire of a track with this codec.
func NewWire(mime string) *Wire {
	return &Wire{
		Packets: make(chan *rtp.Packet), Reports: make(chan rtcp.Packet), Parameters: CodecParameters(mime), kind: media.KindOf(mime),
	}
}

// Play sends packets at their times and ends the track. Play is called in a synctest bubble.
func (w *Wire) Play(sent []Sent) {
	start := time.Now()
	for _, s := range sent {
		if d := time.Until(start.Add(s.At)); d > 0 {
			time.Sleep(d)
		}
		if s.Report != nil {
			w.Reports <- s.Report
			time.Sleep(time.Nanosecond) // until it has been handled
			continue
		}
		w.Packets <- s.Packet
	}
	close(w.Packets)
}

// Read, SetReadDeadline, Kind and Codec are those of a webrtc.TrackRemote.
func (w *Wire) Read(b []byte) (int, interceptor.Attributes, error) {
	p, err := receive(&w.rtp, w.Packets)
	if err != nil {
		return 0, nil, err
	}
	n, err := p.MarshalTo(b)
	return n, nil, err
}

// SetReadDeadline sets the time at which Read returns os.ErrDeadlineExceeded.
func (w *Wire) SetReadDeadline(t time.Time) error { return w.rtp.set(t) }

// Kind returns the kind of the codec of NewWire.
func (w *Wire) Kind() webrtc.RTPCodecType { return w.kind }

// Codec returns Parameters.
func (w *Wire) Codec() webrtc.RTPCodecParameters { return w.Parameters }

// RTCP returns a reader of Reports, as a webrtc.RTPReceiver is one.
func (w *Wire) RTCP() *RTCPReader { return &RTCPReader{w} }

// RTCPReader reads the Reports of a Wire.
type RTCPReader struct{ wire *Wire }

// ReadRTCP returns the next report.
func (r *RTCPReader) ReadRTCP() ([]rtcp.Packet, interceptor.Attributes, error) {
	p, err := receive(&r.wire.report, r.wire.Reports)
	if err != nil {
		return nil, nil, err
	}
	return []rtcp.Packet{p}, nil, nil
}

// SetReadDeadline sets the time at which ReadRTCP returns os.ErrDeadlineExceeded.
func (r *RTCPReader) SetReadDeadline(t time.Time) error { return r.wire.report.set(t) }

// Deadline returns the read deadline, zero for none.
func (r *RTCPReader) Deadline() time.Time {
	_, at := r.wire.report.get()
	return at
}

// deadline is a read deadline that can be moved during a read.
type deadline struct {
	mu      sync.Mutex // guards all fields
	at      time.Time
	changed chan struct{} // is closed by set
}

func (d *deadline) set(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	return nil
}

func (d *deadline) get() (changed <-chan struct{}, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed, d.at
}

// receive returns the next value before the deadline, and io.EOF when c is closed.
func receive[T any](d *deadline, c <-chan T) (T, error) {
	for {
		var none T
		changed, at := d.get()
		var timer <-chan time.Time
		if !at.IsZero() {
			if !at.After(time.Now()) {
				return none, os.ErrDeadlineExceeded
			}
			timer = time.After(time.Until(at))
		}
		select {
		case v, ok := <-c:
			if !ok {
				return none, io.EOF
			}
			return v, nil
		case <-timer:
		case <-changed:
		}
	}
}

// A FrameList is a sink that keeps frames.
type FrameList struct{ Frames []media.Frame }

// WriteFrame implements media.FrameSink.
func (l *FrameList) WriteFrame(f media.Frame) error {
	f.Data = slices.Clone(f.Data)
	l.Frames = append(l.Frames, f)
	return nil
}

// ReadFile returns the content of a file.
func ReadFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
