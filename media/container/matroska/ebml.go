// Package matroska reads and writes Matroska and WebM files (RFC 9559).
package matroska

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"parley/media"
)

// IDs of elements (RFC 8794 section 11.2, RFC 9559 section 5).
const (
	idEBML               = 0x1A45DFA3
	idEBMLVersion        = 0x4286
	idEBMLReadVersion    = 0x42F7
	idEBMLMaxIDLength    = 0x42F2
	idEBMLMaxSizeLength  = 0x42F3
	idDocType            = 0x4282
	idDocTypeVersion     = 0x4287
	idDocTypeReadVersion = 0x4285
	idVoid               = 0xEC

	idSegment        = 0x18538067
	idSeekHead       = 0x114D9B74
	idSeek           = 0x4DBB
	idSeekID         = 0x53AB
	idSeekPosition   = 0x53AC
	idInfo           = 0x1549A966
	idTimestampScale = 0x2AD7B1
	idDuration       = 0x4489
	idMuxingApp      = 0x4D80
	idWritingApp     = 0x5741

	idTracks             = 0x1654AE6B
	idTrackEntry         = 0xAE
	idTrackNumber        = 0xD7
	idTrackUID           = 0x73C5
	idTrackType          = 0x83
	idFlagLacing         = 0x9C
	idDefaultDuration    = 0x23E383
	idLanguage           = 0x22B59C
	idCodecID            = 0x86
	idCodecPrivate       = 0x63A2
	idCodecDelay         = 0x56AA
	idSeekPreRoll        = 0x56BB
	idContentEncodings   = 0x6D80
	idVideo              = 0xE0
	idPixelWidth         = 0xB0
	idPixelHeight        = 0xBA
	idProjection         = 0x7670
	idProjectionType     = 0x7671
	idProjectionPoseRoll = 0x7675
	idAudio              = 0xE1
	idSamplingFrequency  = 0xB5
	idChannels           = 0x9F

	idCluster     = 0x1F43B675
	idTimestamp   = 0xE7
	idSimpleBlock = 0xA3
	idBlockGroup  = 0xA0
	idBlock       = 0xA1

	idCues               = 0x1C53BB6B
	idCuePoint           = 0xBB
	idCueTime            = 0xB3
	idCueTrackPositions  = 0xB7
	idCueTrack           = 0xF7
	idCueClusterPosition = 0xF1
)

const (
	unknownSize   = math.MaxUint64 // of an element that ends where the next one of its level begins
	maxHeaderSize = 4 << 20        // bytes of an element that describes the file
)

var errSize = errors.New("invalid element size in the Matroska file")

// ebmlReader reads the elements of a file from front to back. Segments, clusters and groups of
// blocks are entered, so that their sizes, which may be unknown, do not matter.
//
// ebmlReader is not that of ebml-go, which reads a whole cluster, whatever its size, into memory.
type ebmlReader struct {
	r *bufio.Reader
}

// element reads the ID and the size of an element. The error is io.EOF at the end of the file.
func (r *ebmlReader) element() (id uint32, size uint64, err error) {
	wide, _, err := r.vint(4, true)
	if err != nil {
		return 0, 0, err
	}
	size, n, err := r.vint(8, false)
	if errors.Is(err, io.EOF) {
		err = media.ReadError("an element", err)
	}
	if size == 1<<(7*n)-1 {
		size = unknownSize
	}
	return uint32(wide), size, err //nolint:gosec // four bytes
}

// vint reads a variable-size integer: see parseVint.
func (r *ebmlReader) vint(maxLength int, keepMarker bool) (v uint64, n int, err error) {
	first, err := r.r.Peek(1)
	if err != nil {
		return 0, 0, err
	}
	n = vintLength(first[0])
	if n > maxLength {
		return 0, 0, errSize
	}
	data, err := r.r.Peek(n)
	if err != nil {
		return 0, 0, media.ReadError("an element", err)
	}
	v, n = parseVint(data, maxLength, keepMarker)
	_, err = r.r.Discard(n)
	return v, n, err
}

// read reads the content of an element of at most limit bytes.
func (r *ebmlReader) read(what string, size, limit uint64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%s claims %s; the file is broken", what, sizeName(size))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r.r, data); err != nil {
		return nil, media.ReadError(what, err)
	}
	return data, nil
}

