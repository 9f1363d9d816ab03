// Package annexb reads and writes H.264 byte streams (H.264 annex B).
package annexb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"parley/media"
	"parley/media/codec"
)

const (
	// defaultFrameRate in frames per second is used if neither the options nor the stream have a
	// rate between the limits.
	defaultFrameRate = 30
	minFrameRate     = 0.1
	maxFrameRate     = 1000

	maxLookAheadFrames = 16
	maxLookAheadBytes  = 4 << 20
)

// demuxer reads an H.264 byte stream. The stream has no timestamps: frames are at a constant rate.
type demuxer struct {
	r        *bufio.Reader
	track    media.Track
	selected bool
	pending  []byte // the NAL unit that begins the next access unit
	units    int    // NAL units that were read
	ended    bool

	sets       codec.ParameterSets
	nals       [][]byte // of the access unit that is being read
	data       []byte
	frames     uint64  // that were read
	step       float64 // between two frames, in units of the clock rate
	mayReorder bool    // the stream may have B-frames
	queue      []media.Sample
	err        error // after queue
}

// NewDemuxer reads up to the first sequence parameter set, before which nothing can be decoded. If
// the stream may have B-frames it reads the first frames to find them.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	d := &demuxer{r: in.Reader}
	if err := d.findStart(); err != nil {
		return nil, err
	}
	sps, err := d.findSPS()
	if err != nil {
		return nil, err
	}
	rate := in.FrameRate
	if rate == 0 {
		rate = sps.FrameRate
	}
	if rate < minFrameRate || rate > maxFrameRate {
		rate = defaultFrameRate
	}
	d.step = media.VideoClockRate / rate
	d.mayReorder = sps.Reordered
	d.track = media.Track{Codec: codec.H264Capability(sps.Profile), Untimed: in.ReaderAt == nil, Err: sps.CheckSendable()}
	if sps.Interlaced {
		in.Warn("the H.264 stream is interlaced, which browsers may not display correctly")
	}
	if d.track.Err == nil && d.mayReorder {
		d.lookAhead()
	}
	return d, nil
}

// findSPS reads up to the first sequence parameter set.
func (d *demuxer) findSPS() (codec.SPS, error) {
	for {
		nal, err := d.readNAL()
		if errors.Is(err, io.EOF) {
			return codec.SPS{}, errors.New("no sequence parameter set (SPS) in the H.264 stream; it cannot be decoded")
		}
		if err != nil {
			return codec.SPS{}, err
		}
		if codec.NALType(nal) != codec.NALSPS {
			continue
		}
		sps, err := codec.ParseSPS(nal)
		if err != nil {
			return codec.SPS{}, fmt.Errorf("NAL unit %d: %w", d.units, err)
		}
		d.pending = nal
		return sps, nil
	}
}

// lookAhead reads the first frames. If one is a B-frame it is the error of the track; any other
// error is returned after the frames before it.
func (d *demuxer) lookAhead() {
	size := 0
	for d.err == nil && len(d.queue) < maxLookAheadFrames && size < maxLookAheadBytes {
		var s media.Sample
		if s, d.err = d.readFrame(); d.err != nil {
			break
		}
		s.Data = bytes.Clone(s.Data)
		d.queue, size = append(d.queue, s), size+len(s.Data)
	}
	if errors.Is(d.err, codec.ErrBFrames) {
		d.track.Err = d.err
	}
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
	if len(d.queue) > 0 {
		s := d.queue[0]
		d.queue = d.queue[1:]
		return s, nil
	}
	if d.err != nil {
		return media.Sample{}, d.err
	}
	return d.readFrame()
}

// readFrame reads one access unit.
func (d *demuxer) readFrame() (media.Sample, error) {
	d.nals = d.nals[:0]
	size, slice := 0, false // slice: one is in nals
	for {
		nal, err := d.takeNAL()
		if errors.Is(err, io.EOF) && slice {
			return d.finishFrame(), nil
		}
		if err != nil {
			return media.Sample{}, err
		}
		if slice && codec.StartsAccessUnit(nal) {
			d.pending = nal
			return d.finishFrame(), nil
		}
		switch codec.NALType(nal) {
		case codec.NALSPS:
			if sps, err := codec.ParseSPS(nal); err == nil {
				if err := sps.CheckSendable(); err != nil {
					return media.Sample{}, err
				}
				d.mayReorder = sps.Reordered
			}
		case codec.NALIDR, codec.NALSlice:
			if d.mayReorder && codec.IsBSlice(nal) {
				return media.Sample{}, codec.ErrBFrames
			}
			slice = true
		}
		if size += 4 + len(nal); size > media.MaxFrameSize {
			return media.Sample{}, fmt.Errorf("NAL unit %d: access unit is larger than %d bytes", d.units, media.MaxFrameSize)
		}
		d.nals = append(d.nals, nal)
	}
}

func (d *demuxer) finishFrame() media.Sample {
	d.data = d.sets.AppendAccessUnit(d.data[:0], slices.Values(d.nals))
	at := uint64(float64(d.frames) * d.step)
	d.frames++
	return media.Sample{Data: d.data, Time: at, Duration: uint64(float64(d.frames)*d.step) - at}
}

func (d *demuxer) takeNAL() ([]byte, error) {
	if nal := d.pending; nal != nil {
		d.pending = nil
		return nal, nil
	}
	return d.readNAL()
}

// findStart skips to the end of the first start code.
func (d *demuxer) findStart() error {
	zeros := 0
	for {
		b, err := d.r.ReadByte()
		if err != nil {
			return media.ReadError("the first start code", err)
		}
		if b == 1 && zeros >= 2 {
			return nil
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
}

// readNAL reads up to the next start code (H.264 section B.1.1) and returns a NAL unit with memory
// of its own, which is not empty.
func (d *demuxer) readNAL() ([]byte, error) {
	for !d.ended {
		var nal []byte
		for {
			chunk, err := d.r.ReadSlice(1)
			nal = append(nal, chunk...)
			if len(nal) > media.MaxFrameSize {
				return nil, fmt.Errorf("NAL unit %d is larger than %d bytes; the file is no H.264 byte stream", d.units+1, media.MaxFrameSize)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read NAL unit %d: %w", d.units+1, err)
			}
			if err != nil {
				d.ended = true
				break
			}
			if bytes.HasSuffix(nal, []byte{0, 0, 1}) {
				nal = nal[:len(nal)-3]
				break
			}
		}
		d.units++
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			return nal, nil
		}
	}
	return nil, io.EOF
}
