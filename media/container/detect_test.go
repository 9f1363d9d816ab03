package container

import (
	"bufio"
	"strings"
	"testing"
)

func TestDetect(t *testing.T) {
	for data, want := range map[string]Format{
		"DKIF\x00\x00\x20\x00":                 IVF,
		"OggS\x00\x02":                         Ogg,
		"\x1A\x45\xDF\xA3":                     Matroska,
		"\x00\x00\x00\x0cftypisom":             MP4,
		"\x00\x00\x00\x08moof":                 MP4,
		"\x00\x00\x00\x01\x67\x42":             AnnexB,
		"\x00\x00\x01\x67":                     AnnexB,
		"RIFF\x00\x00\x00\x00WAVEfmt ":         WAV,
		"RF64\xFF\xFF\xFF\xFFWAVEds64":         WAV,
		"BW64\xFF\xFF\xFF\xFFWAVEds64":         WAV,
		"YUV4MPEG2 W16 H16\n":                  Y4M,
		"RIFF\x00\x00\x00\x00AVI LIST":         0,
		"ID3\x04\x00\x00\x00\x00\x00\x00\x00a": 0,
		"":                                     0,
		"D":                                    0,
	} {
		r := bufio.NewReader(strings.NewReader(data))
		got, err := Detect(r)
		if got != want || (err == nil) != (want != 0) || r.Buffered() != len(data) {
			t.Errorf("%q: format %d, want %d; error %v; %d bytes left", data, got, want, err, r.Buffered())
		}
	}
}
