// Package ivf reads and writes IVF files.
package ivf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

const (
	headerSize      = 32
	frameHeaderSize = 12
)

// demuxer reads an IVF file: a header of 32 bytes, then for each frame its size, its time in units of the header's
// timebase, and its data, all little-endian.
type demuxer struct {
	r           *bufio.Reader
	track       media.Track
	numerator   uint64 // of the timebase in seconds
	denominator uint64
	data        []byte
	frame       int
	first       uint64 // time of the first frame
	last        uint64 // ticks of the latest frame
	step        uint64 // ticks between the latest two
}

// NewDemuxer reads the header.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	r := in.Reader
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, media.ReadError("the IVF header", err)
	}
	le := binary.LittleEndian
	if string(header[:4]) != "DKIF" {
		return nil, fmt.Errorf("not an IVF file: signature is %q; expected \"DKIF\"", header[:4])
	}
	if version := le.Uint16(header[4:]); version != 0 {
		return nil, fmt.Errorf("IVF version %d is unknown; expected 0", version)
	}
	mime, err := mimeType(string(header[8:12]))
	if err != nil {
		return nil, err
	}
	i := &demuxer{r: r, track: media.Track{Codec: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}},
		denominator: uint64(le.Uint32(header[16:])), numerator: uint64(le.Uint32(header[20:]))}
	if i.denominator == 0 || i.numerator == 0 {
		return nil, fmt.Errorf("the IVF header has a timebase of %d/%d", i.numerator, i.denominator)
	}
	if size := le.Uint16(header[6:]); size > headerSize {
		if _, err := r.Discard(int(size) - headerSize); err != nil {
			return nil, media.ReadError("the IVF header", err)
		}
	}
	return i, nil
}

func mimeType(fourCC string) (string, error) {
	switch fourCC {
	case "VP80":
		return webrtc.MimeTypeVP8, nil
	case "VP90":
		return webrtc.MimeTypeVP9, nil
	case "AV01":
		return webrtc.MimeTypeAV1, nil
	}
	return "", fmt.Errorf("codec %q cannot be sent; expected VP80, VP90 or AV01", fourCC)
}

// Tracks implements media.Demuxer.
func (i *demuxer) Tracks() []media.Track { return []media.Track{i.track} }

// Select implements media.Demuxer.
func (i *demuxer) Select(...int) error { return nil }

// Next implements media.Demuxer.
func (i *demuxer) Next() (media.Sample, error) {
	for {
		i.frame++
		s, err := i.read()
		if err != nil || len(s.Data) > 0 {
			return s, err
		}
	}
}

// read reads one frame, which may be empty: encoders write those for pictures that they leave out.
func (i *demuxer) read() (media.Sample, error) {
	var header [frameHeaderSize]byte
	if _, err := io.ReadFull(i.r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return media.Sample{}, io.EOF
		}
		return media.Sample{}, media.ReadError(fmt.Sprintf("the header of frame %d", i.frame), err)
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size > media.MaxFrameSize {
		return media.Sample{}, fmt.Errorf("frame %d claims %d bytes; the file is broken", i.frame, size)
	}
	if cap(i.data) < int(size) {
		i.data = make([]byte, size)
	}
	i.data = i.data[:size]
	if _, err := io.ReadFull(i.r, i.data); err != nil {
		return media.Sample{}, media.ReadError(fmt.Sprintf("frame %d", i.frame), err)
	}
	at, err := i.ticks(binary.LittleEndian.Uint64(header[4:]))
	return media.Sample{Data: i.data, Time: at, Duration: max(1, i.step)}, err
}

// ticks converts a time to units of the clock rate since the first frame, and checks that time goes on.
func (i *demuxer) ticks(time uint64) (uint64, error) {
	if i.frame == 1 {
		i.first = time
		// A guess for a file of one frame.
		i.step = min(media.VideoClockRate*i.numerator/i.denominator, media.VideoClockRate)
	}
	if time < i.first {
		return 0, fmt.Errorf("frame %d: time goes back", i.frame)
	}
	high, low := bits.Mul64(time-i.first, i.numerator*media.VideoClockRate)
	if high >= i.denominator {
		return 0, fmt.Errorf("frame %d: time %d is out of range", i.frame, time)
	}
	ticks, _ := bits.Div64(high, low, i.denominator)
	switch {
	case ticks < i.last:
		return 0, fmt.Errorf("frame %d: time goes back", i.frame)
	case ticks-i.last > media.MaxSampleGap*media.VideoClockRate:
		return 0, fmt.Errorf("frame %d: time jumps by more than an hour", i.frame)
	case i.frame > 1 && ticks > i.last:
		i.step = ticks - i.last
	}
	i.last = ticks
	return ticks, nil
}
