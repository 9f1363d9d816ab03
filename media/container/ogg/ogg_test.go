package ogg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newTestDemuxer(data []byte) (media.Demuxer, error) {
	return NewDemuxer(media.Input{Reader: bufio.NewReader(bytes.NewReader(data)), Warn: func(string) {}})
}

// TestDemuxFFmpeg reads all packets of real files, with many packets to a page and beside a video stream.
func TestDemuxFFmpeg(t *testing.T) {
	plain := mediatest.Clip(t, "plain.ogg", "-c:a", "libopus", "-page_duration", "1000000")
	both := filepath.Join(t.TempDir(), "both.ogg")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=2", "-i", plain, "-c:v", "libtheora", "-c:a", "copy", both)
	for _, path := range []string{plain, both} {
		_, all := mediatest.Demux(t, NewDemuxer, readFile(t, path))
		packets := 0
		for _, s := range mediatest.Probe(t, path).Streams {
			if s.Codec == "opus" {
				packets = int(mediatest.Number(t, s.Packets))
			}
		}
		if len(all) != packets || packets < 100 {
			t.Errorf("%s has %d packets, got %d", path, packets, len(all))
		}
		for i, s := range all {
			if s.Time != uint64(i)*960 || s.Duration != 960 {
				t.Fatalf("packet %d is at %d for %d", i, s.Time, s.Duration)
			}
		}
	}
	video := filepath.Join(t.TempDir(), "video.ogg")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-c:v", "libtheora", video)
	if _, err := newTestDemuxer(readFile(t, video)); err == nil || !strings.Contains(err.Error(), "no Opus in the Ogg file") {
		t.Errorf("error is %v", err)
	}
}

// page returns a page with a valid checksum.
func page(flags byte, serial uint32, segments []byte, body []byte) []byte {
	le := binary.LittleEndian
	b := append([]byte("OggS\x00"), flags)
	b = le.AppendUint32(le.AppendUint64(b, 0), serial)
	b = le.AppendUint64(b, 0)
	b = append(append(append(b, byte(len(segments))), segments...), body...)
	le.PutUint32(b[22:], updateCRC(crcTable(), 0, b))
	return b
}

// headers returns the two header pages of an Opus stream.
func headers(serial uint32) []byte {
	tags := "OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"
	b := page(flagFirst, serial, []byte{19}, codec.NewOpusHead())
	return append(b, page(0, serial, []byte{byte(len(tags))}, []byte(tags))...)
}

// TestPages reads packets that span pages, with another stream between them, and packets without start or end.
func TestPages(t *testing.T) {
	long := append([]byte{0xF8}, bytes.Repeat([]byte{7}, 599)...) // 255 + 255 + 90
	file := headers(1)
	file = append(file, page(0, 1, []byte{2, 255, 255}, append([]byte{0xF8, 1}, long[:510]...))...)
	file = append(file, page(flagFirst, 2, []byte{3}, []byte("abc"))...)
	file = append(file, page(flagContinued, 1, []byte{90, 0, 2}, append(bytes.Clone(long[510:]), 0xF8, 2))...)
	// A packet whose start is missing, and one whose end is.
	file = append(file, page(flagContinued, 1, []byte{5, 2, 255}, append([]byte("tail.\xF8\x03"), make([]byte, 255)...))...)
	file = append(file, page(flagLast, 1, []byte{2}, []byte{0xF8, 4})...)
	file = append(file, page(0, 1, []byte{2}, []byte{0xF8, 5})...) // after the end
	_, all := mediatest.Demux(t, NewDemuxer, file)
	want := [][]byte{{0xF8, 1}, long, {0xF8, 2}, {0xF8, 3}, {0xF8, 4}}
	if len(all) != len(want) {
		t.Fatalf("%d packets", len(all))
	}
	for i, s := range all {
		if !bytes.Equal(s.Data, want[i]) {
			t.Errorf("packet %d is % x", i, s.Data)
		}
	}
	broken := bytes.Clone(file)
	broken[len(broken)-40]++
	d, err := newTestDemuxer(broken)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = d.Next()
	}
	if !strings.Contains(err.Error(), "its checksum does not match") {
		t.Errorf("error is %v", err)
	}
}

func FuzzDemuxer(f *testing.F) {
	f.Add(append(headers(1), page(flagLast, 1, []byte{2, 3}, []byte("\xF8\x01\xFB\x03\x01"))...))
	f.Add(append(headers(1), page(0, 1, []byte{255, 255}, make([]byte, 510))...))
	f.Add(page(flagFirst, 9, []byte{8}, []byte("OpusHead")))
	f.Fuzz(func(t *testing.T, data []byte) {
		mediatest.FuzzDemuxer(t, NewDemuxer, data)
		mediatest.FuzzDemuxer(t, NewDemuxer, fixChecksums(data))
	})
}

// fixChecksums sets the checksum of each page, without which no input gets past the first page.
func fixChecksums(data []byte) []byte {
	data = bytes.Clone(data)
	for rest := data; len(rest) > pageHeaderSize; {
		end := pageHeaderSize + int(rest[26])
		if len(rest) < end {
			break
		}
		for _, segment := range rest[pageHeaderSize:end] {
			end += int(segment)
		}
		if len(rest) < end {
			break
		}
		clear(rest[22:26])
		binary.LittleEndian.PutUint32(rest[22:], updateCRC(crcTable(), 0, rest[:end]))
		rest = rest[end:]
	}
	return data
}
