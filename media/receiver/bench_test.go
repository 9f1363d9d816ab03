package receiver

import (
	"testing"
	"time"

	"parley/media"
	"parley/media/container/ogg"
	"parley/media/internal/mediatest"
	"parley/media/quality"

	"github.com/pion/webrtc/v4"
)

// replay feeds two seconds of packets to a Receiver over and over.
type replay struct {
	r     *Receiver
	sent  []mediatest.Sent
	ticks uint32 // in two seconds
	start time.Time
	n     int
}

func newReplay(mime string, samples []media.Sample, sinks ...media.FrameSink) *replay {
	return &replay{
		r: New(mediatest.NewWire(mime), Options{Sinks: sinks}), sent: mediatest.Packetize(mime, samples),
		ticks: 2 * mediatest.CodecParameters(mime).ClockRate, start: time.Now(),
	}
}

// next handles the next packet.
func (p *replay) next() {
	s, round := p.sent[p.n%len(p.sent)], p.n/len(p.sent)
	packet := *s.Packet
	packet.SequenceNumber += uint16(round * len(p.sent)) //nolint:gosec // wraps
	packet.Timestamp += uint32(round) * p.ticks          //nolint:gosec // wraps
	p.r.handlePacket(&packet, p.start.Add(s.At+time.Duration(round)*2*time.Second))
	p.n++
}

// BenchmarkReceiver measures one packet of video: order, frames, headers and statistics.
func BenchmarkReceiver(b *testing.B) {
	for mime, samples := range videoSamples(b) {
		b.Run(media.CodecName(mime), func(b *testing.B) {
			p := newReplay(mime, samples)
			b.ReportAllocs()
			for b.Loop() {
				p.next()
			}
			if s := p.r.Stats(); s.Lost != 0 || s.Broken != 0 {
				b.Errorf("stats are %+v", s)
			}
		})
	}
}

// BenchmarkReceiveAudio measures one second of 50 tracks of Opus. It compares that with a meter of
// tones on each track, as every track had one when the Receiver decoded.
func BenchmarkReceiveAudio(b *testing.B) {
	const tracks = 50
	_, samples := mediatest.Demux(b, ogg.NewDemuxer, mediatest.ReadFile(b, mediatest.Clip(b, "opus.ogg", "-c:a", "libopus")))
	samples = samples[:100]
	var plain, metered []*replay
	for range tracks {
		plain = append(plain, newReplay(webrtc.MimeTypeOpus, samples))
		metered = append(metered, newReplay(webrtc.MimeTypeOpus, samples, quality.NewToneMeter()))
	}
	second := func(all []*replay) time.Duration {
		start := time.Now()
		for range 50 {
			for _, p := range all {
				p.next()
			}
		}
		return time.Since(start)
	}
	var without, with time.Duration
	for b.Loop() {
		without += second(plain)
		with += second(metered)
	}
	b.ReportMetric(float64(without.Microseconds())/1000/float64(b.N), "ms/s")
	b.ReportMetric(float64(with.Microseconds())/1000/float64(b.N), "ms/s-metered")
	b.ReportMetric(float64(without)/float64(with), "ratio")
	if 3*without > with {
		b.Errorf("receiving takes %v, and %v with meters; want a third at most", without, with)
	}
}
