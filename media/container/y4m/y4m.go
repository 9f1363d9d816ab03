// Package y4m reads raw video in the YUV4MPEG2 format of mjpegtools and ffmpeg.
package y4m

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"strconv"
	"strings"

	"parley/media"
)

// Magic is the start of a stream.
const Magic = "YUV4MPEG2"

const (
	maxLineSize  = 1024
	minFrameRate = 0.1 // in frames per second
	maxFrameRate = 1000
)

// Reader reads frames of 8 bits per sample. It converts full range to limited range, which video
// codecs and browsers expect.
type Reader struct {
	r      *bufio.Reader
	frame  *image.YCbCr
	mono   bool       // the stream has no chroma planes
	luma   *[256]byte // limited range of each value; nil for a stream that has limited range
	chroma *[256]byte
	rate   float64
	count  int
}

// NewReader reads the header of a stream.
func NewReader(r *bufio.Reader) (*Reader, error) {
	y := &Reader{r: r}
	line, err := y.readLine("the Y4M header")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != Magic {
		return nil, fmt.Errorf("invalid Y4M header: want %s", Magic)
	}
	var width, height int
	layout, colorRange := "420jpeg", ""
	for _, field := range fields[1:] {
		switch value := field[1:]; field[0] {
		case 'W':
			width, _ = strconv.Atoi(value)
		case 'H':
			height, _ = strconv.Atoi(value)
		case 'F':
			y.rate = parseRate(value)
		case 'C':
			layout = value
		case 'X':
			if name, value, _ := strings.Cut(value, "="); name == "COLORRANGE" {
				colorRange = value
			}
		}
	}
	if width < 2 || height < 2 || width > media.MaxDimension || height > media.MaxDimension {
		return nil, fmt.Errorf("the Y4M stream has %dx%d pixels; want 2x2 to %dx%d", width, height, media.MaxDimension, media.MaxDimension)
	}
	if err := y.setLayout(width, height, layout); err != nil {
		return nil, err
	}
	if colorRange == "FULL" || y.mono && colorRange != "LIMITED" { // ffmpeg and GStreamer write gray in full range
		y.luma, y.chroma = limitedRange(0, 16, 219), limitedRange(128, 128, 224)
	}
	return y, nil
}

// Size returns the width and height of the frames in pixels.
func (y *Reader) Size() (width, height int) { return y.frame.Rect.Dx(), y.frame.Rect.Dy() }

// FrameRate returns the frame rate of the header in frames per second, or 0 if it is unknown.
func (y *Reader) FrameRate() float64 { return y.rate }

// parseRate parses a rate such as 30000:1001. 0:0 is unknown.
func parseRate(value string) float64 {
	a, b, _ := strings.Cut(value, ":")
	numerator, err1 := strconv.ParseFloat(a, 64)
	denominator, err2 := strconv.ParseFloat(b, 64)
	if err1 != nil || err2 != nil || denominator <= 0 {
		return 0
	}
	if rate := numerator / denominator; rate >= minFrameRate && rate <= maxFrameRate {
		return rate
	}
	return 0
}

// setLayout allocates the frame.
func (y *Reader) setLayout(width, height int, layout string) error {
	var ratio image.YCbCrSubsampleRatio
	switch layout {
	case "420", "420jpeg", "420mpeg2", "420paldv":
		ratio = image.YCbCrSubsampleRatio420
	case "mono":
		ratio, y.mono = image.YCbCrSubsampleRatio420, true
	case "422":
		ratio = image.YCbCrSubsampleRatio422
	case "444":
		ratio = image.YCbCrSubsampleRatio444
	case "411":
		ratio = image.YCbCrSubsampleRatio411
	default:
		return fmt.Errorf("the Y4M stream has the layout %q; want 420, 422, 444, 411 or mono with 8 bits; convert it: "+
			"ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m", layout[:min(len(layout), 40)])
	}
	y.frame = image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
	if y.mono {
		for i := range y.frame.Cb {
			y.frame.Cb[i], y.frame.Cr[i] = 128, 128
		}
	}
	return nil
}

// limitedRange returns the limited range value of each full range value (ITU-T H.273 section 8.3).
// zero is the value without luma or chroma, limitedZero the same in limited range, and steps the
// number of limited range steps for 255.
func limitedRange(zero, limitedZero, steps float64) *[256]byte {
	var table [256]byte
	for v := range table {
		table[v] = byte(math.Round(limitedZero + (float64(v)-zero)*steps/255))
	}
	return &table
}

// Next returns the next frame, which is valid until the next call, or io.EOF after the last one.
func (y *Reader) Next() (*image.YCbCr, error) {
	if _, err := y.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	y.count++
	what := fmt.Sprintf("frame %d", y.count)
	line, err := y.readLine(what)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "FRAME") {
		return nil, fmt.Errorf("invalid %s: want a line that begins with FRAME", what)
	}
	planes := [][]byte{y.frame.Y, y.frame.Cb, y.frame.Cr}
	if y.mono {
		planes = planes[:1]
	}
	for i, plane := range planes {
		if _, err := io.ReadFull(y.r, plane); err != nil {
			return nil, media.ReadError(what, err)
		}
		table := y.chroma
		if i == 0 {
			table = y.luma
		}
		if table == nil {
			continue
		}
		for i, v := range plane {
			plane[i] = table[v]
		}
	}
	return y.frame, nil
}

// readLine reads a line of the header of what.
func (y *Reader) readLine(what string) (string, error) {
	var line []byte
	for len(line) < maxLineSize {
		b, err := y.r.ReadByte()
		if err != nil {
			return "", media.ReadError(what, err)
		}
		if b == '\n' {
			return string(bytes.TrimRight(line, "\r")), nil
		}
		line = append(line, b)
	}
	return "", fmt.Errorf("the line of %s is longer than %d bytes", what, maxLineSize)
}
