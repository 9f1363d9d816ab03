package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"parley/media"
	"parley/media/internal/mediatest"
)

// input returns the input of a demuxer that reads data.
func input(data []byte) media.Input {
	return media.Input{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Warn: func(string) {}}
}

// demux returns all samples of all tracks of a file, up to an error.
func demux(data []byte) (tracks []media.Track, samples []media.Sample, err error) {
	d, err := NewDemuxer(input(data))
	if err != nil {
		return nil, nil, err
	}
	var all []int
	for i, t := range d.Tracks() {
		if t.Err != nil {
			return nil, nil, t.Err
		}
		all = append(all, i)
	}
	if err := d.Select(all...); err != nil {
		return nil, nil, err
	}
	for {
		s, err := d.Next()
		if errors.Is(err, io.EOF) {
			return d.Tracks(), samples, nil
		}
		if err != nil {
			return d.Tracks(), samples, err
		}
		s.Data = bytes.Clone(s.Data)
		samples = append(samples, s)
	}
}

// TestHostile: an index that claims what cannot be is refused.
func TestHostile(t *testing.T) {
	good, err := os.ReadFile(mediatest.Clip(t, "a.mp4", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-movflags", "faststart"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind string) int { return bytes.Index(good, []byte(kind)) + 4 }
	patched := func(place int, value uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[place:], value)
		return b
	}
	for want, file := range map[string][]byte{
		"claims 4294967295 frames":                patched(at("stsz")+8, 1<<32-1),
		"does not say where its frames are":       bytes.Replace(good, []byte("stco"), []byte("free"), 1),
		"frame 1: it claims 2147483648 bytes":     patched(at("stsz")+12, 1<<31),
		"frame 1: the file is cut off":            patched(at("stco")+8, uint32(len(good)-1)), //nolint:gosec // small
		"a timescale of 0":                        patched(at("mdhd")+12, 0),
		"does not say how it is encoded":          patched(at("stsd")+8, 7),
		"box \"moov\" claims":                     patched(at("moov")-8, 4),
		"the file is cut off in box \"moov\"":     patched(at("moov")-8, 1<<30),
		"time jumps by more than an hour":         patched(at("stts")+12, 1<<31),
		"there is no index (moov)":                bytes.Replace(good, []byte("moov"), []byte("free"), 1),
		"codec \"evil\" cannot be sent":           bytes.ReplaceAll(good, []byte("vp09"), []byte("evil")),
		"cut off in the header of a box":          append([]byte("\x00\x00\x00\x0cftypisom"), 0, 0, 0),
		"box \"ftyp\" claims 4611686018427387905": append([]byte("\x00\x00\x00\x01ftyp\x40\x00\x00\x00\x00\x00\x00\x01"), 0, 0, 0),
	} {
		if _, _, err := demux(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// FuzzDemuxer: whatever is in a file, times never go back, and no frame is empty.
func FuzzDemuxer(f *testing.F) {
	for _, options := range [][]string{{"-movflags", "faststart"}, {"-movflags", "frag_keyframe+empty_moov"}} {
		data, err := os.ReadFile(mediatest.Clip(f, "fuzz.mp4", append([]string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-s", "16x16", "-t", "0.2"}, options...)...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tracks, samples, err := demux(data)
		if err != nil && err.Error() == "" {
			t.Fatal("an error says nothing")
		}
		last := make([]uint64, len(tracks))
		for i, s := range samples {
			if len(s.Data) == 0 || s.Time < last[s.Track] {
				t.Fatalf("sample %d has %d bytes at %d after %d", i, len(s.Data), s.Time, last[s.Track])
			}
			last[s.Track] = s.Time
		}
	})
}
