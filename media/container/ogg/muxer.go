package ogg

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"parley/media"
	"parley/media/codec"
)

const (
	maxPagePackets = 50 // a second of packets of 20 ms, which is what a killed recording loses
	maxPageBytes   = 32 << 10
	maxSegments    = 255
	maxGap         = 3600 * media.OpusClockRate // samples; what is missing beyond an hour is left out
	opusRounding   = 120                        // samples: the shortest frame of Opus, less than that is no gap
)

// muxer writes an Ogg file with one Opus stream (RFC 7845). Where packets are missing it writes empty ones (section
// 4.1), which a decoder bridges or takes for silence, so that what follows is heard at its time.
type muxer struct {
	file   media.Output
	crc    *[256]uint32
	serial uint32
	number uint32

	segments []byte
	body     []byte
	packets  int
	position int64 // samples up to the end of the page
	buffer   []byte
}

// NewMuxer writes the headers of an Ogg file with one Opus track.
func NewMuxer(out media.Output, _ []media.OutputTrack) (media.Muxer, error) {
	var serial [4]byte
	_, _ = rand.Read(serial[:]) // never fails, see crypto/rand
	w := &muxer{file: out, crc: crcTable(), serial: binary.LittleEndian.Uint32(serial[:])}
	return w, w.begin()
}

func (w *muxer) WriteFrame(_ int, f media.Frame, since time.Duration) error {
	duration := int64(codec.OpusPacketSamples(f.Data))
	if duration == 0 || len(f.Data) > maxPacketSize {
		return nil // no valid packet
	}
	at := media.DurationToTicks(since, media.OpusClockRate)
	if at < w.position+opusRounding {
		at = w.position
	}
	frame := int64(codec.OpusFrameSamples(f.Data[0] >> 3))
	missing := []byte{f.Data[0] &^ 3} // a packet of one frame without data
	for gap := min(at-w.position, maxGap); gap >= frame; gap -= frame {
		if err := w.append(missing, w.position, frame); err != nil {
			return err
		}
	}
	return w.append(f.Data, at, duration)
}

// append adds a packet, and writes the page before it if that is full or does not end where the packet begins.
func (w *muxer) append(packet []byte, at, duration int64) error {
	needed := len(packet)/255 + 1
	full := w.packets >= maxPagePackets || len(w.body)+len(packet) > maxPageBytes || len(w.segments)+needed > maxSegments
	if w.packets > 0 && (full || at != w.position) {
		if err := w.flush(0); err != nil {
			return err
		}
	}
	for range needed - 1 {
		w.segments = append(w.segments, 255)
	}
	w.segments = append(w.segments, byte(len(packet)%255))
	w.body = append(w.body, packet...)
	w.packets++
	w.position = at + duration
	return nil
}

// begin writes the two header pages (RFC 7845 section 5).
func (w *muxer) begin() error {
	w.put(codec.NewOpusHead())
	if err := w.flush(flagFirst); err != nil {
		return err
	}
	tags := append([]byte("OpusTags"), 6, 0, 0, 0)
	tags = append(tags, "parley"...)
	w.put(append(tags, 0, 0, 0, 0))
	return w.flush(0)
}

// put adds a short packet.
func (w *muxer) put(packet []byte) {
	w.segments = append(w.segments, byte(len(packet)))
	w.body = append(w.body, packet...)
	w.packets++
}

// flush writes the page.
func (w *muxer) flush(flags byte) error {
	le := binary.LittleEndian
	b := append(w.buffer[:0], 'O', 'g', 'g', 'S', 0, flags)
	b = le.AppendUint64(b, uint64(w.position)) //nolint:gosec // grows from 0
	b = le.AppendUint32(b, w.serial)
	b = le.AppendUint32(b, w.number)
	b = le.AppendUint32(b, 0) // checksum
	b = append(b, byte(len(w.segments)))
	b = append(append(b, w.segments...), w.body...)
	le.PutUint32(b[22:], updateCRC(w.crc, 0, b))
	w.buffer, w.segments, w.body, w.packets = b, w.segments[:0], w.body[:0], 0
	w.number++
	_, err := w.file.Write(b)
	return err
}

// Finish writes the last page, which says so.
func (w *muxer) Finish(time.Duration) error {
	return w.flush(flagLast)
}
