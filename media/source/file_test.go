package source

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media"
)

// ivf makes a file: its header, and frames with their times.
func ivfFile(fourCC string, numerator, denominator uint32, times ...uint64) []byte {
	le := binary.LittleEndian
	b := append([]byte("DKIF\x00\x00\x20\x00"), fourCC...)
	b = le.AppendUint16(le.AppendUint16(b, 160), 120)
	b = le.AppendUint32(le.AppendUint32(b, denominator), numerator)
	b = le.AppendUint64(b, 0)
	for _, at := range times {
		b = le.AppendUint64(le.AppendUint32(b, 3), at)
		b = append(b, 1, 2, 3)
	}
	return b
}

// TestBrokenFiles: what is wrong with a file is one sentence that names it.
func TestBrokenFiles(t *testing.T) {
	good := ivfFile("VP80", 1, 30, 0, 1)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"bad.ivf", []byte("RIFF\x00\x00\x00\x00AVI "), `unknown media format: signature is "RIFF"`},
		{"bad.ogg", []byte("ID3\x04what else"), `unknown media format: signature is "ID3\x04"; want IVF, Ogg, WebM, Matroska, MP4, H.264, Y4M or WAV`},
		{"bad.h264", []byte("hello, world"), `unknown media format: signature is "hell"`},
		{"bad.mov", []byte("hello, world"), `unknown media format: signature is "hell"`},
		{"empty.ivf", nil, "the file is empty"},
		{"tiny.ivf", []byte("D"), "the file is too short to be any media"},
		{"short.ivf", good[:20], "the file is cut off in the IVF header"},
		{"version.ivf", append([]byte("DKIF\x01\x00"), good[6:]...), "unknown IVF version: got 1, want 0"},
		{"codec.ivf", ivfFile("H264", 1, 30), `codec "H264" cannot be sent`},
		{"base.ivf", ivfFile("VP80", 1, 0), "invalid timebase in the IVF header: 1/0"},
		{"film.webm", []byte("\x1a\x45\xdf\xa3\x01"), "the file is cut off in an element"},
		{"film.mp4", []byte("\x00\x00\x00\x0cftypisom"), "there is no index (moov) in the MP4 file"},
		{"cut.h264", []byte("\x00\x00\x00\x01\x65\x88\x80"), "no sequence parameter set (SPS) in the H.264 stream"},
		{"sps.h264", []byte("\x00\x00\x00\x01\x67\x42\x00\x1f"), "NAL unit 1: invalid sequence parameter set"},
	} {
		path := write(t, test.name, test.data)
		_, err := OpenVideo(path, VideoOptions{})
		var file *media.FileError
		if !errors.As(err, &file) || !strings.HasPrefix(err.Error(), path+": "+test.want) {
			t.Errorf("%s: error is %v", test.name, err)
		}
	}
	var file *media.FileError
	missing := filepath.Join(t.TempDir(), "missing.ivf")
	if _, err := OpenVideo(missing, VideoOptions{}); !errors.As(err, &file) || !errors.Is(err, os.ErrNotExist) ||
		err.Error() != missing+": no such file or directory" {
		t.Errorf("error is %v", err)
	}
	if _, err := OpenAudio("tne:440", AudioOptions{}); !errors.As(err, &file) || !errors.Is(err, os.ErrNotExist) ||
		err.Error() != "tne:440: no such file or directory, and no source has this name" {
		t.Errorf("error is %v", err)
	}
	if _, err := OpenAudio(t.TempDir(), AudioOptions{}); !errors.As(err, &file) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("error is %v", err)
	}
	if _, err := OpenAudio(write(t, "video.ivf", good), AudioOptions{}); err == nil || !strings.HasSuffix(err.Error(), "the stream has no audio; it has video (VP8)") {
		t.Errorf("error is %v", err)
	}
}

// TestBrokenFrames: a file that breaks later is sent up to there, and Run says where.
func TestBrokenFrames(t *testing.T) {
	good := ivfFile("VP80", 1, 30, 0, 1)
	for _, test := range []struct {
		data []byte
		want string
	}{
		{good[:len(good)-1], "the file is cut off in frame 2"},
		{good[:len(good)-8], "the file is cut off in the header of frame 2"},
		{append(ivfFile("VP80", 1, 30, 0), "\xff\xff\xff\x7f\x00\x00\x00\x00\x00\x00\x00\x00"...), "frame 2 claims 2147483647 bytes"},
		{ivfFile("VP80", 1, 30, 5, 4), "frame 2: time goes back"},
		{ivfFile("VP80", 1, 30, 5, 7, 6), "frame 3: time goes back"},
		{ivfFile("VP80", 1, 30, 0, 30*3601), "frame 2: time jumps by more than an hour"},
		{ivfFile("VP80", 1<<32-1, 1, 0, 1<<63), "frame 2: time 9223372036854775808 is out of range"},
	} {
		path := write(t, "bad.ivf", test.data)
		source, err := OpenVideo(path, VideoOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = source.Run(testContext(t))
		var file *media.FileError
		if !errors.As(err, &file) || !strings.HasPrefix(err.Error(), path+": "+test.want) {
			t.Errorf("error is %v, want %s", err, test.want)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
}
