package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"parley/media"
)

// boxHeader is the place of a box in a file.
type boxHeader struct {
	kind    string
	content int64 // where it begins
	end     int64
}

// nextBox reads the header of the box at a place (ISO 14496-12 section 4.2). The error is io.EOF at the end of the file.
func nextBox(r io.ReaderAt, at, size int64) (boxHeader, error) {
	if at >= size {
		return boxHeader{}, io.EOF
	}
	var header [16]byte
	n, err := r.ReadAt(header[:min(16, size-at)], at)
	if n < 8 {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return boxHeader{}, media.ReadError("the header of a box", err)
	}
	b := boxHeader{kind: string(header[4:8]), content: at + 8}
	length := int64(binary.BigEndian.Uint32(header[:]))
	switch {
	case length == 0: // up to the end
		length = size - at
	case length == 1 && n < 16:
		return boxHeader{}, media.ReadError("the header of a box", io.EOF)
	case length == 1:
		long := binary.BigEndian.Uint64(header[8:])
		if long > 1<<62 {
			return boxHeader{}, fmt.Errorf("box %q claims %d bytes; the file is broken", b.kind, long)
		}
		length, b.content = int64(long), at+16
	}
	if length < b.content-at {
		return boxHeader{}, fmt.Errorf("box %q claims %d bytes; the file is broken", b.kind, length)
	}
	b.end = at + length
	return b, nil
}

// load reads a whole box, of at most that many bytes.
func (b boxHeader) load(r io.ReaderAt, size int64, most int64) ([]byte, error) {
	if b.end > size {
		return nil, fmt.Errorf("%w in box %q", media.ErrTruncated, b.kind)
	}
	if b.end-b.content > most {
		return nil, fmt.Errorf("box %q claims %d bytes; the file is broken", b.kind, b.end-b.content)
	}
	data := make([]byte, b.end-b.content)
	if _, err := r.ReadAt(data, b.content); err != nil {
		return nil, media.ReadError(fmt.Sprintf("box %q", b.kind), err)
	}
	return data, nil
}

// boxes walks the boxes in the content of one. A box that does not fit ends it.
func boxes(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(data) >= 8 {
			size, header := uint64(binary.BigEndian.Uint32(data)), 8
			if size == 1 && len(data) >= 16 {
				size, header = binary.BigEndian.Uint64(data[8:]), 16
			}
			if size == 0 {
				size = uint64(len(data))
			}
			if size < uint64(header) || size > uint64(len(data)) { //nolint:gosec // 8 or 16
				return
			}
			if !yield(string(data[4:8]), data[header:size]) {
				return
			}
			data = data[size:]
		}
	}
}

// find is the content of the first box of a path, nil if there is none.
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

// boxReader reads the numbers of a box. Beyond the end they are zero, and it remembers that.
type boxReader struct {
	data  []byte
	short bool
}

func (r *boxReader) take(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.short, r.data = true, nil
		return make([]byte, min(max(n, 0), 8))
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *boxReader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *boxReader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// wide reads 64 bits in version 1 of a box and 32 in version 0.
func (r *boxReader) wide(version byte) uint64 {
	if version == 1 {
		return r.u64()
	}
	return uint64(r.u32())
}

// full reads the version and the flags of a box.
func (r *boxReader) full() (version byte, flags uint32) {
	v := r.u32()
	return byte(v >> 24), v & 0xFFFFFF
}

func (r *boxReader) err() error {
	if r.short {
		return errBoxShort
	}
	return nil
}
