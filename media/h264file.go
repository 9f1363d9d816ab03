package media

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

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

	sets  parameterSets
	data  []byte
	frame uint64
	step  float64 // ticks a frame
}

// parameterSets are the latest SPS and PPS, for key frames that come without.
type parameterSets struct {
	sps []byte
	pps [][]byte // of the latest SPS, in order
}

// put remembers a unit if it is a parameter set.
func (p *parameterSets) put(nal []byte) {
	switch nalType(nal) {
	case nalSPS:
		if !bytes.Equal(p.sps, nal) {
			p.sps, p.pps = bytes.Clone(nal), nil
		}
	case nalPPS:
		for _, have := range p.pps {
			if bytes.Equal(have, nal) {
				return
			}
		}
		if len(p.pps) < 256 { // H.264 section 7.4.2.2 has no more ids
			p.pps = append(p.pps, bytes.Clone(nal))
		}
	}
}

// appendTo writes the sets as a byte stream.
func (p *parameterSets) appendTo(stream []byte) []byte {
	if p.sps == nil {
		return stream
	}
	stream = appendNAL(stream, p.sps)
	for _, nal := range p.pps {
		stream = appendNAL(stream, nal)
	}
	return stream
}

func appendNAL(stream, nal []byte) []byte {
	return append(append(stream, 0, 0, 0, 1), nal...)
}

func openH264(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: videoClock}
	h := &h264Reader{r: r, warn: o.warn}
	if err := h.findStart(); err != nil {
		return nil, codec, err
	}
	// Read ahead to the first SPS: what comes before cannot be decoded.
	for {
		nal, err := h.readNAL()
		if errors.Is(err, io.EOF) {
			return nil, codec, errors.New("no sequence parameter set (SPS) in the H.264 stream; it cannot be decoded")
		}
		if err != nil {
			return nil, codec, err
		}
		if nalType(nal) != nalSPS {
			continue
		}
		sps, err := parseSPS(nal)
		if err != nil {
			return nil, codec, fmt.Errorf("unit %d: %w", h.unit, err)
		}
		rate := o.frameRate
		if rate == 0 {
			rate = sps.frameRate
		}
		if rate < 0.1 || rate > 120 {
			rate = defaultH264Rate
		}
		h.step = videoClock / rate
		h.pending = nal
		codec = h264Codec(sps.profile)
		if sps.interlaced {
			h.warnOnce("the H.264 stream is interlaced, which browsers may not show right")
		}
		return h, codec, nil
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
		if picture && beginsPicture(nal) {
			h.pending = nal
			return h.finish(), nil
		}
		h.sets.put(nal)
		switch nalType(nal) {
		case nalSPS:
			sets = true
		case nalIDR:
			if !idr && !sets {
				h.data = h.sets.appendTo(h.data)
			}
			idr = true
			picture = true
		case nalSlice:
			picture = true
			h.checkSlice(nal)
		}
		if len(h.data)+len(nal) > maxFrame {
			return sample{}, fmt.Errorf("unit %d: a picture takes more than %d bytes", h.unit, maxFrame)
		}
		h.data = appendNAL(h.data, nal)
	}
}

func (h *h264Reader) finish() sample {
	at := uint64(float64(h.frame) * h.step)
	h.frame++
	return sample{data: h.data, at: at, duration: uint64(float64(h.frame)*h.step) - at}
}

// beginsPicture tells whether a unit that follows a slice belongs to the next picture (H.264 section 7.4.1.2.3). A slice
// does if it begins with the first macroblock, whose number 0 is one bit, 1: baseline and main streams as encoders
// write them have their slices in order.
func beginsPicture(nal []byte) bool {
	switch t := nalType(nal); {
	case t == nalSlice || t == nalIDR:
		return len(nal) > 1 && nal[1]&0x80 != 0
	case t >= nalSEI && t <= nalAUD, t >= 14 && t <= 18:
		return true
	}
	return false
}

// checkSlice warns of B slices: RTP sends pictures in the order of decoding, and browsers show them so.
func (h *h264Reader) checkSlice(nal []byte) {
	r := &bitReader{data: nal[1:min(len(nal), 16)]}
	r.ue() // first_mb_in_slice
	if kind := r.ue() % 5; kind == 1 && !r.short {
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
			return readError("the first start code", err)
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
			if len(nal) > maxFrame {
				return nil, fmt.Errorf("unit %d takes more than %d bytes; the file is no H.264 stream", h.unit+1, maxFrame)
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
