package receiver

import (
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"
)

// BenchmarkReceiver measures one packet of video: order, frames, headers and statistics.
func BenchmarkReceiver(b *testing.B) {
	for mime, samples := range videoSamples(b) {
		b.Run(media.CodecName(mime), func(b *testing.B) {
			sent := mediatest.Packetize(mime, samples)
			r := New(mediatest.NewWire(mime), Options{})
			now, n := time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				s, round := sent[n%len(sent)], n/len(sent)
				p := *s.Packet
				p.SequenceNumber += uint16(round * len(sent))           //nolint:gosec // wraps
				p.Timestamp += uint32(round) * 2 * media.VideoClockRate //nolint:gosec // wraps
				r.handlePacket(&p, now.Add(s.At+time.Duration(round)*2*time.Second))
				n++
			}
			if s := r.Stats(); s.Lost != 0 || s.Broken != 0 {
				b.Errorf("stats are %+v", s)
			}
		})
	}
}
