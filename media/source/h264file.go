package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const defaultH264Rate = 30

// h264Reader reads an H.264 byte stream and groups its units to pictures (access units). The stream has no times: the
// frame rate gives them.
type h264Reader struct {
	r       *bufio.Reader
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

func openH264(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	capability := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: media.VideoClockRate}
	h := &h264Reader{r: r, warn: o.warn}
	if err := h.findStart(); err != nil {
		return nil, capability, err
	}
	// Read ahead to the first SPS: what comes before cannot be decoded.
	for {
		nal, err := h.readNAL()
		if errors.Is(err, io.EOF) {
			return nil, capability, errors.New("no sequence parameter set (SPS) in the H.264 stream; it cannot be decoded")
		}
		if err != nil {
			return nil, capability, err
		}
		if codec.NALType(nal) != codec.NALSPS {
			continue
		}
		sps, err := codec.ParseSPS(nal)
		if err != nil {
			return nil, capability, fmt.Errorf("unit %d: %w", h.unit, err)
		}
		rate := o.frameRate
		if rate == 0 {
			rate = sps.FrameRate
		}
		if rate < 0.1 || rate > 120 {
			rate = defaultH264Rate
		}
		h.step = media.VideoClockRate / rate
		h.pending = nal
		capability = codec.H264Capability(sps.Profile)
		if sps.Interlaced {
			h.warnOnce("the H.264 stream is interlaced, which browsers may not show right")
		}
		return h, capability, nil
	}
}

// next reads one picture.
func (h *h264Reader) next() (sample, error) {
	h.data = h.data[:0]
	picture := false // there is a slice in data
	var idr, sets bool
	for {
		nal, err := h.take()
		if errors.Is(err, io.EOF) {
			if !picture {
				return sample{}, io.EOF
			}
			return h.finish(), nil
		}
		if err != nil {
			return sample{}, err
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
			return sample{}, fmt.Errorf("unit %d: a picture takes more than %d bytes", h.unit, media.MaxFrameSize)
		}
		h.data = codec.AppendNALUnit(h.data, nal)
	}
}

func (h *h264Reader) finish() sample {
	at := uint64(float64(h.frame) * h.step)
	h.frame++
	return sample{data: h.data, at: at, duration: uint64(float64(h.frame)*h.step) - at}
}

// checkSlice warns of B slices: RTP sends pictures in the order of decoding, and browsers show them so.
func (h *h264Reader) checkSlice(nal []byte) {
	if codec.IsBSlice(nal) {
		h.warnOnce("the H.264 stream has B frames, which browsers show in the wrong order; encode it with: ffmpeg -i FILE -c:v libx264 -bf 0 -profile:v baseline video.h264")
	}
}

func (h *h264Reader) warnOnce(text string) {
	if !h.warned {
		h.warned = true
		h.warn(text)
	}
}

func (h *h264Reader) take() ([]byte, error) {
	if nal := h.pending; nal != nil {
		h.pending = nil
		return nal, nil
	}
	return h.readNAL()
}

// findStart skips to the end of the first start code.
func (h *h264Reader) findStart() error {
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
func (h *h264Reader) readNAL() ([]byte, error) {
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
