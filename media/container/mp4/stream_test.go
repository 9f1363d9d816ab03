//go:build !quick

package mp4

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"
)

// pipe returns the input of a stream that can only be read once.
func pipe(r io.Reader) media.Input {
	return media.Input{Reader: bufio.NewReader(r), Warn: func(string) {}}
}

// variants returns files of every layout in which ffmpeg and others write a film of video and Opus.
func variants(t *testing.T) map[string][]byte {
	t.Helper()
	path := film(t)
	all := map[string][]byte{
		"plain":         load(t, path),
		"smooth":        convert(t, "a.ismv", "-i", path, "-c", "copy", "-an", "-f", "ismv"),
		"pre-roll":      convert(t, "a.mp4", "-ss", "2.6", "-i", path, "-c", "copy"),
		"empty edit":    convert(t, "a.mp4", "-itsoffset", "0.5", "-i", path, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", "-movflags", "frag_keyframe+delay_moov"),
		"constant ctts": convert(t, "a.mp4", "-i", path, "-c", "copy", "-bsf:v", "setts=pts=PTS+3*512:dts=DTS", "-movflags", "frag_keyframe+delay_moov"),
		"fast pre-roll": convert(t, "a.mp4", "-ss", "2.6", "-i", path, "-c", "copy", "-movflags", "faststart"),
		"pre-roll cmaf": convert(t, "a.mp4", "-ss", "2.6", "-i", path, "-c", "copy", "-movflags", "frag_keyframe+delay_moov"),
		"short audio":   convert(t, "a.mp4", "-i", path, "-t", "1.5", "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", "-movflags", "faststart"),
		"short video":   convert(t, "a.mp4", "-t", "1.5", "-i", path, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", "-movflags", "frag_keyframe+empty_moov"),
		"half a second": convert(t, "a.mp4", "-i", path, "-c", "copy", "-frag_duration", "500000", "-movflags", "empty_moov+default_base_moof"),
		"without tfdt":  bytes.ReplaceAll(load(t, film(t, "-movflags", "frag_keyframe+empty_moov")), []byte("tfdt"), []byte("free")),
		"VP9":           load(t, mediatest.Clip(t, "v.mp4", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-movflags", "frag_keyframe+empty_moov")),
		"reordered SPS": load(t, mediatest.Clip(t, "r.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "1", "-movflags", "frag_every_frame+empty_moov")),
		"moov at end":   convert(t, "a.mp4", "-i", path, "-c", "copy", "-an"),
	}
	for _, flags := range []string{
		"faststart", "frag_keyframe", "frag_keyframe+empty_moov", "frag_keyframe+delay_moov", "frag_keyframe+empty_moov+default_base_moof",
		"frag_keyframe+empty_moov+separate_moof", "frag_keyframe+empty_moov+omit_tfhd_offset", "frag_keyframe+empty_moov+negative_cts_offsets",
		"frag_every_frame", "frag_every_frame+empty_moov+default_base_moof", "frag_every_frame+delay_moov", "dash+delay_moov", "cmaf", "cmaf+delay_moov",
		"frag_keyframe+empty_moov+default_base_moof+global_sidx",
	} {
		all[flags] = convert(t, "a.mp4", "-i", path, "-c", "copy", "-movflags", flags)
	}
	head, parts := fragments(t, all["frag_keyframe+empty_moov+default_base_moof"])
	all["joined mid-stream"] = slices.Concat(head, slices.Concat(parts[2:]...))
	all["restarted"] = slices.Concat(head, parts[0], parts[1], parts[0], parts[1])
	head, parts = fragments(t, all["cmaf+delay_moov"])
	all["joined cmaf"] = slices.Concat(head, slices.Concat(parts[1:]...))
	return all
}

// TestPipe reads the same samples from a pipe as from a file, in the same order of each track.
func TestPipe(t *testing.T) {
	for name, data := range variants(t) {
		tracks, file, err := mediatest.TryDemux(NewDemuxer, data, true)
		if err != nil || len(file) < 30 {
			t.Fatalf("%s: %d samples of the file, %v", name, len(file), err)
		}
		for reader, r := range map[string]io.Reader{"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data))} {
			_, got, err := mediatest.Read(NewDemuxer, pipe(r))
			if err != nil {
				t.Errorf("%s, %s: %v", name, reader, err)
				continue
			}
			for i := range tracks {
				of := func(s media.Sample) bool { return s.Track != i }
				a, b := slices.DeleteFunc(slices.Clone(file), of), slices.DeleteFunc(slices.Clone(got), of)
				if !slices.EqualFunc(a, b, sameSample) {
					t.Errorf("%s, %s: track %d has %d samples that differ from the %d of the file", name, reader, i, len(b), len(a))
				}
			}
			last := time.Duration(0)
			for _, s := range got {
				if now := at(tracks[s.Track], s); now < last-time.Millisecond {
					t.Errorf("%s, %s: a sample of track %d at %v comes after one at %v", name, reader, s.Track, now, last)
				}
				last = max(last, at(tracks[s.Track], s))
			}
		}
	}
}

func sameSample(a, b media.Sample) bool {
	return a.Time == b.Time && a.Duration == b.Duration && bytes.Equal(a.Data, b.Data)
}

// errStop is the error of a stream that has no more bytes for now.
var errStop = errors.New("stop")

// TestPipeDelivers returns the samples of a fragment before the next one arrives, as far as their
// order is known, and reads no byte that it does not need.
func TestPipeDelivers(t *testing.T) {
	for flags, least := range map[string][]int{
		"frag_keyframe+empty_moov+default_base_moof":    {0, 25, 50, 75},
		"frag_every_frame+empty_moov+default_base_moof": {0, 0, 0, 0, 0, 2},
	} {
		head, parts := fragments(t, load(t, film(t, "-movflags", flags)))
		for n, want := range least {
			data := slices.Concat(head, slices.Concat(parts[:n]...))
			_, samples, err := mediatest.Read(NewDemuxer, pipe(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errStop))))
			video := 0
			for _, s := range samples {
				if s.Track == 0 {
					video++
				}
			}
			if !errors.Is(err, errStop) || video < want {
				t.Errorf("%s: %d frames of %d fragments, want %d; error is %v", flags, video, n, want, err)
			}
		}
	}
}

// TestPipeMemory reads a long stream: of it no more is kept than the fragment that is read.
func TestPipeMemory(t *testing.T) {
	head, parts := fragments(t, load(t, film(t, "-movflags", "frag_keyframe+empty_moov+default_base_moof")))
	parts = parts[:3] // without the index of random access
	largest := 0
	for _, p := range parts {
		largest = max(largest, len(p))
	}
	readers := []io.Reader{bytes.NewReader(head)}
	for range 200 {
		for _, p := range parts {
			readers = append(readers, bytes.NewReader(p))
		}
	}
	d, err := NewDemuxer(pipe(io.MultiReader(readers...)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Select(0, 1); err != nil {
		t.Fatal(err)
	}
	n, most := 0, 0
	for ; err == nil; n++ {
		_, err = d.Next()
		most = max(most, cap(d.(*demuxer).file.(*stream).data))
	}
	if !errors.Is(err, io.EOF) || n < 200*3*(25+48) || most > 4*largest {
		t.Errorf("%d samples, %d bytes are kept of fragments of %d: %v", n, most, largest, err)
	}
}

// TestPipeTruncated reads streams that are cut off anywhere: the frames up to there are those of
// the file.
func TestPipeTruncated(t *testing.T) {
	for _, flags := range []string{"faststart", "frag_keyframe", "frag_every_frame+empty_moov", "cmaf+delay_moov"} {
		data := load(t, film(t, "-movflags", flags))
		for cut := 1; cut < len(data); cut += 1 + cut/20 {
			_, file, fileErr := mediatest.TryDemux(NewDemuxer, data[:cut], true)
			_, got, err := mediatest.TryDemux(NewDemuxer, data[:cut], false)
			if (err == nil) != (fileErr == nil) || err != nil && media.IsTruncated(err) != media.IsTruncated(fileErr) {
				t.Errorf("%s cut off at %d of %d bytes: error is %v, that of the file %v", flags, cut, len(data), err, fileErr)
			}
			if d := len(file) - len(got); max(d, -d) > 3 { // the order of the tracks differs at the end
				t.Errorf("%s cut off at %d of %d bytes: %d samples, %d of the file", flags, cut, len(data), len(got), len(file))
			}
		}
	}
}

// TestPipeBFrames refuses B-frames before the first sample.
func TestPipeBFrames(t *testing.T) {
	for _, flags := range []string{"faststart", "frag_keyframe", "frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "dash+delay_moov"} {
		data := load(t, mediatest.Clip(t, "b.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-b_strategy", "0", "-movflags", flags))
		tracks, samples, err := mediatest.TryDemux(NewDemuxer, data, false)
		if len(tracks) == 1 && tracks[0].Err != nil {
			err = tracks[0].Err
		}
		if !errors.Is(err, codec.ErrBFrames) || len(samples) > 0 {
			t.Errorf("%s: %d samples, error is %v", flags, len(samples), err)
		}
	}
}

// TestPipeOrder refuses streams whose samples come too far from their index, or from those of the
// other track, with the command that writes them in another order, and without reading on.
func TestPipeOrder(t *testing.T) {
	head, parts := fragments(t, load(t, film(t, "-an", "-movflags", "frag_keyframe+empty_moov+default_base_moof")))
	fast := load(t, film(t, "-movflags", "faststart"))
	far := bytes.Clone(fast)
	stco := bytes.LastIndex(far, []byte("stco")) + 12 // first chunk of the audio
	binary.BigEndian.PutUint32(far[stco:], maxKept+1<<20)
	back := bytes.Clone(fast)
	stco = bytes.Index(back, []byte("stco")) + 12 // first chunk of the video
	binary.BigEndian.PutUint32(back[stco:], 8)
	moof := int(binary.BigEndian.Uint32(parts[0]))
	before := slices.Clone(parts[0])
	trun := bytes.Index(before, []byte("trun")) + 12
	binary.BigEndian.PutUint32(before[trun:], uint32(0x100000000-moof)) //nolint:gosec // -moof
	before = slices.Concat(head, parts[0][moof:], before[:moof], box("mdat", []byte{0}))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"large mdat before moov": {slices.Concat(head[:bytes.Index(head, []byte("moov"))-4], be32(maxKept+1<<20), []byte("mdat")), "-movflags frag_keyframe+empty_moov"},
		"tracks apart":           {far, "-movflags frag_keyframe+empty_moov"},
		"samples before moov":    {back, "-movflags frag_keyframe+empty_moov"},
		"mdat before moof":       {before, "-movflags frag_keyframe+empty_moov"},
		"no init segment":        {parts[1], "a fragment before its index (moov)"},
	} {
		_, _, err := mediatest.Read(NewDemuxer, pipe(io.MultiReader(bytes.NewReader(test.data), iotest.ErrReader(errStop))))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %q", name, err, test.want)
		}
	}
}

// TestPipeClaims reads boxes that claim more than the stream has: no memory is taken for it.
func TestPipeClaims(t *testing.T) {
	head, _ := fragments(t, load(t, film(t, "-an", "-movflags", "frag_keyframe+empty_moov+default_base_moof")))
	claim := func(kind string, size uint32) []byte { return append(be32(size), kind...) }
	trun := fullBox("trun", 0, 0x201, be32(1, 0, media.MaxFrameSize))
	sample := box("moof", box("traf", fullBox("tfhd", 0, 0x20000, be32(1)), trun))
	for name, data := range map[string][]byte{
		"moov":   slices.Concat(box("ftyp", []byte("isom")), claim("moov", maxMoov)),
		"moof":   slices.Concat(head, claim("moof", maxMoof)),
		"free":   slices.Concat(head, claim("free", 1<<31)),
		"mdat":   slices.Concat(box("ftyp", []byte("isom")), claim("mdat", 0)),
		"sample": slices.Concat(head, sample, claim("mdat", 1<<31)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, samples, err := mediatest.TryDemux(NewDemuxer, data, false)
		runtime.ReadMemStats(&after)
		limit := uint64(1 << 20)
		if name == "sample" {
			limit += 3 * media.MaxFrameSize
		}
		if used := after.TotalAlloc - before.TotalAlloc; len(samples) > 0 || used > limit {
			t.Errorf("%s: %d samples and %d bytes of memory, %v", name, len(samples), used, err)
		}
	}
}
