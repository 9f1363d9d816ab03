package source

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
	ivfHeaderSize  = 32
	ivfFrameHeader = 12
	// maxFileGap bounds the time between two frames of a file, in units of the clock rate: more is a broken file.
	maxFileGap = 3600
)

// ivfReader reads an IVF file: a header of 32 bytes, then for each frame its size, its time in units of the header's
// timebase, and its data, all little-endian.
type ivfReader struct {
	r           *bufio.Reader
	numerator   uint64 // of the timebase in seconds
	denominator uint64
	data        []byte
	frame       int
	first       uint64 // time of the first frame
	last        uint64 // ticks of the latest frame
	step        uint64 // ticks between the latest two
}

func openIVF(r *bufio.Reader, _ fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	var header [ivfHeaderSize]byte
	var codec webrtc.RTPCodecCapability
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, codec, media.ReadError("the IVF header", err)
	}
	le := binary.LittleEndian
	if string(header[:4]) != "DKIF" {
		return nil, codec, fmt.Errorf("not an IVF file: signature is %q; expected \"DKIF\"", header[:4])
	}
	if version := le.Uint16(header[4:]); version != 0 {
		return nil, codec, fmt.Errorf("IVF version %d is unknown; expected 0", version)
	}
	mime, err := ivfCodec(string(header[8:12]))
	if err != nil {
		return nil, codec, err
	}
	i := &ivfReader{r: r, denominator: uint64(le.Uint32(header[16:])), numerator: uint64(le.Uint32(header[20:]))}
	if i.denominator == 0 || i.numerator == 0 {
		return nil, codec, fmt.Errorf("the IVF header has a timebase of %d/%d", i.numerator, i.denominator)
	}
	if size := le.Uint16(header[6:]); size > ivfHeaderSize {
		if _, err := r.Discard(int(size) - ivfHeaderSize); err != nil {
			return nil, codec, media.ReadError("the IVF header", err)
		}
	}
	return i, webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}, nil
}

func ivfCodec(fourCC string) (string, error) {
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

func (i *ivfReader) next() (sample, error) {
	for {
		i.frame++
		s, err := i.read()
		if err != nil || len(s.data) > 0 {
			return s, err
		}
	}
}

// read reads one frame, which may be empty: encoders write those for pictures that they leave out.
func (i *ivfReader) read() (sample, error) {
	var header [ivfFrameHeader]byte
	if _, err := io.ReadFull(i.r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return sample{}, io.EOF
		}
		return sample{}, media.ReadError(fmt.Sprintf("the header of frame %d", i.frame), err)
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size > media.MaxFrameSize {
		return sample{}, fmt.Errorf("frame %d claims %d bytes; the file is broken", i.frame, size)
	}
	if cap(i.data) < int(size) {
		i.data = make([]byte, size)
	}
	i.data = i.data[:size]
	if _, err := io.ReadFull(i.r, i.data); err != nil {
		return sample{}, media.ReadError(fmt.Sprintf("frame %d", i.frame), err)
	}
	at, err := i.ticks(binary.LittleEndian.Uint64(header[4:]))
	return sample{data: i.data, at: at, duration: max(1, i.step)}, err
}

// ticks converts a time to units of the clock rate since the first frame, and checks that time goes on.
func (i *ivfReader) ticks(time uint64) (uint64, error) {
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
	case ticks-i.last > maxFileGap*media.VideoClockRate:
		return 0, fmt.Errorf("frame %d: time jumps by more than an hour", i.frame)
	case i.frame > 1 && ticks > i.last:
		i.step = ticks - i.last
	}
	i.last = ticks
	return ticks, nil
}
