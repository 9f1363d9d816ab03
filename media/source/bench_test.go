package source

import (
	"fmt"
	"testing"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// BenchmarkTestPicture measures one frame of the test picture, drawn and encoded.
func BenchmarkTestPicture(b *testing.B) {
	for _, size := range [][2]int{{320, 240}, {640, 480}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			source, err := newTestVideo(VideoOptions{Width: size[0], Height: size[1]})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			frame, bytes := uint32(0), 0
			for b.Loop() {
				data, err := source.encoder.encode(source.card.Paint(frame, source.at(frame), time.Unix(int64(frame), 0)))
				if err != nil {
					b.Fatal(err)
				}
				bytes += len(data)
				frame++
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/frame")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/frame")
		})
	}
}

func BenchmarkTone(b *testing.B) {
	source, err := newTone("test", testTone, AudioOptions{})
	if err != nil {
		b.Fatal(err)
	}
	pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n += opusSamples {
		source.fill(pcm, n)
		if _, err := source.encoder.Encode(pcm, packet); err != nil {
			b.Fatal(err)
		}
	}
}

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

func BenchmarkReadStrip(b *testing.B) {
	encoder, err := newVP8Encoder(0, 15)
	if err != nil {
		b.Fatal(err)
	}
	data, err := encoder.encode(newCard(320, 240).Paint(7, 0, time.Unix(0, 0)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		img, ok := decodeVP8(data)
		if n, read := ReadStrip(img); !ok || !read || n != 7 {
			b.Fatal("not read")
		}
	}
}
