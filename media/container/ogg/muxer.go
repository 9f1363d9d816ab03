package ogg

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/thesyncim/gopus/container/ogg"
)

const (
	maxPagePackets = 50 // one second of packets of 20 ms, which is what a killed process loses
	maxPageSize    = 32 << 10
	maxSegments    = 255
	maxGap         = 3600 * media.OpusClockRate // in samples: of a longer gap, one hour is filled
	minGap         = 120                        // in samples: the shortest Opus frame
)

// muxer writes one Opus stream. Where packets are missing it writes empty ones (RFC 7845 section
// 4.1), which a decoder conceals, so that what follows is played at its time.
type muxer struct {
	out      media.Output
	page     ogg.Page // that is not yet written
	packets  int      // in it
	position int64    // samples up to its end
}

// NewMuxer writes the headers of an Ogg file with one Opus track. They declare two channels, which
// mono is played on as well.
func NewMuxer(out media.Output, _ []media.OutputTrack) (media.Muxer, error) {
	var serial [4]byte
	_, _ = rand.Read(serial[:]) // never fails, see crypto/rand
	w := &muxer{out: out, page: ogg.Page{SerialNumber: binary.LittleEndian.Uint32(serial[:])}}
	w.add(codec.NewOpusHead())
	if err := w.flush(ogg.PageFlagBOS); err != nil {
		return nil, err
	}
	vendor := "parley"
	tags := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	w.add(append(append(tags, vendor...), 0, 0, 0, 0)) // no comments
	if err := w.flush(0); err != nil {
		return nil, err
	}
	return w, nil
}

// WriteFrame implements media.Muxer. It leaves out what is no valid packet.
func (w *muxer) WriteFrame(_ int, f media.Frame, since time.Duration) error {
	duration := int64(codec.OpusPacketSamples(f.Data))
	if duration == 0 || len(f.Data) > maxPacketSize {
		return nil // no valid packet
	}
	at := media.DurationToTicks(since, media.OpusClockRate)
	if at < w.position+minGap {
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

// append adds a packet, and writes the page before it if that is full or does not end where the
// packet begins.
func (w *muxer) append(packet []byte, at, duration int64) error {
	full := w.packets >= maxPagePackets || len(w.page.Payload)+len(packet) > maxPageSize ||
		len(w.page.Segments)+len(packet)/255+1 > maxSegments
	if w.packets > 0 && (full || at != w.position) {
		if err := w.flush(0); err != nil {
			return err
		}
	}
	w.add(packet)
	w.position = at + duration
	return nil
}

func (w *muxer) add(packet []byte) {
	w.page.Segments = append(w.page.Segments, ogg.BuildSegmentTable(len(packet))...)
	w.page.Payload = append(w.page.Payload, packet...)
	w.packets++
}

// flush writes the page.
func (w *muxer) flush(flags byte) error {
	w.page.HeaderType, w.page.GranulePos = flags, uint64(w.position) //nolint:gosec // grows from 0
	_, err := w.out.Write(w.page.Encode())
	w.page.Segments, w.page.Payload, w.packets = w.page.Segments[:0], w.page.Payload[:0], 0
	w.page.PageSequence++
	return err
}

// Finish implements media.Muxer.
func (w *muxer) Finish(time.Duration) error { return w.flush(ogg.PageFlagEOS) }
