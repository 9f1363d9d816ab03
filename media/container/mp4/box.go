package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"parley/media"
)

// boxHeader is the header of a box (ISO 14496-12 section 4.2).
type boxHeader struct {
	kind   string
	header int64 // size of the header in bytes
	size   int64 // size of the box in bytes, with its header
}

// parseBoxHeader parses the header at the start of data; 16 bytes are enough. A box of size 0 takes
// all of the remaining bytes, which may be fewer than those that a header claims.
func parseBoxHeader(data []byte, remaining int64) (boxHeader, error) {
	if len(data) < 8 {
		return boxHeader{}, media.ReadError("the header of a box", io.EOF)
	}
	h := boxHeader{kind: string(data[4:8]), header: 8, size: int64(binary.BigEndian.Uint32(data))}
	switch {
	case h.size == 0:
		h.size = remaining
	case h.size == 1 && len(data) < 16:
		return boxHeader{}, media.ReadError("the header of a box", io.EOF)
	case h.size == 1:
		size := binary.BigEndian.Uint64(data[8:])
		if size > 1<<62 {
			return boxHeader{}, fmt.Errorf("box %q claims %d bytes; the file is broken", h.kind, size)
		}
		h.header, h.size = 16, int64(size)
	}
	if h.size < h.header {
		return boxHeader{}, fmt.Errorf("box %q claims %d bytes; the file is broken", h.kind, h.size)
	}
	return h, nil
}

// readBoxHeader reads the header of the box at an offset of a file. The error is io.EOF at the end
// of the file.
func readBoxHeader(r io.ReaderAt, offset, fileSize int64) (boxHeader, error) {
	if offset >= fileSize {
		return boxHeader{}, io.EOF
	}
	var data [16]byte
	n, err := r.ReadAt(data[:min(8, fileSize-offset)], offset) // a pipe may have no more for now
	if n == 8 && binary.BigEndian.Uint32(data[:]) == 1 {
		n, err = r.ReadAt(data[:min(16, fileSize-offset)], offset)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return boxHeader{}, readError("the header of a box", err)
	}
	if n == 0 {
		return boxHeader{}, io.EOF
	}
	return parseBoxHeader(data[:n], fileSize-offset)
}

// readBox reads the content of the box at an offset of a file. More than limit bytes are an error.
func (h boxHeader) readBox(r io.ReaderAt, offset, fileSize, limit int64) ([]byte, error) {
	if h.size > fileSize-offset {
		return nil, fmt.Errorf("%w in box %q", media.ErrTruncated, h.kind)
	}
	if h.size > limit {
		return nil, fmt.Errorf("box %q claims %d bytes; the limit is %d", h.kind, h.size, limit)
	}
	content := io.NewSectionReader(r, offset+h.header, h.size-h.header)
	var data []byte
	var err error
	if fileSize == unknownSize { // it may claim more than what comes
		data, err = io.ReadAll(content)
	} else {
		data = make([]byte, content.Size())
		_, err = io.ReadFull(content, data)
	}
	if err == nil && int64(len(data)) < content.Size() {
		err = io.EOF
	}
	if err != nil {
		return nil, readError(fmt.Sprintf("box %q", h.kind), err)
	}
	return data, nil
}

// boxes iterates over the boxes in data: their types and contents. It ends before a box that does
// not fit.
func boxes(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(data) > 0 {
			h, err := parseBoxHeader(data, int64(len(data)))
			if err != nil || h.size > int64(len(data)) || !yield(h.kind, data[h.header:h.size]) {
				return
			}
			data = data[h.size:]
		}
	}
}

// find returns the content of the first box with a path of types, nil if there is none.
func find(data []byte, path ...string) []byte {
	for _, want := range path {
		var found []byte
		for kind, content := range boxes(data) {
			if kind == want {
				found = content
				break
			}
		}
		if found == nil {
			return nil
		}
		data = found
	}
	return data
}

var errBoxShort = errors.New("a box of the MP4 file is too short; the file is broken")

// boxReader reads the fields of a box. Fields after the end of the data are zero and set short.
type boxReader struct {
	data  []byte
	short bool
}

// take returns the next n bytes. Up to 8 of them are there to read even if short is set.
func (r *boxReader) take(n int) []byte {
	if n > len(r.data) {
		r.short, r.data = true, nil
		return make([]byte, min(n, 8))
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *boxReader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *boxReader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// i32 reads a signed number of 32 bits.
func (r *boxReader) i32() int64 { return int64(int32(r.u32())) } //nolint:gosec // signed by definition

// uint reads 64 bits in version 1 of a box and 32 bits in version 0. It returns at most 1<<62.
func (r *boxReader) uint(version byte) int64 {
	if version == 1 {
		return int64(min(r.u64(), 1<<62)) //nolint:gosec // bounded
	}
	return int64(r.u32())
}

// full reads the version and the flags of a full box.
func (r *boxReader) full() (version byte, flags uint32) {
	v := r.u32()
	return byte(v >> 24), v & 0xFFFFFF
}

// box returns a box with a content of several parts.
func box(kind string, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	b := make([]byte, 0, 8+len(content))
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(content))) //nolint:gosec // below 4 GB: fragments are bounded
	return append(append(b, kind...), content...)
}

// fullBox returns a box with a version and flags.
func fullBox(kind string, version byte, flags uint32, parts ...[]byte) []byte {
	return box(kind, append([][]byte{be32(uint32(version)<<24 | flags)}, parts...)...)
}

func be16(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func be32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func be64(values ...uint64) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
