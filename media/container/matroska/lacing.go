package matroska

import (
	"errors"

	"parley/media"
)

// unlace returns the frames of the data of a block (RFC 9559 section 10.3). lacing is the two bits
// of the flags.
func unlace(lacing byte, data []byte) ([][]byte, error) {
	const none, xiph, fixed = 0, 1, 2
	if lacing == none {
		return [][]byte{data}, nil
	}
	bad := errors.New("frame sizes exceed the block")
	if len(data) == 0 {
		return nil, bad
	}
	count, data := int(data[0])+1, data[1:]
	sizes := make([]int, count)
	var ok bool
	switch lacing {
	case fixed:
		for i := range sizes {
			sizes[i] = len(data) / count
		}
		ok = len(data)%count == 0
	case xiph:
		data, ok = xiphSizes(data, sizes)
	default:
		data, ok = ebmlSizes(data, sizes)
	}
	if !ok {
		return nil, bad
	}
	var frames [][]byte
	for _, size := range sizes {
		if size < 0 || size > len(data) {
			return nil, bad
		}
		frames, data = append(frames, data[:size:size]), data[size:]
	}
	return frames, nil
}

// xiphSizes sets the sizes of Xiph lacing and returns the data after them. The last size is not
// stored: it is the rest.
func xiphSizes(data []byte, sizes []int) ([]byte, bool) {
	total := 0
	for i := range sizes[:len(sizes)-1] {
		for {
			if len(data) == 0 {
				return nil, false
			}
			b := data[0]
			data = data[1:]
			sizes[i] += int(b)
			if b < 255 {
				break
			}
		}
		total += sizes[i]
	}
	sizes[len(sizes)-1] = len(data) - total
	return data, true
}

// ebmlSizes sets the sizes of EBML lacing, which stores the first size and then differences, and
// returns the data after them. The last size is the rest.
func ebmlSizes(data []byte, sizes []int) ([]byte, bool) {
	total := 0
	for i := range sizes[:len(sizes)-1] {
		v, n := parseVint(data, 8, false)
		if n == 0 || v > media.MaxFrameSize && i == 0 {
			return nil, false
		}
		data = data[n:]
		if i == 0 {
			sizes[0] = int(v) //nolint:gosec // bounded
		} else {
			bias := int64(1)<<(7*n-1) - 1
			difference := int64(v) - bias //nolint:gosec // below 1<<56
			if difference > media.MaxFrameSize || difference < -media.MaxFrameSize {
				return nil, false
			}
			sizes[i] = sizes[i-1] + int(difference)
		}
		if total += sizes[i]; total > media.MaxFrameSize || sizes[i] < 0 {
			return nil, false
		}
	}
	sizes[len(sizes)-1] = len(data) - total
	return data, true
}
