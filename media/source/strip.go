package source

import (
	"encoding/binary"
	"image"
	"image/color"
)

// The strip is a band at the bottom of a picture, as wide as the picture and an eighth of its height, that holds the
// frame number in black and white cells: two rows of 22 cells each.
//
//	      0      1 ................................ 20    21
//	    ┌─────┬──────────────────────────────────────┬─────┐
//	row 0  white  bits 31 .. 12 of the number           black
//	row 1  white  bits 11 .. 0 of the number, 8 of CRC  black
//	    └─────┴──────────────────────────────────────┴─────┘
//
// A white cell is 1. The first and the last cell of each row are the references: a cell is white if it is nearer to
// the white one. The checksum is CRC-8 (polynomial 0x07, start 0xFF) over the number, big-endian.
const (
	stripCells    = 22
	stripRows     = 2
	stripDataBits = stripCells - 2
	stripShare    = 8  // of the height of the picture
	stripContrast = 64 // least difference of the references, in luma of 0 to 255
)

// stripWord puts the number and its checksum together, in the order of the cells.
func stripWord(frame uint32) uint64 { return uint64(frame)<<8 | uint64(stripSum(frame)) }

func stripSum(frame uint32) byte {
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

// stripCell is the area of a cell in a picture of the given bounds.
func stripCell(r image.Rectangle, row, cell int) image.Rectangle {
	w, h := r.Dx(), r.Dy()
	band := h / stripShare
	top := r.Max.Y - band
	return image.Rect(
		r.Min.X+w*cell/stripCells, top+band*row/stripRows,
		r.Min.X+w*(cell+1)/stripCells, top+band*(row+1)/stripRows,
	)
}

// ReadStrip reads the frame number off a test picture, also after lossy coding and scaling; ok says that the
// references were there and the checksum was right.
//
// The same in JavaScript, for a canvas of W by H with the context c:
//
//	function readStrip(c, W, H) {
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
func ReadStrip(img image.Image) (frame uint32, ok bool) {
	r := img.Bounds()
	if r.Dx() < 2*stripCells || r.Dy() < stripShare*stripRows {
		return 0, false
	}
	var word uint64
	for row := range stripRows {
		white, black := cellLuma(img, stripCell(r, row, 0)), cellLuma(img, stripCell(r, row, stripCells-1))
		if white-black < stripContrast {
			return 0, false
		}
		for cell := 1; cell <= stripDataBits; cell++ {
			word <<= 1
			if 2*cellLuma(img, stripCell(r, row, cell)) > white+black {
				word |= 1
			}
		}
	}
	frame = uint32(word >> 8) //nolint:gosec // 40 bits by construction
	return frame, stripSum(frame) == byte(word)
}

// cellLuma is the mean luma of the middle of a cell: its edges are blurred by coding.
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
