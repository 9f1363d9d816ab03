// Package annexb reads and writes H.264 byte streams (H.264 annex B).
package annexb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"
)

// defaultFrameRate is used if neither the options nor the stream tell the frame rate.
const defaultFrameRate = 30

// demuxer reads an H.264 byte stream and groups its units to pictures (access units). The stream has no times: the
// frame rate gives them.
type demuxer struct {
	r       *bufio.Reader
	track   media.Track
	warn    func(string)
	warned  bool
	pending []byte // the unit that begins the next picture
	unit    int
	ended   bool

	sets  codec.ParameterSets
	data  []byte
	frame uint64
	step  float64 // ticks a frame
}

// NewDemuxer reads up to the first sequence parameter set, before which nothing can be decoded.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	h := &demuxer{r: in.Reader, warn: in.Warn}
	if err := h.findStart(); err != nil {
		return nil, err
	}
	for {
		nal, err := h.readNAL()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no sequence parameter set (SPS) in the H.264 stream; it cannot be decoded")
		}
		if err != nil {
			return nil, err
		}
		if codec.NALType(nal) != codec.NALSPS {
			continue
		}
		sps, err := codec.ParseSPS(nal)
		if err != nil {
			return nil, fmt.Errorf("unit %d: %w", h.unit, err)
		}
		rate := in.FrameRate
		if rate == 0 {
			rate = sps.FrameRate
		}
		if rate < 0.1 || rate > 120 {
			rate = defaultFrameRate
		}
		h.step = media.VideoClockRate / rate
		h.pending = nal
		h.track = media.Track{Codec: codec.H264Capability(sps.Profile)}
		if sps.Interlaced {
			h.warnOnce("the H.264 stream is interlaced, which browsers may not show right")
		}
		return h, nil
	}
}

// Tracks implements media.Demuxer.
func (h *demuxer) Tracks() []media.Track { return []media.Track{h.track} }

// Select implements media.Demuxer.
func (h *demuxer) Select(...int) error { return nil }

// Next implements media.Demuxer.
func (h *demuxer) Next() (media.Sample, error) {
	h.data = h.data[:0]
	picture := false // there is a slice in data
	var idr, sets bool
	for {
		nal, err := h.take()
		if errors.Is(err, io.EOF) {
			if !picture {
				return media.Sample{}, io.EOF
			}
			return h.finish(), nil
		}
		if err != nil {
			return media.Sample{}, err
		}
		if picture && codec.StartsPicture(nal) {
			h.pending = nal
			return h.finish(), nil
		}
		h.sets.Put(nal)
		switch codec.NALType(nal) {
		case codec.NALSPS:
			sets = true
		case codec.NALIDR:
			if !idr && !sets {
				h.data = h.sets.AppendTo(h.data)
			}
			idr = true
			picture = true
		case codec.NALSlice:
			picture = true
			h.checkSlice(nal)
		}
		if len(h.data)+len(nal) > media.MaxFrameSize {
			return media.Sample{}, fmt.Errorf("unit %d: a picture takes more than %d bytes", h.unit, media.MaxFrameSize)
		}
		h.data = codec.AppendNALUnit(h.data, nal)
	}
}

func (h *demuxer) finish() media.Sample {
	at := uint64(float64(h.frame) * h.step)
	h.frame++
	return media.Sample{Data: h.data, Time: at, Duration: uint64(float64(h.frame)*h.step) - at}
}

// checkSlice warns of B slices: RTP sends pictures in the order of decoding, and browsers show them so.
func (h *demuxer) checkSlice(nal []byte) {
	if codec.IsBSlice(nal) {
		h.warnOnce("the H.264 stream has B frames, which browsers show in the wrong order; encode it with: ffmpeg -i FILE -c:v libx264 -bf 0 -profile:v baseline video.h264")
	}
}

func (h *demuxer) warnOnce(text string) {
	if !h.warned {
		h.warned = true
		h.warn(text)
	}
}

func (h *demuxer) take() ([]byte, error) {
	if nal := h.pending; nal != nil {
		h.pending = nil
		return nal, nil
	}
	return h.readNAL()
}

// findStart skips to the end of the first start code.
func (h *demuxer) findStart() error {
	zeros := 0
	for {
		b, err := h.r.ReadByte()
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

// readNAL reads up to the next start code (H.264 section B.1.1) and returns a unit of its own memory, not empty.
func (h *demuxer) readNAL() ([]byte, error) {
	for !h.ended {
		var nal []byte
		for {
			chunk, err := h.r.ReadSlice(1)
			nal = append(nal, chunk...)
			if len(nal) > media.MaxFrameSize {
				return nil, fmt.Errorf("unit %d takes more than %d bytes; the file is no H.264 stream", h.unit+1, media.MaxFrameSize)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read unit %d: %w", h.unit+1, err)
			}
			if err != nil {
				h.ended = true
				break
			}
			if bytes.HasSuffix(nal, []byte{0, 0, 1}) {
				nal = nal[:len(nal)-3]
				break
			}
		}
		h.unit++
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			return nal, nil
		}
	}
	return nil, io.EOF
}
