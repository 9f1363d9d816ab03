package ogg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/thesyncim/gopus/container/ogg"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// input returns the input of a pipe, which fails with err after data.
func input(data []byte, err error) media.Input {
	return media.Input{Reader: bufio.NewReader(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(err))), Warn: func(string) {}}
}

// page returns a page with a valid checksum.
func page(flags byte, serial uint32, segments []byte, body []byte) []byte {
	p := ogg.Page{HeaderType: flags, SerialNumber: serial, Segments: segments, Payload: body}
	return p.Encode()
}

// headers returns the two header pages of an Opus stream.
func headers(serial uint32) []byte {
	tags := "OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"
	b := page(ogg.PageFlagBOS, serial, []byte{19}, codec.NewOpusHead())
	return append(b, page(0, serial, []byte{byte(len(tags))}, []byte(tags))...)
}

// TestPages reads packets that span pages, with another stream between them, and packets without
// start or end.
func TestPages(t *testing.T) {
	long := append([]byte{0xF8}, bytes.Repeat([]byte{7}, 599)...) // 255 + 255 + 90
	file := headers(1)
	file = append(file, page(0, 1, []byte{2, 255, 255}, append([]byte{0xF8, 1}, long[:510]...))...)
	file = append(file, page(ogg.PageFlagBOS, 2, []byte{3}, []byte("abc"))...)
	file = append(file, page(ogg.PageFlagContinuation, 1, []byte{90, 0, 2}, append(bytes.Clone(long[510:]), 0xF8, 2))...)
	// A packet whose start is missing, and one whose end is.
	file = append(file, page(ogg.PageFlagContinuation, 1, []byte{5, 2, 255}, append([]byte("tail.\xF8\x03"), make([]byte, 255)...))...)
	file = append(file, page(ogg.PageFlagEOS, 1, []byte{2}, []byte{0xF8, 4})...)
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
	if _, _, err := mediatest.Read(NewDemuxer, input(broken, io.EOF)); err == nil || !strings.Contains(err.Error(), "its checksum does not match") {
		t.Errorf("error is %v", err)
	}
}

func tracks(in media.Input) ([]media.Track, error) {
	d, err := NewDemuxer(in)
	if err != nil {
		return nil, err
	}
	return d.Tracks(), nil
}

// TestInvalidStream reports what no Ogg stream of Opus contains.
func TestInvalidStream(t *testing.T) {
	good := headers(1)
	var many []byte
	for i := range uint32(100) {
		many = append(many, page(ogg.PageFlagBOS, i, []byte{3}, []byte("abc"))...)
	}
	twice := bytes.Repeat(page(ogg.PageFlagBOS, 1, []byte{3}, []byte("abc")), 2)
	for want, data := range map[string][]byte{
		"page 1: not a header page":                           page(0, 1, []byte{2}, []byte{0xF8, 1}),
		"page 2: capture pattern":                             append(page(ogg.PageFlagBOS, 2, []byte{19}, codec.NewOpusHead()), "hello, world, how are you today?"...),
		"page 2: invalid OpusTags":                            append(page(ogg.PageFlagBOS, 1, []byte{19}, codec.NewOpusHead()), page(0, 1, []byte{9}, []byte("some tags"))...),
		"page 4: OpusTags is missing":                         slices.Concat(page(ogg.PageFlagBOS, 1, []byte{19}, codec.NewOpusHead()), page(0, 2, nil, nil), page(ogg.PageFlagBOS, 1, []byte{19}, codec.NewOpusHead()), page(0, 2, nil, nil)),
		"the file is cut off in page 2":                       good[:len(good)-1],
		"no known codec in the Ogg stream":                    append(page(ogg.PageFlagBOS, 1, []byte{3}, []byte("abc")), page(0, 1, []byte{3}, []byte("abc"))...),
		"page 3: invalid Opus packet":                         append(headers(1), page(0, 1, []byte{1}, []byte{0xFB})...),
		"page 3: a packet is longer than 61440 bytes":         slices.Concat(headers(1), page(0, 1, bytes.Repeat([]byte{255}, 255), make([]byte, 255*255)), page(ogg.PageFlagContinuation, 1, []byte{255}, make([]byte, 255))),
		"the Ogg stream has more than 64 multiplexed streams": many,
		"two multiplexed streams have the serial number 1":    twice,
	} {
		if _, _, err := mediatest.Read(NewDemuxer, input(data, io.EOF)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func FuzzDemuxer(f *testing.F) {
	f.Add(append(headers(1), page(ogg.PageFlagEOS, 1, []byte{2, 3}, []byte("\xF8\x01\xFB\x03\x01"))...))
	f.Add(append(headers(1), page(0, 1, []byte{255, 255}, make([]byte, 510))...))
	f.Add(page(ogg.PageFlagBOS, 9, []byte{8}, []byte("OpusHead")))
	f.Fuzz(func(t *testing.T, data []byte) {
		mediatest.FuzzDemuxer(t, NewDemuxer, data)
		mediatest.FuzzDemuxer(t, NewDemuxer, fixChecksums(data))
	})
}

// fixChecksums sets the checksum of each page, without which no input gets past the first page.
func fixChecksums(data []byte) []byte {
	data = bytes.Clone(data)
	for rest := data; len(rest) > pageHeaderSize; {
		body := pageHeaderSize + int(rest[26])
		if len(rest) < body {
			break
		}
		end := body
		for _, segment := range rest[pageHeaderSize:body] {
			end += int(segment)
		}
		if len(rest) < end {
			break
		}
		p := ogg.Page{Segments: rest[pageHeaderSize:body], Payload: rest[body:end]}
		p.Version, p.HeaderType, p.GranulePos = rest[4], rest[5], binary.LittleEndian.Uint64(rest[6:])
		p.SerialNumber, p.PageSequence = binary.LittleEndian.Uint32(rest[14:]), binary.LittleEndian.Uint32(rest[18:])
		copy(rest, p.Encode())
		rest = rest[end:]
	}
	return data
}
