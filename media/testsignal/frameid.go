package testsignal

import (
	"encoding/binary"
	"image"
	"image/color"
)

// The frame ID is a band at the bottom of a frame, as wide as the frame and an eighth of its
// height, that holds the frame number in black and white cells: two rows of 22 cells each.
//
//	      0      1 ................................ 20    21
//	    ┌─────┬──────────────────────────────────────┬─────┐
//	row 0  white  bits 31 .. 12 of the number           black
//	row 1  white  bits 11 .. 0 of the number, 8 of CRC  black
//	    └─────┴──────────────────────────────────────┴─────┘
//
// A white cell is 1. The first and the last cell of each row are references: a cell is white if its
// luma is nearer to that of the white one. The checksum is CRC-8 (polynomial 0x07, initial value
// 0xFF) of the big-endian number.
const (
	frameIDCells    = 22
	frameIDRows     = 2
	frameIDBits     = frameIDCells - 2
	frameIDShare    = 8  // the height of the frame over that of the band
	frameIDContrast = 64 // minimum luma difference of the references
)

// frameIDWord returns the bits of the cells: the number and its checksum.
func frameIDWord(frame uint32) uint64 { return uint64(frame)<<8 | uint64(crc8(frame)) }

// crc8 returns the checksum of a frame number or timecode.
func crc8(frame uint32) byte {
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], frame)
	sum := byte(0xFF)
	for _, b := range number {
		sum ^= b
		for range 8 {
			carry := sum & 0x80
			sum <<= 1
			if carry != 0 {
				sum ^= 0x07
			}
		}
	}
	return sum
}

// frameIDCell returns the area of a cell in a frame with bounds r.
func frameIDCell(r image.Rectangle, row, cell int) image.Rectangle {
	w, h := r.Dx(), r.Dy()
	band := h / frameIDShare
	top := r.Max.Y - band
	return image.Rect(
		r.Min.X+w*cell/frameIDCells, top+band*row/frameIDRows,
		r.Min.X+w*(cell+1)/frameIDCells, top+band*(row+1)/frameIDRows,
	)
}

// ReadFrameID reads the frame number from a frame of the test video, also after lossy coding and
// scaling. ok reports whether the references were found and the checksum is right.
//
// The same in JavaScript, for a canvas of W by H pixels with the context c:
//
//	function readFrameID(c, W, H) {
//	  const band = Math.floor(H / 8), cells = [];
//	  for (let row = 0; row < 2; row++) {
//	    const y = Math.floor(H - band + band * (row + 0.5) / 2), line = [];
//	    for (let i = 0; i < 22; i++) {
//	      const [r, g, b] = c.getImageData(Math.floor(W * (i + 0.5) / 22), y, 1, 1).data;
//	      line.push(0.299 * r + 0.587 * g + 0.114 * b);
//	    }
//	    if (line[0] - line[21] < 64) return null;
//	    cells.push(...line.slice(1, 21).map(v => v > (line[0] + line[21]) / 2 ? 1 : 0));
//	  }
//	  const number = parseInt(cells.slice(0, 32).join(''), 2);
//	  let sum = 0xFF;
//	  for (let shift = 24; shift >= 0; shift -= 8) {
//	    sum ^= (number >>> shift) & 0xFF;
//	    for (let i = 0; i < 8; i++) sum = (sum & 0x80 ? (sum << 1) ^ 0x07 : sum << 1) & 0xFF;
//	  }
//	  return sum === parseInt(cells.slice(32).join(''), 2) ? number : null;
//	}
func ReadFrameID(img image.Image) (frame uint32, ok bool) {
	r := img.Bounds()
	if r.Dx() < 2*frameIDCells || r.Dy() < frameIDShare*frameIDRows {
		return 0, false
	}
	var word uint64
	for row := range frameIDRows {
		white, black := cellLuma(img, frameIDCell(r, row, 0)), cellLuma(img, frameIDCell(r, row, frameIDCells-1))
		if white-black < frameIDContrast {
			return 0, false
		}
		for cell := 1; cell <= frameIDBits; cell++ {
			word <<= 1
			if 2*cellLuma(img, frameIDCell(r, row, cell)) > white+black {
				word |= 1
			}
		}
	}
	frame = uint32(word >> 8) //nolint:gosec // 40 bits by construction
	return frame, crc8(frame) == byte(word)
}

// cellLuma returns the mean luma of the middle of a cell, since coding blurs its edges.
func cellLuma(img image.Image, cell image.Rectangle) int {
	midX, midY := (cell.Min.X+cell.Max.X)/2, (cell.Min.Y+cell.Max.Y)/2
	sum, n := 0, 0
	for y := max(midY-1, cell.Min.Y); y <= midY; y++ {
		for x := max(midX-1, cell.Min.X); x <= midX; x++ {
			sum += luma(img, x, y)
			n++
		}
	}
	return sum / n
}

func luma(img image.Image, x, y int) int {
	if ycc, ok := img.(*image.YCbCr); ok {
		return int(ycc.Y[ycc.YOffset(x, y)])
	}
	return int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
}