// sizeName returns the size of an element for errors.
func sizeName(size uint64) string {
	if size == unknownSize {
		return "an unknown size"
	}
	return fmt.Sprintf("%d bytes", size)
}

// skip skips the content of an element.
func (r *ebmlReader) skip(size uint64) error {
	if size == unknownSize {
		return errSize
	}
	for size > 0 {
		n, err := r.r.Discard(int(min(size, 1<<30))) //nolint:gosec // bounded
		if err != nil {
			return media.ReadError("an element", err)
		}
		size -= uint64(n) //nolint:gosec // not negative
	}
	return nil
}

// children calls each for the elements in the content of one, up to the first that does not fit.
func children(data []byte, each func(id uint32, content []byte)) {
	for len(data) > 0 {
		id, n := parseVint(data, 4, true)
		size, k := parseVint(data[n:], 8, false)
		if n == 0 || k == 0 || size > uint64(len(data)-n-k) { //nolint:gosec // not negative
			return
		}
		data = data[n+k:]
		each(uint32(id), data[:size]) //nolint:gosec // four bytes
		data = data[size:]
	}
}

// vintLength returns the length of a variable-size integer by its first byte, 9 if that is not
// valid.
func vintLength(first byte) int { return bits.LeadingZeros8(first) + 1 }

// parseVint parses the variable-size integer at the start of data (RFC 8794 section 4) and returns
// its length, which is 0 if there is none of at most maxLength bytes. keepMarker keeps the marker
// bit, which is part of an ID.
func parseVint(data []byte, maxLength int, keepMarker bool) (v uint64, n int) {
	if len(data) == 0 {
		return 0, 0
	}
	n = vintLength(data[0])
	if n > min(maxLength, len(data)) {
		return 0, 0
	}
	v = uint64(data[0])
	if !keepMarker {
		v &= 1<<(8-n) - 1
	}
	for _, b := range data[1:n] {
		v = v<<8 | uint64(b)
	}
	return v, n
}

// parseUint parses the content of an unsigned integer element, 0 if it has more than eight bytes.
func parseUint(content []byte) uint64 {
	var b [8]byte
	if len(content) > 8 {
		return 0
	}
	copy(b[8-len(content):], content)
	return binary.BigEndian.Uint64(b[:])
}

// parseFloat parses the content of a float element, 0 if it is not valid.
func parseFloat(content []byte) float64 {
	switch len(content) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(content)))
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(content))
	}
	return 0
}

// appendUnknownSize appends a size that is not known yet, in as many bytes as appendSize takes (RFC
// 8794 section 6.2).
func appendUnknownSize(b []byte) []byte {
	return append(b, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
}

// appendSize appends a size in eight bytes.
func appendSize(b []byte, size int64) []byte {
	return binary.BigEndian.AppendUint64(b, 1<<56|uint64(size)) //nolint:gosec // sizes of files are positive
}

// appendID appends the ID of an element.
func appendID(b []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift != 0 {
			b = append(b, byte(id>>shift))
		}
	}
	return b
}

// appendElement appends an element with this content, its size in as few bytes as it takes:
// programs that look for the DocType in the first bytes of a file expect one byte.
func appendElement(b []byte, id uint32, content []byte) []byte {
	b = appendID(b, id)
	n := 1
	for n < 8 && len(content) >= 1<<(7*n)-1 {
		n++
	}
	size := uint64(1)<<(7*n) | uint64(len(content))
	for shift := 8 * (n - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(size>>shift))
	}
	return append(b, content...)
}

// appendUint appends an unsigned integer element, in as few bytes as it takes.
func appendUint(b []byte, id uint32, v uint64) []byte {
	content := binary.BigEndian.AppendUint64(nil, v)
	for len(content) > 1 && content[0] == 0 {
		content = content[1:]
	}
	return appendElement(b, id, content)
}

// appendFloat appends a float element of eight bytes.
func appendFloat(b []byte, id uint32, v float64) []byte {
	return appendElement(b, id, binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
}

// appendVoid appends an element of n bytes that says nothing; n is at least 9.
func appendVoid(b []byte, n int) []byte {
	b = appendSize(appendID(b, idVoid), int64(n-9))
	return append(b, make([]byte, n-9)...)
}
