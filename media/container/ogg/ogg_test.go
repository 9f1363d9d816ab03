package ogg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// TestPages reads packets that span pages, with another stream between them, and packets without start or end.
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

// TestOtherCodec reports the codec of a stream that cannot be sent before the stream ends.
func TestOtherCodec(t *testing.T) {
	for name, options := range map[string][]string{
		"Vorbis": {"-c:a", "libvorbis"}, "FLAC": {"-c:a", "flac"}, "Speex": {"-c:a", "libspeex", "-ar", "16000"},
	} {
		tracks, err := tracks(input(readFile(t, mediatest.Clip(t, name+".ogg", options...)), errors.New("read on")))
		want := `codec "` + name + `" cannot be sent; convert it: ffmpeg -i FILE -c:v libvpx -b:v 1M -c:a libopus OUT.webm`
		if err != nil || len(tracks) != 1 || tracks[0].Err == nil || tracks[0].Err.Error() != want {
			t.Errorf("%s: tracks are %+v, error is %v", name, tracks, err)
		}
	}
	video := filepath.Join(t.TempDir(), "video.ogg")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1",
		"-c:v", "libtheora", "-c:a", "libvorbis", video)
	tracks, err := tracks(input(readFile(t, video), errors.New("read on")))
	if err != nil || len(tracks) != 2 || tracks[0].Codec.MimeType != "video/Theora" || tracks[1].Codec.MimeType != "audio/Vorbis" ||
		!strings.Contains(tracks[0].Err.Error(), `codec "Theora" cannot be sent`) {
		t.Errorf("tracks are %+v, error is %v", tracks, err)
	}
}

func tracks(in media.Input) ([]media.Track, error) {
	d, err := NewDemuxer(in)
	if err != nil {
		return nil, err
	}
	return d.Tracks(), nil
}

// TestLongTags reads a file with cover art.
func TestLongTags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cover.ogg")
	mediatest.FFmpeg(t, "-i", mediatest.Clip(t, "plain.ogg", "-c:a", "libopus"), "-c", "copy",
		"-metadata", "METADATA_BLOCK_PICTURE="+strings.Repeat("A", 90_000), path)
	if _, all := mediatest.Demux(t, NewDemuxer, readFile(t, path)); len(all) != 101 {
		t.Errorf("%d packets, want 101", len(all))
	}
}

// TestMappingFamily reads what a mapping table assigns to one stereo or mono stream, and refuses more channels.
func TestMappingFamily(t *testing.T) {
	for _, channels := range []string{"1", "2"} {
		path := mediatest.Clip(t, "family.ogg", "-c:a", "libopus", "-mapping_family", "1", "-ac", channels)
		if _, all := mediatest.Demux(t, NewDemuxer, readFile(t, path)); len(all) != 101 {
			t.Errorf("%s channels: %d packets, want 101", channels, len(all))
		}
	}
	tracks, err := tracks(input(readFile(t, mediatest.Clip(t, "surround.ogg", "-c:a", "libopus", "-ac", "6")), errors.New("read on")))
	if err != nil || len(tracks) != 1 || tracks[0].Err == nil ||
		tracks[0].Err.Error() != "the Opus stream has 6 channels; want 1 or 2; convert it: ffmpeg -i FILE -ac 2 -c:a libopus OUT.ogg" {
		t.Errorf("tracks are %+v, error is %v", tracks, err)
	}
}

// TestChain reads all links of a chained file, whose time goes on.
func TestChain(t *testing.T) {
	mono := readFile(t, mediatest.Clip(t, "mono.ogg", "-c:a", "libopus"))
	stereo := readFile(t, mediatest.Clip(t, "stereo.ogg", "-c:a", "libopus", "-ac", "2", "-t", "1"))
	film := filepath.Join(t.TempDir(), "film.ogg")
	mediatest.FFmpeg(t, "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1",
		"-c:v", "libtheora", "-c:a", "libopus", film)
	open := bytes.Clone(mono) // without the flag of the last page
	last := bytes.LastIndex(open, []byte("OggS"))
	open[last+5] &^= ogg.PageFlagEOS
	open = fixChecksums(open)
	for name, test := range map[string]struct {
		data []byte
		want int
	}{
		"two":            {slices.Concat(mono, stereo), 101 + 51},
		"the same twice": {slices.Concat(mono, mono), 202},
		"no last page":   {slices.Concat(open, stereo, open), 101 + 51 + 101},
		"with video":     {slices.Concat(readFile(t, film), mono, readFile(t, film)), 51 + 101 + 51},
	} {
		_, all := mediatest.Demux(t, NewDemuxer, test.data)
		if len(all) != test.want {
			t.Errorf("%s: %d packets, want %d", name, len(all), test.want)
		}
		for i, s := range all {
			if s.Time != uint64(i)*960 {
				t.Errorf("%s: packet %d is at %d", name, i, s.Time)
				break
			}
		}
	}

	data := slices.Concat(mono, readFile(t, mediatest.Clip(t, "vorbis.ogg", "-c:a", "libvorbis")))
	_, all, err := mediatest.Read(NewDemuxer, input(data, errors.New("read on")))
	if len(all) != 101 || err == nil || !strings.Contains(err.Error(), `chained stream 2: codec "Vorbis" cannot be sent`) {
		t.Errorf("%d packets, then %v", len(all), err)
	}
}

// TestPreSkip discards the packets of each link that a decoder would discard whole (RFC 7845 section 4.2).
func TestPreSkip(t *testing.T) {
	link := readFile(t, mediatest.Clip(t, "mono.ogg", "-c:a", "libopus"))
	head := bytes.Index(link, []byte("OpusHead"))
	binary.LittleEndian.PutUint16(link[head+10:], 3840+312)
	link = fixChecksums(link)
	_, all := mediatest.Demux(t, NewDemuxer, slices.Concat(link, link))
	if len(all) != 2*(101-4) || all[0].Time != 0 || all[97].Time != 97*960 {
		t.Errorf("%d packets, want %d", len(all), 2*(101-4))
	}
}

// TestTrailingData ends at what follows the last page.
func TestTrailingData(t *testing.T) {
	for _, tail := range []string{"TAG", "TAG" + strings.Repeat("\x00", 125)} {
		warnings := 0
		in := input(append(readFile(t, mediatest.Clip(t, "mono.ogg", "-c:a", "libopus")), tail...), io.EOF)
		in.Warn = func(string) { warnings++ }
		if _, all, err := mediatest.Read(NewDemuxer, in); len(all) != 101 || err != nil || warnings != 1 {
			t.Errorf("%d packets, then %v, %d warnings", len(all), err, warnings)
		}
	}
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
