package wav

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

const (
	muxerRate    = 8000 // Hz, of G.711 (RFC 3551 section 4.5.14)
	headerSize   = 58
	maxDataSize  = math.MaxUint32 - headerSize - 1
	timeRounding = muxerRate / 200 // samples: a shorter gap between packets is none
	maxGap       = 3600 * muxerRate
)

// muxer writes a WAV file of G.711 (RFC 2361 sections A.5 and A.6). Silence takes the place of
// missing packets.
type muxer struct {
	out     media.Output
	silence byte
	size    int64 // samples, and bytes, written
}

// NewMuxer writes the header of a WAV file with one track of PCMU or PCMA.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	format, silence := uint16(formatMuLaw), byte(0xFF)
	if tracks[0].MIME == webrtc.MimeTypePCMA {
		format, silence = formatALaw, 0xD5
	}
	le := binary.LittleEndian
	// The sizes are unknown: players read up to the end of the file.
	b := le.AppendUint32([]byte("RIFF"), math.MaxUint32)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 18)
	b = le.AppendUint16(b, format)
	b = le.AppendUint16(b, 1) // channels
	b = le.AppendUint32(b, muxerRate)
	b = le.AppendUint32(b, muxerRate) // bytes per second
	b = le.AppendUint16(b, 1)         // bytes per sample of all channels
	b = le.AppendUint16(b, 8)         // bits per sample
	b = le.AppendUint16(b, 0)         // size of the extension
	// A format other than PCM has a fact chunk: the number of samples.
	b = le.AppendUint32(le.AppendUint32(append(b, "fact"...), 4), math.MaxUint32)
	b = le.AppendUint32(append(b, "data"...), math.MaxUint32)
	_, err := out.Write(b)
	return &muxer{out: out, silence: silence}, err
}

// WriteFrame implements media.Muxer.
func (m *muxer) WriteFrame(_ int, f media.Frame, at time.Duration) error {
	if gap := media.DurationToTicks(at, muxerRate) - m.size; gap > timeRounding {
		if err := m.write(bytes.Repeat([]byte{m.silence}, int(min(gap, maxGap)))); err != nil {
			return err
		}
	}
	return m.write(f.Data)
}

func (m *muxer) write(samples []byte) error {
	n, err := m.out.Write(samples)
	m.size += int64(n)
	return err
}

// Finish writes the sizes, if they fit in 32 bits.
func (m *muxer) Finish(time.Duration) error {
	if m.size > maxDataSize || !m.out.Seekable() {
		return nil
	}
	padding := m.size & 1
	if padding > 0 {
		if _, err := m.out.Write([]byte{0}); err != nil {
			return err
		}
	}
	for offset, n := range map[int64]int64{4: headerSize - 8 + m.size + padding, headerSize - 12: m.size, headerSize - 4: m.size} {
		if err := m.out.Patch(offset, binary.LittleEndian.AppendUint32(nil, uint32(n))); err != nil { //nolint:gosec // at most maxDataSize
			return err
		}
	}
	return nil
}
