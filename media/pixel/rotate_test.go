package pixel

import (
	"image"
	"testing"
)

// TestRotate compares every pixel of rotated frames, including parts of larger frames, with its
// origin.
func TestRotate(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		whole := image.NewYCbCr(image.Rect(0, 0, 64, 48), ratio)
		for i := range whole.Y {
			whole.Y[i] = byte(i * 7)
		}
		for i := range whole.Cb {
			whole.Cb[i], whole.Cr[i] = byte(i*11), byte(i*13)
		}
		for _, rect := range []image.Rectangle{whole.Rect, image.Rect(8, 4, 40, 24)} {
			src := whole.SubImage(rect).(*image.YCbCr)
			w, h := rect.Dx(), rect.Dy()
			var r Rotator
			for _, degrees := range []int{0, 90, 180, 270, 360, -90, 450} {
				got := r.Rotate(src, degrees)
				size, origin := image.Pt(w, h), func(x, y int) (int, int) { return x, y }
				switch (degrees + 360) % 360 {
				case 90:
					size, origin = image.Pt(h, w), func(x, y int) (int, int) { return y, h - 1 - x }
				case 180:
					origin = func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }
				case 270:
					size, origin = image.Pt(h, w), func(x, y int) (int, int) { return w - 1 - y, x }
				}
				if got.Rect.Size() != size {
					t.Fatalf("%v %v by %d degrees is %v, want %v", ratio, rect, degrees, got.Rect.Size(), size)
				}
				for y := range size.Y {
					for x := range size.X {
						fromX, fromY := origin(x, y)
						want := src.YCbCrAt(rect.Min.X+fromX, rect.Min.Y+fromY)
						if c := got.YCbCrAt(got.Rect.Min.X+x, got.Rect.Min.Y+y); c != want {
							t.Fatalf("%v %v by %d degrees: pixel %d,%d is %v, want %v", ratio, rect, degrees, x, y, c, want)
						}
					}
				}
			}
		}
	}
}

// TestRotateOddSize rotates a 4:2:0 frame whose last chroma samples belong to single columns and
// rows.
func TestRotateOddSize(t *testing.T) {
	src := image.NewYCbCr(image.Rect(0, 0, 5, 3), image.YCbCrSubsampleRatio420)
	for i := range src.Y {
		src.Y[i] = byte(i)
	}
	var r Rotator
	got := r.Rotate(src, 90)
	if got.Rect.Size() != image.Pt(3, 5) || len(got.Cb) != 2*3 {
		t.Fatalf("size is %v with %d chroma samples, want 3x5 with 6", got.Rect.Size(), len(got.Cb))
	}
	for y := range 5 {
		for x := range 3 {
			if v, want := got.Y[got.YOffset(x, y)], byte((2-x)*5+y); v != want {
				t.Errorf("pixel %d,%d is %d, want %d", x, y, v, want)
			}
		}
	}
}
