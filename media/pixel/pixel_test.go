package pixel

import (
	"image"
	"image/color"
	"testing"
)

// TestScaler scales a horizontal luma ramp and constant chroma between various sizes and
// subsamplings.
func TestScaler(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio444} {
		for _, size := range [][2]int{{64, 48}, {640, 480}, {63, 31}, {17, 400}, {2, 2}} {
			src := image.NewYCbCr(image.Rect(0, 0, size[0], size[1]), ratio)
			for y := range size[1] {
				for x := range size[0] {
					src.Y[src.YOffset(x, y)] = byte((float64(x) + 0.5) / float64(size[0]) * 250)
				}
			}
			for i := range src.Cb {
				src.Cb[i], src.Cr[i] = 90, 200
			}
			got := new(Scaler).Scale(src, 100, 60)
			if got.Rect.Dx() != 100 || got.Rect.Dy() != 60 || got.SubsampleRatio != image.YCbCrSubsampleRatio420 {
				t.Fatalf("size is %v", got.Rect)
			}
			for i := range got.Cb {
				if got.Cb[i] != 90 || got.Cr[i] != 200 {
					t.Fatalf("%v %v: chroma is %d, %d", ratio, size, got.Cb[i], got.Cr[i])
				}
			}
			for x := 5; x < 95 && size[0] > 16; x++ {
				want := (float64(x) + 0.5) / 100 * 250
				if v := float64(got.Y[got.YOffset(x, 30)]); v < want-9 || v > want+9 {
					t.Errorf("%v %v: pixel %d is %v, want %.1f", ratio, size, x, v, want)
				}
			}
		}
	}
	same := image.NewYCbCr(image.Rect(0, 0, 32, 32), image.YCbCrSubsampleRatio420)
	if new(Scaler).Scale(same, 32, 32) != same {
		t.Error("a frame of the right size is copied")
	}
}

// TestScalerBoundsFilterTaps scales frames of more sizes than are kept.
func TestScalerBoundsFilterTaps(t *testing.T) {
	var s Scaler
	for n := range 100 {
		s.Scale(image.NewYCbCr(image.Rect(0, 0, 2+n, 3+n), image.YCbCrSubsampleRatio420), 8, 8)
	}
	if len(s.lines) > maxLines {
		t.Errorf("filter taps of %d line sizes are kept, want at most %d", len(s.lines), maxLines)
	}
}

// TestConvert compares RGB colours with those that went into limited-range BT.601.
func TestConvert(t *testing.T) {
	for _, want := range []color.RGBA{
		{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}, {200, 120, 40, 255},
	} {
		r, g, b := float64(want.R), float64(want.G), float64(want.B)
		src := image.NewYCbCr(image.Rect(0, 0, 64, 64), image.YCbCrSubsampleRatio420)
		fill := func(plane []byte, v float64) {
			for i := range plane {
				plane[i] = byte(v + 0.5)
			}
		}
		fill(src.Y, 16+65.481/255*r+128.553/255*g+24.966/255*b)
		fill(src.Cb, 128-37.797/255*r-74.203/255*g+112.0/255*b)
		fill(src.Cr, 128+112.0/255*r-93.786/255*g-18.214/255*b)
		for _, size := range []int{0, 20} {
			var c RGBConverter
			got := c.Convert(src, size, size).RGBAAt(10, 10)
			for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
				if d < -2 || d > 2 {
					t.Errorf("size %d: colour is %v, want %v", size, got, want)
				}
			}
		}
	}
	grey := image.NewGray(image.Rect(3, 4, 5, 6))
	grey.SetGray(4, 5, color.Gray{Y: 99})
	if got := new(RGBConverter).Convert(grey, 0, 0); got.Rect != image.Rect(0, 0, 2, 2) || got.RGBAAt(1, 1).R != 99 {
		t.Errorf("grey frame is %v with %v, want 2x2 with 99", got.Rect, got.RGBAAt(1, 1))
	}
}
