// Package y4m reads raw video in the YUV4MPEG2 format of mjpegtools and ffmpeg.
package y4m

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"strconv"
	"strings"

	"parley/media"
)

// Magic is what a stream begins with.
const Magic = "YUV4MPEG2"

const maxLine = 1024

// Reader reads raw pictures as mjpegtools and ffmpeg write them: a line with the size, the rate and the layout, and
// for each picture a line and its planes.
type Reader struct {
	r       *bufio.Reader
	picture *image.YCbCr
	grey    bool
	rate    float64
	frame   int
}

// Size returns the width and height of the frames in pixels.
func (y *Reader) Size() (width, height int) { return y.picture.Rect.Dx(), y.picture.Rect.Dy() }

// FrameRate returns the frame rate of the header in frames per second, or 0 if it is unknown.
func (y *Reader) FrameRate() float64 { return y.rate }

// NewReader reads the header of a stream.
func NewReader(r *bufio.Reader) (*Reader, error) {
	y := &Reader{r: r}
	line, err := y.line("the Y4M header")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, Magic) {
		return nil, errors.New("not a Y4M stream")
	}
	var width, height int
	layout := "420jpeg"
	for _, field := range strings.Fields(line)[1:] {
		switch value := field[1:]; field[0] {
		case 'W':
			width, _ = strconv.Atoi(value)
		case 'H':
			height, _ = strconv.Atoi(value)
		case 'F':
			y.rate = parseRate(value)
		case 'C':
			layout = value
		}
	}
	if width < 2 || height < 2 || width > media.MaxDimension || height > media.MaxDimension {
		return nil, fmt.Errorf("the Y4M header says %dx%d; 2x2 to %dx%d can be sent", width, height, media.MaxDimension, media.MaxDimension)
	}
	return y, y.shape(width, height, layout)
}

// parseRate reads 30000:1001; 0:0 is unknown.
func parseRate(value string) float64 {
	a, b, _ := strings.Cut(value, ":")
	numerator, err1 := strconv.ParseFloat(a, 64)
	denominator, err2 := strconv.ParseFloat(b, 64)
	if err1 != nil || err2 != nil || denominator <= 0 {
		return 0
	}
	if rate := numerator / denominator; rate >= 0.1 && rate <= 240 {
		return rate
	}
	return 0
}

// shape makes room for a picture.
func (y *Reader) shape(width, height int, layout string) error {
	ratio, ok := map[string]image.YCbCrSubsampleRatio{
		"420": image.YCbCrSubsampleRatio420, "420jpeg": image.YCbCrSubsampleRatio420, "420mpeg2": image.YCbCrSubsampleRatio420,
		"420paldv": image.YCbCrSubsampleRatio420, "422": image.YCbCrSubsampleRatio422, "444": image.YCbCrSubsampleRatio444,
		"mono": image.YCbCrSubsampleRatio420,
	}[layout]
	if !ok {
		return fmt.Errorf("the Y4M stream has pixels in %q; 420, 422, 444 and mono of 8 bits can be sent: ffmpeg … -pix_fmt yuv420p -f yuv4mpegpipe -",
			layout[:min(len(layout), 40)])
	}
	y.grey = layout == "mono"
	y.picture = image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
	if y.grey {
		for _, plane := range [][]byte{y.picture.Cb, y.picture.Cr} {
			for i := range plane {
				plane[i] = 128
			}
		}
	}
	return nil
}

// Next reads a picture, which is valid until the next one; io.EOF after the last.
func (y *Reader) Next() (*image.YCbCr, error) {
	if _, err := y.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	y.frame++
	what := fmt.Sprintf("picture %d", y.frame)
	line, err := y.line(what)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "FRAME") {
		return nil, fmt.Errorf("%s does not begin with \"FRAME\"; the stream is broken", what)
	}
	planes := [][]byte{y.picture.Y, y.picture.Cb, y.picture.Cr}
	if y.grey {
		planes = planes[:1]
	}
	for _, plane := range planes {
		if _, err := io.ReadFull(y.r, plane); err != nil {
			return nil, media.ReadError(what, err)
		}
	}
	return y.picture, nil
}

func (y *Reader) line(what string) (string, error) {
	var line []byte
	for len(line) < maxLine {
		b, err := y.r.ReadByte()
		if err != nil {
			return "", media.ReadError(what, err)
		}
		if b == '\n' {
			return string(bytes.TrimRight(line, "\r")), nil
		}
		line = append(line, b)
	}
	return "", fmt.Errorf("the line before %s is longer than %d bytes; the stream is broken", what, maxLine)
}
