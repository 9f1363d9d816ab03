package device

import "image"

// fromBGRX converts pixels of four bytes, blue first, to the colours of video: BT.601, studio range, which is what
// decoders assume when a stream does not say. dst is 4:2:0 with even sides; a colour is the mean of four pixels.
func fromBGRX(dst *image.YCbCr, pixels []byte) {
	width, height := dst.Rect.Dx(), dst.Rect.Dy()
	for y := 0; y < height; y += 2 {
		top, bottom := pixels[y*width*4:], pixels[(y+1)*width*4:]
		for x := 0; x < width; x += 2 {
			var blue, green, red int
			for _, p := range [4][]byte{top[x*4:], top[x*4+4:], bottom[x*4:], bottom[x*4+4:]} {
				blue, green, red = blue+int(p[0]), green+int(p[1]), red+int(p[2])
			}
			i := y*dst.YStride + x
			dst.Y[i], dst.Y[i+1] = luma(top[x*4:]), luma(top[x*4+4:])
			dst.Y[i+dst.YStride], dst.Y[i+dst.YStride+1] = luma(bottom[x*4:]), luma(bottom[x*4+4:])
			c := y/2*dst.CStride + x/2
			dst.Cb[c] = uint8((112*blue - 74*green - 38*red + 128*4*256 + 512) >> 10)
			dst.Cr[c] = uint8((112*red - 94*green - 18*blue + 128*4*256 + 512) >> 10)
		}
	}
}

func luma(p []byte) uint8 {
	return uint8((25*int(p[0]) + 129*int(p[1]) + 66*int(p[2]) + 16*256 + 128) >> 8)
}
