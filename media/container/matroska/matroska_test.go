package matroska

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"testing"

	"parley/media"
	"parley/media/internal/mediatest"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// element returns an element with this content.
func element(id uint32, content ...byte) []byte {
	return append(appendSize(appendID(nil, id), int64(len(content))), content...)
}

// open returns the start of an element of unknown size.
func open(id uint32) []byte { return appendUnknownSize(appendID(nil, id)) }

// file returns the start of a file with a track of VP8, and what follows it. entry is added to the
// track.
func file(entry []byte, more ...[]byte) []byte {
	track := bytes.Join([][]byte{element(idTrackNumber, 1), element(idTrackType, 1), element(idCodecID, []byte("V_VP8")...), entry}, nil)
	return bytes.Join(append([][]byte{element(idEBML), open(idSegment), element(idTracks, element(idTrackEntry, track...)...)}, more...), nil)
}

// TestHostile: sizes and times that cannot be are refused.
func TestHostile(t *testing.T) {
	cluster := open(idCluster)
	block := element(idSimpleBlock, 0x81, 0, 0, 0x80, 1, 2, 3)
	huge := appendSize(appendID(nil, idSimpleBlock), 1<<40)
	tracks := append(element(idEBML), appendID(nil, idTracks)...)
	for want, data := range map[string][]byte{
		"":                                      file(nil, cluster, block),
		"the file is cut off before the":        file(nil),
		"block 1 claims 1099511627776 bytes":    file(nil, cluster, huge, []byte{0x81}),
		"no tracks before the first cluster":    append(element(idEBML), cluster...),
		"the header claims 1099511627776 bytes": appendSize(bytes.Clone(tracks), 1<<40),
		"the header claims an unknown size":     appendUnknownSize(bytes.Clone(tracks)),
		"invalid element size":                  file(nil, open(idVoid)),
		"invalid TimestampScale in the Matroska file: got 0 ns": file(nil, element(idInfo, element(idTimestampScale, 0)...), cluster, block),
		"block 2: time goes back":                               file(nil, cluster, element(idTimestamp, 9), block, element(idTimestamp, 8), block),
		"block 2: time jumps by more than an hour":              file(nil, cluster, block, element(idTimestamp, 1, 0, 0, 0), block),
		"block 1: frame sizes exceed the block":                 file(nil, cluster, element(idSimpleBlock, 0x81, 0, 0, 0x86, 9, 0xFF)),
		"block 2: frame sizes exceed the block":                 file(nil, cluster, block, element(idSimpleBlock, 0x81, 0, 0, 0x82, 1, 0xFF, 0xFF, 1)),
	} {
		_, _, err := mediatest.TryDemux(NewDemuxer, data, true)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	tracks1, _, _ := mediatest.TryDemux(NewDemuxer, file(element(idContentEncodings, 1), cluster, block), true)
	if err := tracks1[0].Err; err == nil || !strings.Contains(err.Error(), "compressed or encrypted") {
		t.Errorf("error of an encrypted track is %v", err)
	}
}

// TestLacing: all three ways in which a block holds several frames.
func TestLacing(t *testing.T) {
	a, b, c := bytes.Repeat([]byte{1}, 300), bytes.Repeat([]byte{2}, 200), bytes.Repeat([]byte{3}, 7)
	all := bytes.Join([][]byte{a, b, c}, nil)
	for name, test := range map[string]struct {
		lacing byte
		head   []byte
	}{
		"xiph": {1, []byte{2, 255, 45, 200}},
		"ebml": {3, []byte{2, 0x41, 0x2C, 0x5F, 0x9B}}, // 300, and -100
	} {
		got, err := unlace(test.lacing, append(bytes.Clone(test.head), all...))
		if err != nil || len(got) != 3 || !bytes.Equal(got[0], a) || !bytes.Equal(got[1], b) || !bytes.Equal(got[2], c) {
			t.Errorf("%s: %d frames, %v", name, len(got), err)
		}
	}
	if got, err := unlace(2, append([]byte{2}, a...)); err != nil || len(got) != 3 || len(got[2]) != 100 {
		t.Errorf("fixed: %d frames, %v", len(got), err)
	}
	if _, err := unlace(2, append([]byte{6}, a...)); err == nil {
		t.Error("300 bytes are not 7 frames of one size")
	}
}

// TestManyTracks: neither the number of tracks nor the size of what they hold is out of bounds.
func TestManyTracks(t *testing.T) {
	entry := element(idTrackEntry, append(element(idTrackType, 1), element(idCodecPrivate, make([]byte, 1<<20)...)...)...)
	entries := bytes.Repeat(element(idTracks, entry...), 200)
	d, err := NewDemuxer(media.Input{Reader: bufio.NewReader(bytes.NewReader(file(nil, entries, open(idCluster))))})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.Tracks()); n != maxTracks {
		t.Errorf("%d tracks, want %d", n, maxTracks)
	}
	if n := len(d.(*demuxer).tracks[maxTracks-1].private); n != maxCodecPrivate {
		t.Errorf("CodecPrivate of %d bytes, want %d", n, maxCodecPrivate)
	}
}

