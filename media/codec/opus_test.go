package codec_test

import (
	"strings"
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

func TestParseOpusHead(t *testing.T) {
	head := func(channels, family byte, more ...byte) string {
		return "OpusHead\x01" + string([]byte{channels, 0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, family}) + string(more)
	}
	for data, want := range map[string]string{
		head(1, 0): "", head(2, 0): "", head(1, 1, 1, 0, 0): "", head(2, 1, 1, 1, 0, 1): "", head(2, 255, 1, 1, 0, 1): "",
		head(0, 0):                                     "0 channels",
		head(6, 1, 4, 2, 0, 4, 1, 2, 3, 5):             "Opus stream has 6 channels; want 1 or 2; convert it: ffmpeg -i FILE -ac 2",
		head(2, 1, 2, 0, 0, 1):                         "Opus track has 2 streams; want 1; convert it: ffmpeg -i FILE -ac 2",
		head(2, 1, 1, 1, 0):                            "the channel mapping table is cut off",
		head(2, 0)[:18]:                                "too short",
		strings.Replace(head(2, 0), "\x01", "\x10", 1): "version is 16, want 1",
	} {
		h, err := codec.ParseOpusHead([]byte(data))
		switch {
		case want == "" && (err != nil || h.PreSkip != 312 || h.Channels != int(data[9])):
			t.Errorf("%q: %+v, error is %v", data, h, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error is %v, want %q", data, err, want)
		}
	}
}
