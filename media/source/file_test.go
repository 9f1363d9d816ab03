package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
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
		{"version.ivf", append([]byte("DKIF\x01\x00"), good[6:]...), "IVF version 1 is unknown; expected 0"},
		{"codec.ivf", ivfFile("H264", 1, 30), `codec "H264" cannot be sent; expected VP80, VP90 or AV01`},
		{"base.ivf", ivfFile("VP80", 1, 0), "the IVF header has a timebase of 1/0"},
		{"film.webm", []byte("\x1a\x45\xdf\xa3\x01"), "the file is cut off in an element"},
		{"film.mp4", []byte("\x00\x00\x00\x0cftypisom"), "there is no index (moov) in the MP4 file"},
		{"cut.h264", []byte("\x00\x00\x00\x01\x65\x88\x80"), "no sequence parameter set (SPS) in the H.264 stream"},
		{"sps.h264", []byte("\x00\x00\x00\x01\x67\x42\x00\x1f"), "unit 1: the sequence parameter set makes no sense"},
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
	if _, err := OpenAudio(t.TempDir(), AudioOptions{}); !errors.As(err, &file) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("error is %v", err)
	}
	if _, err := OpenAudio(write(t, "video.ivf", good), AudioOptions{}); err == nil || !strings.HasSuffix(err.Error(), "there is no audio in it") {
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

// TestH264File: slices are grouped to pictures, parameter sets come before each key frame, and the rate is right.
func TestH264File(t *testing.T) {
	path := clip(t, "x.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "4", "-x264-params", "aud=1")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The same with parameter sets at the start only.
	var once []byte
	sets := 0
	for nal := range codec.NALUnits(data) {
		if k := codec.NALType(nal); k == codec.NALSPS || k == codec.NALPPS {
			if sets++; sets > 2 {
				continue
			}
		}
		once = codec.AppendNALUnit(once, nal)
	}
	if sets != 10 {
		t.Fatalf("%d parameter sets", sets)
	}
	for _, name := range []string{path, write(t, "once.h264", once)} {
		file, all := frames(t, name, VideoOptions{})
		if len(all) != 50 || file.Codec() != webrtc.MimeTypeH264 || !strings.Contains(file.Capability().SDPFmtpLine, "profile-level-id=42c0") {
			t.Fatalf("%d pictures of %s, %s", len(all), file.Codec(), file.Capability().SDPFmtpLine)
		}
		for i, s := range all {
			p, slices := codec.ParseH264(s.data), 0
			for nal := range codec.NALUnits(s.data) {
				if k := codec.NALType(nal); k == codec.NALSlice || k == codec.NALIDR {
					slices++
				}
			}
			if slices != 4 || p.Key != (i%10 == 0) || p.Key && p.Width != 160 || s.at != uint64(i)*3600 {
				t.Errorf("picture %d has %d slices, %+v, at %d", i, slices, p, s.at)
			}
		}
	}
	if _, all := frames(t, path, VideoOptions{FrameRate: 50}); all[1].at != 1800 {
		t.Errorf("at 50 pictures a second the second one is at %d", all[1].at)
	}
}

func TestH264Warns(t *testing.T) {
	path := clip(t, "b.h264", "-c:v", "libx264", "-bf", "2", "-g", "25")
	var log bytes.Buffer
	source, err := OpenVideo(path, VideoOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	for {
		if _, err := source.(*fileSource).reader.next(); err == io.EOF {
			break
		}
	}
	if n := strings.Count(log.String(), "B frames"); n != 1 {
		t.Errorf("%d warnings: %s", n, &log)
	}
}

// TestSPS reads sets of several encoders' making, written bit by bit.
func TestSPS(t *testing.T) {
	plain := func(mbsWide, mbsHigh uint32) *bitWriter {
		w := &bitWriter{}
		w.bits(66, 8).bits(0, 8).bits(30, 8)                                 // profile, flags, level
		w.ue(0).ue(0).ue(2).ue(1).bits(0, 1).ue(mbsWide - 1).ue(mbsHigh - 1) // to the size
		return w.bits(1, 1).bits(1, 1)                                       // frames only, direct 8x8
	}
	for _, test := range []struct {
		name          string
		w             *bitWriter
		width, height int
		rate          float64
	}{
		{"no crop, no VUI", plain(20, 15).bits(0, 1).bits(0, 1), 320, 240, 0},
		{"1080 lines", plain(120, 68).bits(1, 1).ue(0).ue(0).ue(0).ue(4).bits(0, 1), 1920, 1080, 0},
		{"timing", plain(20, 15).bits(0, 1).bits(1, 1).bits(0, 4).bits(1, 1).bits(1001, 32).bits(60000, 32), 320, 240, 60000.0 / 1001 / 2},
		{"extended aspect ratio", plain(20, 15).bits(0, 1).bits(1, 1).bits(1, 1).bits(255, 8).bits(3, 32).bits(0, 3).bits(1, 1).bits(1, 32).bits(50, 32), 320, 240, 25},
	} {
		nal := append([]byte{0x67}, escape(test.w.bits(1, 1).data)...)
		s, err := codec.ParseSPS(nal)
		if err != nil || s.Width != test.width || s.Height != test.height || s.FrameRate != test.rate || s.Interlaced {
			t.Errorf("%s: %+v, %v", test.name, s, err)
		}
		for cut := range len(nal) {
			if s, err := codec.ParseSPS(nal[:cut]); err == nil && (s.Width != test.width || s.Height != test.height) {
				t.Errorf("%s cut at %d: %+v", test.name, cut, s)
			}
		}
	}
}

// bitWriter writes what bitReader reads.
type bitWriter struct {
	data []byte
	n    int
}

func (w *bitWriter) bits(v uint32, n int) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
	return w
}

func (w *bitWriter) ue(v uint32) *bitWriter {
	n := 0
	for (v+1)>>(n+1) != 0 {
		n++
	}
	return w.bits(0, n).bits(v+1, n+1)
}

// escape puts emulation prevention bytes in.
func escape(b []byte) (out []byte) {
	zeros := 0
	for _, v := range b {
		if zeros >= 2 && v <= 3 {
			out, zeros = append(out, 3), 0
		}
		if out = append(out, v); v == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return out
}
