//go:build !quick

package codec_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// firstFrame returns the first frame of an IVF file, or the whole of another one.
func firstFrame(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(data, []byte("DKIF")) {
		size := binary.LittleEndian.Uint32(data[32:])
		return data[44 : 44+size]
	}
	return data
}

// TestCheckSendable: video that browsers do not decode is refused, with the command that converts
// it.
func TestCheckSendable(t *testing.T) {
	x264 := func(format string) []string {
		return []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", format}
	}
	vp9 := func(format string) []string {
		return []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", format}
	}
	av1 := func(format string) []string {
		return []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-pix_fmt", format}
	}
	for _, test := range []struct {
		mime, name string
		options    []string
		want       string // "" for video that can be sent
	}{
		{webrtc.MimeTypeH264, "x.h264", x264("yuv420p"), ""},
		{webrtc.MimeTypeH264, "x.h264", append(x264("yuv420p"), "-profile:v", "high"), ""},
		{webrtc.MimeTypeH264, "x.h264", x264("yuvj420p"), ""},
		{webrtc.MimeTypeH264, "x.h264", x264("yuv444p"), "H.264 is 4:4:4 with 8 bits"},
		{webrtc.MimeTypeH264, "x.h264", x264("yuv422p"), "H.264 is 4:2:2 with 8 bits"},
		{webrtc.MimeTypeH264, "x.h264", x264("yuv420p10le"), "H.264 is 4:2:0 with 10 bits"},
		{webrtc.MimeTypeH264, "x.h264", x264("yuv444p10le"), "H.264 is 4:4:4 with 10 bits"},
		{webrtc.MimeTypeH264, "x.h264", x264("gray"), "H.264 is monochrome with 8 bits"},
		{webrtc.MimeTypeVP9, "x.ivf", vp9("yuv420p"), ""},
		{webrtc.MimeTypeVP9, "x.ivf", vp9("yuv444p"), "VP9 has profile 1"},
		{webrtc.MimeTypeVP9, "x.ivf", vp9("yuv420p10le"), "VP9 has profile 2"},
		{webrtc.MimeTypeVP9, "x.ivf", vp9("yuv444p12le"), "VP9 has profile 3"},
		{webrtc.MimeTypeAV1, "x.ivf", av1("yuv420p"), ""},
		{webrtc.MimeTypeAV1, "x.ivf", av1("yuv420p10le"), "AV1 has profile 0 (4:2:0 with 10 bits"},
		{webrtc.MimeTypeAV1, "x.ivf", av1("yuv444p"), "AV1 has profile 1 (4:4:4 with 8 bits"},
		{webrtc.MimeTypeAV1, "x.ivf", av1("yuv422p"), "AV1 has profile 2 (4:2:2 with 8 bits"},
		{webrtc.MimeTypeAV1, "x.ivf", av1("yuv444p12le"), "AV1 has profile 2 (4:4:4 with 12 bits"},
		{webrtc.MimeTypeAV1, "x.ivf", av1("gray"), "AV1 has profile 0 (monochrome with 8 bits"},
	} {
		name := strings.Join(append([]string{test.mime}, test.options...), " ")
		frame := firstFrame(t, mediatest.Clip(t, test.name, append(test.options, "-frames:v", "1")...))
		if !codec.ParseFrame(test.mime, frame).Key {
			t.Errorf("%s: %d bytes are no key frame", name, len(frame))
		}
		err := codec.CheckSendable(test.mime, frame)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want) ||
			!strings.Contains(err.Error(), "-pix_fmt yuv420p")):
			t.Errorf("%s: error is %v, want %s", name, err, test.want)
		}
		// The decoder configuration says the same.
		if test.mime != webrtc.MimeTypeH264 {
			continue
		}
		avcc, parseErr := codec.ParseAVCC(codec.AVCDecoderConfig(frame))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if got := avcc.CheckSendable(); (got == nil) != (err == nil) || got != nil && got.Error() != err.Error() {
			t.Errorf("%s: error by avcC is %v", name, got)
		}
	}
}

// TestAVCDecoderConfigFormat: the chroma format and the bit depths are those of the stream (ISO
// 14496-15 section 5.3.3.1.2).
func TestAVCDecoderConfigFormat(t *testing.T) {
	for format, want := range map[string][]byte{
		"yuv420p": {0xFD, 0xF8, 0xF8, 0}, "yuv422p": {0xFE, 0xF8, 0xF8, 0}, "yuv444p10le": {0xFF, 0xFA, 0xFA, 0},
	} {
		clip := mediatest.Clip(t, "x.h264", "-c:v", "libx264", "-preset", "fast", "-pix_fmt", format, "-frames:v", "1")
		if config := codec.AVCDecoderConfig(firstFrame(t, clip)); !bytes.HasSuffix(config, want) {
			t.Errorf("%s: avcC ends with % x, want % x", format, config[max(0, len(config)-4):], want)
		}
	}
}

// TestReordered: only streams whose headers allow B-frames are looked through for them.
func TestReordered(t *testing.T) {
	for options, want := range map[string]bool{"-bf 0": false, "-bf 2": true, "-profile:v baseline": false} {
		clip := mediatest.Clip(t, "x.h264", append([]string{"-c:v", "libx264", "-preset", "fast", "-t", "0.2"}, strings.Fields(options)...)...)
		for nal := range codec.NALUnits(firstFrame(t, clip)) {
			if codec.NALType(nal) != codec.NALSPS {
				continue
			}
			if sps, err := codec.ParseSPS(nal); err != nil || sps.Reordered != want || sps.FrameRate != 25 {
				t.Errorf("%s: %+v, %v", options, sps, err)
			}
			break
		}
	}
}
