package receiver

import (
	"bytes"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// FuzzReceiver feeds packets cut out of the input to a Receiver of each codec. The input is a list
// of packets: a byte for the step of the sequence number, one for flags, one for the length, the
// payload.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 1, 5, 0x10, 0x10, 2, 0, 0x9d, 1, 1, 2, 0x90, 0x80, 0x81, 7, 3, 1, 0x7c, 0x85, 9})
	f.Add([]byte{1, 0, 3, 0x7c, 0x85, 1, 1, 1, 3, 0x7c, 0x45, 2, 5, 4, 3, 0x78, 0, 1})
	f.Add([]byte{1, 1, 4, 0x50, 0x0a, 1, 2, 1, 1, 3, 0x90, 1, 2, 200, 8, 3, 0xF8, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeH264, webrtc.MimeTypeAV1, webrtc.MimeTypeOpus} {
			check := sinkFunc(func(f media.Frame) {
				if len(f.Data) == 0 && mime != webrtc.MimeTypeOpus || len(f.Data) > media.MaxFrameSize {
					t.Fatalf("a frame of %d bytes", len(f.Data))
				}
			})
			r := New(mediatest.NewWire(mime), Options{Sinks: []media.FrameSink{check}, WaitPackets: 4 + i})
			p := rtp.Packet{}
			now := time.Unix(1, 0)
			for rest := data; len(rest) >= 3; {
				n := min(int(rest[2]), len(rest)-3)
				next := p
				next.SequenceNumber += uint16(int8(rest[0])) //nolint:gosec // forth and back
				next.Marker = rest[1]&1 != 0
				next.Timestamp += uint32(rest[1]>>1&7) * 3000
				if rest[1]&0x80 != 0 {
					next.SSRC++
				}
				if rest[1]&0x40 != 0 {
					next.SequenceNumber += 30000
				}
				next.Payload = bytes.Clone(rest[3 : 3+n])
				rest = rest[3+n:]
				now = now.Add(time.Duration(n) * time.Millisecond)
				p = next
				r.handlePacket(&next, now)
				r.buffer.expire(now, r.assembler.push)
			}
			r.buffer.flush(r.assembler.push)
			if s := r.Stats(); s.Frames+s.Broken > s.Packets {
				t.Errorf("stats are %+v", s)
			}
		}
	})
}

type sinkFunc func(media.Frame)

func (s sinkFunc) WriteFrame(f media.Frame) error {
	s(f)
	return nil
}
