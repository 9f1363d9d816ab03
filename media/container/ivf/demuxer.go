// Package ivf reads and writes IVF files.
package ivf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	headerSize      = 32
	frameHeaderSize = 12
	maxFrameRate    = 240 // frames per second; a timebase above is not that of the frame rate
)

// demuxer reads an IVF file: a header of 32 bytes, then for each frame its size, its time in units
// of the header's timebase, and its data, all little-endian.
type demuxer struct {
	r           *bufio.Reader
	track       media.Track
	selected    bool
	numerator   uint64 // of the timebase in seconds
	denominator uint64
	data        []byte
	frames      int    // that were read, with empty ones
	first       uint64 // time of the first frame
	last        uint64 // ticks of the latest frame
	step        uint64 // ticks between the latest two

	ahead    media.Sample // the first frame, until Next returns it
	aheadErr error
	isAhead  bool
}

// NewDemuxer reads the header, and the first frame, which shows whether browsers decode the video.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(in.Reader, header[:]); err != nil {
		return nil, media.ReadError("the IVF header", err)
	}
	le := binary.LittleEndian
	if string(header[:4]) != "DKIF" {
		return nil, fmt.Errorf("not an IVF file: signature is %q, want \"DKIF\"", header[:4])
	}
	if version := le.Uint16(header[4:]); version != 0 {
		return nil, fmt.Errorf("unknown IVF version: got %d, want 0", version)
	}
	mime, err := mimeType(string(header[8:12]))
	d := &demuxer{
		r:           in.Reader,
		track:       media.Track{Codec: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}, Err: err},
		denominator: uint64(le.Uint32(header[16:])), numerator: uint64(le.Uint32(header[20:])),
	}
	if err != nil {
		return d, nil
	}
	if d.denominator == 0 || d.numerator == 0 {
		return nil, fmt.Errorf("invalid timebase in the IVF header: %d/%d", d.numerator, d.denominator)
	}
	if size := le.Uint16(header[6:]); size > headerSize {
		if _, err := in.Reader.Discard(int(size) - headerSize); err != nil {
			return nil, media.ReadError("the IVF header", err)
		}
	}
	d.ahead, d.aheadErr = d.readFrame()
	d.isAhead = true
	if d.aheadErr == nil {
		d.track.Err = codec.CheckSendable(mime, d.ahead.Data)
	}
	return d, nil
}

// mimeType returns the MIME type of a FourCC, or "video/" and the reason why its codec cannot be
// sent.
func mimeType(fourCC string) (string, error) {
	for mime, known := range fourCCs() {
		if known == fourCC {
			return mime, nil
		}
	}
	return "video/", codec.UnsupportedCodec(fourCC)
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track { return []media.Track{d.track} }

// Select implements media.Demuxer.
func (d *demuxer) Select(tracks ...int) error {
	d.selected = len(tracks) > 0
	return nil
}

// Next implements media.Demuxer.
func (d *demuxer) Next() (media.Sample, error) {
	if !d.selected {
		return media.Sample{}, io.EOF
	}
	if d.isAhead {
		d.isAhead = false
		return d.ahead, d.aheadErr
	}
	return d.readFrame()
}

// readFrame reads the next frame that is not empty. Encoders write empty frames for those that they
// drop.
func (d *demuxer) readFrame() (media.Sample, error) {
	for {
		s, err := d.read()
		if err != nil || len(s.Data) > 0 {
			return s, err
		}
	}
}

// read reads one frame, which may be empty.
func (d *demuxer) read() (media.Sample, error) {
	d.frames++
	var header [frameHeaderSize]byte
	if _, err := io.ReadFull(d.r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return media.Sample{}, io.EOF
		}
		return media.Sample{}, media.ReadError(fmt.Sprintf("the header of frame %d", d.frames), err)
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size > media.MaxFrameSize {
		return media.Sample{}, fmt.Errorf("frame %d claims %d bytes; the file is broken", d.frames, size)
	}
	if cap(d.data) < int(size) {
		d.data = make([]byte, size)
	}
	d.data = d.data[:size]
	if _, err := io.ReadFull(d.r, d.data); err != nil {
		return media.Sample{}, media.ReadError(fmt.Sprintf("frame %d", d.frames), err)
	}
	at, err := d.ticks(binary.LittleEndian.Uint64(header[4:]))
	data := d.data
	if d.track.Codec.MimeType == webrtc.MimeTypeAV1 {
		data = bytes.TrimPrefix(data, codec.AV1TemporalDelimiter())
	}
	return media.Sample{Data: data, Time: at, Duration: d.step}, err
}

// ticks converts a time to units of the clock rate since the first frame, and checks that time goes
// on.
func (d *demuxer) ticks(time uint64) (uint64, error) {
	if d.frames == 1 {
		d.first = time
		// A file of one frame: the timebase is usually the frame rate.
		d.step = min(media.VideoClockRate*d.numerator/d.denominator, media.VideoClockRate)
		if d.step < media.VideoClockRate/maxFrameRate {
			d.step = media.VideoClockRate / 30
		}
	}
	if time < d.first {
		return 0, fmt.Errorf("frame %d: time goes back", d.frames)
	}
	high, low := bits.Mul64(time-d.first, d.numerator*media.VideoClockRate)
	if high >= d.denominator {
		return 0, fmt.Errorf("frame %d: time %d is out of range", d.frames, time)
	}
	ticks, _ := bits.Div64(high, low, d.denominator)
	switch {
	case ticks < d.last:
		return 0, fmt.Errorf("frame %d: time goes back", d.frames)
	case ticks-d.last > media.MaxSampleGap*media.VideoClockRate:
		return 0, fmt.Errorf("frame %d: time jumps by more than an hour", d.frames)
	case d.frames > 1 && ticks > d.last:
		d.step = ticks - d.last
	}
	d.last = ticks
	return ticks, nil
}
