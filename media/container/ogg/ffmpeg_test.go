//go:build !quick

package ogg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thesyncim/gopus/container/ogg"

	"parley/media/internal/mediatest"
)

// TestDemuxFFmpeg reads all packets of real files, with many packets to a page and beside a video
// stream.
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

// TestLongTags reads a file with cover art.
func TestLongTags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cover.ogg")
	mediatest.FFmpeg(t, "-i", mediatest.Clip(t, "plain.ogg", "-c:a", "libopus"), "-c", "copy",
		"-metadata", "METADATA_BLOCK_PICTURE="+strings.Repeat("A", 90_000), path)
	if _, all := mediatest.Demux(t, NewDemuxer, readFile(t, path)); len(all) != 101 {
		t.Errorf("%d packets, want 101", len(all))
	}
}

// TestMappingFamily reads what a mapping table assigns to one stereo or mono stream, and refuses
// more channels.
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

// TestPreSkip discards the packets of each link that a decoder would discard whole (RFC 7845
// section 4.2).
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
