package y4m

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// stream returns count frames of size bytes, whose values are 0, 1, 2 and so on.
func stream(head string, size, count int) []byte {
	b := []byte("YUV4MPEG2 " + head + "\n")
	for i := range count {
		b = append(append(b, "FRAME\n"...), bytes.Repeat([]byte{byte(i)}, size)...)
	}
	return b
}

func TestInvalidStream(t *testing.T) {
	for want, data := range map[string][]byte{
		"2x2 to 8192x8192 can be sent":          stream("W0 H48", 0, 0),
		"the Y4M header says 99999999x2":        stream("W99999999 H2", 0, 0),
		`pixels in "420p10"`:                    stream("W16 H16 C420p10", 0, 0),
		"the file is cut off in the Y4M header": []byte("YUV4MPEG2 W16"),
		"is longer than 1024 bytes":             append([]byte("YUV4MPEG2 "), bytes.Repeat([]byte("X"), 2000)...),
		"the file is cut off in picture 2":      stream("W16 H16", 384, 2)[:500],
		`picture 2 does not begin with "FRAME"`: append(stream("W16 H16", 384, 1), "hello\n"...),
	} {
		y, err := NewReader(bufio.NewReader(bytes.NewReader(data)))
		for err == nil {
			_, err = y.Next()
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("YUV4MPEG2 W4 H2 F30:1 Ip A1:1 C420jpeg\nFRAME\n123456789012FRAME X\n"))
	f.Add([]byte("YUV4MPEG2 W2 H2 F0:0 Cmono\nFRAME\n1234"))
	f.Fuzz(func(t *testing.T, data []byte) {
		y, err := NewReader(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		width, height := y.Size()
		if width*height > 1<<20 {
			return
		}
		for p, err := y.Next(); err == nil; p, err = y.Next() {
			if p.Rect.Dx() != width || p.Rect.Dy() != height {
				t.Fatalf("a frame of %v, want %dx%d", p.Rect, width, height)
			}
		}
	})
}