// clip returns a file that ffmpeg encodes.
func clip(t *testing.T, name string, options ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(mediatest.Clip(t, name, options...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// chromiumFile returns a file as MediaRecorder of Chromium writes H.264: without CodecPrivate, with
// byte streams in its blocks.
func chromiumFile(samples ...media.Sample) []byte {
	entry := bytes.Join([][]byte{element(idTrackNumber, 1), element(idTrackType, 1), element(idCodecID, []byte("V_MPEG4/ISO/AVC")...)}, nil)
	b := bytes.Join([][]byte{element(idEBML), open(idSegment), element(idTracks, element(idTrackEntry, entry...)...), open(idCluster), element(idTimestamp, 0)}, nil)
	for _, s := range samples {
		at := uint16(s.Time * 1000 / media.VideoClockRate) //nolint:gosec // small
		b = append(b, element(idSimpleBlock, append([]byte{0x81, byte(at >> 8), byte(at), 0}, s.Data...)...)...)
	}
	return b
}

// TestOneFrame: a frame that is alone lasts as long as its track says (DefaultDuration), or 1/30 s,
// so that a loop does not send it at once again.
func TestOneFrame(t *testing.T) {
	for want, entry := range map[uint64][]byte{3000: nil, 45000: element(idDefaultDuration, 0x1D, 0xCD, 0x65, 0x00)} {
		_, samples := mediatest.Demux(t, NewDemuxer, file(entry, open(idCluster), element(idSimpleBlock, 0x81, 0, 0, 0x80, 1)))
		if len(samples) != 1 || samples[0].Duration != want {
			t.Errorf("samples are %+v, want one of %d", samples, want)
		}
	}
}

// TestPaddedCodecID: a codec ID may be padded with zeros, as GStreamer writes it.
func TestPaddedCodecID(t *testing.T) {
	entry := append(element(idTrackType, 1), element(idCodecID, []byte("V_VP8\x00")...)...)
	tracks, samples := mediatest.Demux(t, NewDemuxer, bytes.Join([][]byte{element(idTracks, element(idTrackEntry, entry...)...),
		open(idCluster), element(idSimpleBlock, 0x80, 0, 0, 0x80, 1)}, nil))
	if len(tracks) != 1 || tracks[0].Codec.MimeType != "video/VP8" || tracks[0].Err != nil || len(samples) != 1 {
		t.Errorf("tracks %+v, %d samples", tracks, len(samples))
	}
}

func FuzzDemuxer(f *testing.F) {
	f.Add(file(nil, open(idCluster), element(idTimestamp, 9), element(idSimpleBlock, 0x81, 0, 0, 0x80, 1, 2, 3)))
	f.Add(file(nil, element(idCluster, element(idBlockGroup, element(idBlock, 0x81, 0, 1, 0x06, 2, 0x81, 0xBF, 1, 2, 3)...)...)))
	f.Add(file(nil, open(idCluster), element(idSimpleBlock, 0x81, 0, 0, 0x82, 1, 1, 2, 3)))
	f.Add(bytes.Join([][]byte{element(idTracks, element(idTrackEntry, append(element(idTrackType, 1), element(idCodecID, []byte("V_MPEG4/ISO/AVC")...)...)...)...),
		open(idCluster), element(idSimpleBlock, []byte("\x80\x00\x00\x00\x00\x00\x01\x67\x42\xc0\x0a\xda\x0a\x11\xff\x97\x00\x00\x01\x65\x88")...)}, nil))
	f.Fuzz(func(t *testing.T, data []byte) { mediatest.FuzzDemuxer(t, NewDemuxer, data) })
}
