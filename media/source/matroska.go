package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// Elements of Matroska (RFC 9559 section 5), as far as they matter here.
const (
	mkvHeader         = 0x1A45DFA3
	mkvSegment        = 0x18538067
	mkvInfo           = 0x1549A966
	mkvTimestampScale = 0x2AD7B1
	mkvTracks         = 0x1654AE6B
	mkvTrackEntry     = 0xAE
	mkvTrackNumber    = 0xD7
	mkvTrackType      = 0x83
	mkvCodecID        = 0x86
	mkvCodecPrivate   = 0x63A2
	mkvEncodings      = 0x6D80
	mkvCluster        = 0x1F43B675
	mkvTimestamp      = 0xE7
	mkvSimpleBlock    = 0xA3
	mkvBlockGroup     = 0xA0
	mkvBlock          = 0xA1

	mkvUnknownSize = math.MaxUint64
	mkvMaxHeader   = 4 << 20 // bytes of an element that describes the file
)

// matroska walks the elements of a file from front to back. Segments, clusters and groups of blocks are entered, so
// that their sizes, which may be unknown, do not matter; what is not needed is skipped.
//
// The elements are read here, as ebml-go would load each cluster, or whatever claims to be one, as a whole.
type matroska struct {
	r *bufio.Reader
}

// element reads the ID and the size of an element. The error is io.EOF at the end of the file.
func (m *matroska) element() (id uint32, size uint64, err error) {
	wide, _, err := m.vint(4, true)
	if err != nil {
		return 0, 0, err
	}
	id = uint32(wide) //nolint:gosec // four bytes
	size, n, err := m.vint(8, false)
	if errors.Is(err, io.EOF) {
		err = media.ReadError("an element", err)
	}
	if size == 1<<(7*n)-1 {
		size = mkvUnknownSize
	}
	return id, size, err
}

// vint reads a number of variable length (RFC 8794 section 4); an ID keeps its marker.
func (m *matroska) vint(most int, marker bool) (v uint64, n int, err error) {
	first, err := m.r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	n = 1
	for mask := byte(0x80); first&mask == 0; mask >>= 1 {
		if n++; n > most {
			return 0, 0, errors.New("the Matroska file is broken: an element has no valid size")
		}
	}
	v = uint64(first)
	if !marker {
		v &= 1<<(8-n) - 1
	}
	for range n - 1 {
		b, err := m.r.ReadByte()
		if err != nil {
			return 0, 0, media.ReadError("an element", err)
		}
		v = v<<8 | uint64(b)
	}
	return v, n, nil
}

// read reads the content of an element that may have at most that many bytes.
func (m *matroska) read(what string, size, most uint64) ([]byte, error) {
	if size > most {
		return nil, fmt.Errorf("%s claims %s; the file is broken", what, mkvSize(size))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(m.r, data); err != nil {
		return nil, media.ReadError(what, err)
	}
	return data, nil
}

func mkvSize(size uint64) string {
	if size == mkvUnknownSize {
		return "an unknown size"
	}
	return fmt.Sprintf("%d bytes", size)
}

func (m *matroska) skip(size uint64) error {
	if size == mkvUnknownSize {
		return errors.New("the Matroska file is broken: an element has no valid size")
	}
	for size > 0 {
		n, err := m.r.Discard(int(min(size, 1<<30))) //nolint:gosec // bounded
		if err != nil {
			return media.ReadError("an element", err)
		}
		size -= uint64(n) //nolint:gosec // not negative
	}
	return nil
}

// children walks the elements in the content of one. A child that does not fit ends it.
func children(data []byte, each func(id uint32, content []byte)) {
	for len(data) > 0 {
		id, n := vintOf(data, 4, true)
		size, k := vintOf(data[n:], 8, false)
		if n == 0 || k == 0 || size > uint64(len(data)-n-k) { //nolint:gosec // not negative
			return
		}
		data = data[n+k:]
		each(uint32(id), data[:size]) //nolint:gosec // four bytes
		data = data[size:]
	}
}

// vintOf is the number at the start of data, and how many bytes it takes, 0 if there is none.
func vintOf(data []byte, most int, marker bool) (v uint64, n int) {
	if len(data) == 0 || data[0] == 0 {
		return 0, 0
	}
	n = 1
	for mask := byte(0x80); data[0]&mask == 0; mask >>= 1 {
		n++
	}
	if n > most || n > len(data) {
		return 0, 0
	}
	v = uint64(data[0])
	if !marker {
		v &= 1<<(8-n) - 1
	}
	for _, b := range data[1:n] {
		v = v<<8 | uint64(b)
	}
	return v, n
}

func mkvUint(content []byte) uint64 {
	var b [8]byte
	if len(content) > 8 {
		return 0
	}
	copy(b[8-len(content):], content)
	return binary.BigEndian.Uint64(b[:])
}

// mkvTrack is one track of a file.
type mkvTrack struct {
	number, kind uint64
	codec        string
	private      []byte
	encoded      bool // compressed or encrypted on top of its codec
}

func (t *mkvTrack) read(content []byte) {
	children(content, func(id uint32, content []byte) {
		switch id {
		case mkvTrackNumber:
			t.number = mkvUint(content)
		case mkvTrackType:
			t.kind = mkvUint(content)
		case mkvCodecID:
			t.codec = string(content)
		case mkvCodecPrivate:
			t.private = content
		case mkvEncodings:
			t.encoded = true
		}
	})
}

// mkvKind is the number of a kind (RFC 9559 section 5.1.4.1.3).
func mkvKind(kind webrtc.RTPCodecType) uint64 {
	if kind == webrtc.RTPCodecTypeVideo {
		return 1
	}
	return 2
}
