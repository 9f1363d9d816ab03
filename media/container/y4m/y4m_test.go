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
		"want 2x2 to 8192x8192":                 stream("W0 H48", 0, 0),
		"the Y4M stream has 99999999x2":         stream("W99999999 H2", 0, 0),
		`the layout "420p10"; want`:             stream("W16 H16 C420p10", 0, 0),
		"the file is cut off in the Y4M header": []byte("YUV4MPEG2 W16"),
		"is longer than 1024 bytes":             append([]byte("YUV4MPEG2 "), bytes.Repeat([]byte("X"), 2000)...),
		"the file is cut off in frame 2":        stream("W16 H16", 384, 2)[:500],
		`invalid frame 2`:                       append(stream("W16 H16", 384, 1), "hello\n"...),
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

// TestRange keeps limited range and scales full range, which gray has unless the header states
// another.
func TestRange(t *testing.T) {
	for head, want := range map[string]byte{
		"W2 H2": 40, "W2 H2 XCOLORRANGE=LIMITED": 40, "W2 H2 XCOLORRANGE=FULL": 50, "W2 H2 XYSCSS=420JPEG XCOLORRANGE=FULL": 50,
		"W2 H2 Cmono": 50, "W2 H2 Cmono XCOLORRANGE=LIMITED": 40,
	} {
		y, err := NewReader(bufio.NewReader(strings.NewReader("YUV4MPEG2 " + head + "\nFRAME\n" + "\x28\x28\x28\x28\x80\x80")))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := y.Next(); err != nil || p.Y[0] != want || p.Cb[0] != 128 {
			t.Errorf("%s: got %v, want %d; error is %v", head, p, want, err)
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
