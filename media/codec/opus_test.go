package codec_test

import (
	"testing"

	"parley/media/codec"
)

func TestOpusPacketSamples(t *testing.T) {
	for _, test := range []struct {
		packet []byte
		want   int
	}{
		{nil, 0}, {[]byte{0x00}, 480}, {[]byte{0x18}, 2880}, {[]byte{0x60}, 480}, {[]byte{0x68}, 960},
		{[]byte{0x80}, 120}, {[]byte{0xF8}, 960}, {[]byte{0xF9}, 1920}, {[]byte{0xFB}, 0}, {[]byte{0xFB, 3}, 2880},
		{[]byte{0xFB, 0x80 | 6}, 5760}, {[]byte{0xFB, 7}, 0}, {[]byte{0x1B, 2}, 5760}, {[]byte{0x1B, 3}, 0},
	} {
		if got := codec.OpusPacketSamples(test.packet); got != test.want {
			t.Errorf("packet % x has %d samples, want %d", test.packet, got, test.want)
		}
	}
}
