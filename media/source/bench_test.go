package source

import (
	"testing"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// BenchmarkReceiver measures one packet through a receiver: order, frames, headers, statistics, and for audio the ear.
func BenchmarkReceiver(b *testing.B) {
	video := clip(b, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "25", "-b:v", "4M")
	audio := clip(b, "opus.ogg", "-c:a", "libopus")
	for mime, path := range map[string]string{webrtc.MimeTypeVP8: video, webrtc.MimeTypeOpus: audio} {
		b.Run(media.CodecName(mime), func(b *testing.B) {
			file, all := frames(b, path, VideoOptions{})
			lines := script(b, file, all)
			r := NewReceiver(newWire(mime), ReceiverOptions{})
			now, n := time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				line := lines[n%len(lines)]
				round := n / len(lines)
				p := *line.packet
				p.SequenceNumber += uint16(round * len(lines))      //nolint:gosec // wraps
				p.Timestamp += uint32(round) * uint32(ticksOf(all)) //nolint:gosec // wraps
				r.receive(&p, now.Add(line.at+time.Duration(round)*2*time.Second))
				n++
			}
			if s := r.Stats(); s.Lost != 0 || s.Broken != 0 {
				b.Errorf("stats are %+v", s)
			}
		})
	}
}

func ticksOf(all []sample) uint64 { return all[len(all)-1].at + all[len(all)-1].duration }
