//go:build !quick

package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

const (
	videoInput = "testsrc=size=160x120:rate=25:duration=4"
	audioInput = "sine=frequency=440:duration=4:sample_rate=48000"
)

// film returns the path of a file with 100 frames of H.264 without B-frames, a key frame each
// second, and 4 s of Opus.
func film(t testing.TB, options ...string) string {
	t.Helper()
	return mediatest.Make(t, "film.mp4", slices.Concat([]string{"-f", "lavfi", "-i", videoInput, "-f", "lavfi", "-i", audioInput,
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "libopus"}, options)...)
}

// convert returns a file that ffmpeg makes with these arguments.
func convert(t testing.TB, name string, arguments ...string) []byte {
	t.Helper()
	return load(t, mediatest.Make(t, name, arguments...))
}

func load(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// at returns the time of a sample of video (90 kHz) or Opus (48 kHz).
func at(track media.Track, s media.Sample) time.Duration {
	return media.TicksToDuration(int64(s.Time), track.Codec.ClockRate) //nolint:gosec // small
}

// demux returns the tracks of a file and the samples of each track. It checks that samples of all
// tracks come by time.
func demux(t *testing.T, data []byte) (tracks []media.Track, samples [][]media.Sample) {
	t.Helper()
	tracks, all := mediatest.Demux(t, NewDemuxer, data)
	samples = make([][]media.Sample, len(tracks))
	last := time.Duration(0)
	for _, s := range all {
		now := at(tracks[s.Track], s)
		if now < last-time.Millisecond {
			t.Errorf("a sample of track %d at %v comes after one at %v", s.Track, now, last)
		}
		last = now
		samples[s.Track] = append(samples[s.Track], s)
	}
	return tracks, samples
}

// sameSamples checks that a file has the same data as another, at the same times but for tolerance.
func sameSamples(t *testing.T, name string, got, want []byte, tolerance time.Duration) {
	t.Helper()
	tracks, gotSamples := demux(t, got)
	_, wantSamples := demux(t, want)
	for i, track := range tracks {
		if len(gotSamples[i]) != len(wantSamples[i]) {
			t.Errorf("%s: track %d has %d samples, want %d", name, i, len(gotSamples[i]), len(wantSamples[i]))
			continue
		}
		for n, s := range gotSamples[i] {
			w := wantSamples[i][n]
			if d := at(track, s) - at(track, w); !bytes.Equal(s.Data, w.Data) || d.Abs() > tolerance {
				t.Errorf("%s: sample %d of track %d has %d bytes at %v, want %d at %v",
					name, n, i, len(s.Data), at(track, s), len(w.Data), at(track, w))
				break
			}
		}
	}
}

// TestVariants reads what ffmpeg's options for the layout of a file change.
func TestVariants(t *testing.T) {
	path := film(t)
	plain := load(t, path)
	for _, flags := range []string{
		"faststart", "frag_keyframe+empty_moov", "frag_keyframe+delay_moov", "frag_keyframe", "frag_keyframe+empty_moov+default_base_moof",
		"frag_keyframe+empty_moov+separate_moof", "frag_keyframe+empty_moov+omit_tfhd_offset", "frag_keyframe+empty_moov+negative_cts_offsets",
		"dash+delay_moov", "cmaf+delay_moov", "frag_keyframe+empty_moov+default_base_moof+global_sidx",
	} {
		// ffmpeg gives the first sample of a fragmented file the pre-skip of Opus as additional
		// duration.
		sameSamples(t, flags, convert(t, "a.mp4", "-i", path, "-c", "copy", "-movflags", flags), plain, 7*time.Millisecond)
	}
	// The audio of fragments of one frame has the times at which ffmpeg interleaved it.
	sameSamples(t, "fragments of one frame", convert(t, "a.mp4", "-i", path, "-c", "copy", "-movflags", "frag_every_frame+delay_moov"), plain, 27*time.Millisecond)
	sameSamples(t, "mov", convert(t, "a.mov", "-i", path, "-c", "copy", "-an", "-metadata", "title=film"),
		convert(t, "v.mp4", "-i", path, "-c", "copy", "-an"), time.Millisecond)
	// Fragments of 3GPP and Smooth Streaming have other boxes.
	sameSamples(t, "3gp", convert(t, "a.3gp", "-i", path, "-c", "copy", "-an", "-movflags", "frag_keyframe+empty_moov"),
		convert(t, "v.mp4", "-i", path, "-c", "copy", "-an"), time.Millisecond)
}

// TestSelectOne reads one track of a file of fragments: samples of the other are left out.
func TestSelectOne(t *testing.T) {
	data := load(t, film(t, "-movflags", "frag_keyframe+empty_moov"))
	for track, want := range []int{100, 201} {
		d, err := NewDemuxer(media.Input{ReaderAt: bytes.NewReader(data), Size: int64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Select(track); err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; err == nil; n++ {
			var s media.Sample
			if s, err = d.Next(); err == nil && s.Track != track {
				t.Fatalf("a sample of track %d", s.Track)
			}
		}
		if n-1 != want {
			t.Errorf("track %d has %d samples, want %d: %v", track, n-1, want, err)
		}
	}
}

// TestRotation compares the rotation with that of ffprobe, which is counterclockwise.
func TestRotation(t *testing.T) {
	path := film(t)
	for _, degrees := range []string{"0", "90", "180", "270"} {
		rotated := mediatest.WriteFile(t, "r.mp4", convert(t, "a.mp4", "-i", path, "-c", "copy", "-metadata:s:v:0", "rotate="+degrees))
		want := (360 - probeRotation(t, rotated)) % 360
		tracks, _ := demux(t, load(t, rotated))
		if tracks[0].Rotation != want || tracks[1].Rotation != 0 || degrees == "90" && want%180 != 90 {
			t.Errorf("rotate=%s: rotation is %d, want %d; that of the audio is %d", degrees, tracks[0].Rotation, want, tracks[1].Rotation)
		}
	}
}

// TestOddMatrix warns about a matrix that is no rotation by a multiple of 90 degrees.
func TestOddMatrix(t *testing.T) {
	const one = 1 << 16
	for _, test := range []struct {
		tkhd, mvhd matrix
		want       int
		warns      bool
	}{
		{matrix{one, 0, 0, one}, matrix{one, 0, 0, one}, 0, false},
		{matrix{0, one, -one, 0}, matrix{one, 0, 0, one}, 90, false},
		{matrix{0, one, -one, 0}, matrix{0, one, -one, 0}, 180, false},
		{matrix{0, -2 * one, 2 * one, 0}, matrix{one, 0, 0, one}, 270, false},
		{matrix{-one, 0, 0, one}, matrix{one, 0, 0, one}, 0, true},                                          // mirrored
		{matrix{one * 7 / 10, one * 7 / 10, -one * 7 / 10, one * 7 / 10}, matrix{one, 0, 0, one}, 90, true}, // 45 degrees
		{matrix{}, matrix{one, 0, 0, one}, 0, false},
	} {
		warned := false
		if got := rotation(test.tkhd.multiply(test.mvhd), func(string) { warned = true }); got != test.want || warned != test.warns {
			t.Errorf("%v: rotation is %d, warned %v; want %d, %v", test, got, warned, test.want, test.warns)
		}
	}
}

// fragments returns the boxes before the first fragment of a file, and its fragments.
func fragments(t *testing.T, data []byte) (head []byte, all [][]byte) {
	t.Helper()
	for rest := data; len(rest) > 0; {
		h, err := parseBoxHeader(rest, int64(len(rest)))
		if err != nil {
			t.Fatal(err)
		}
		box := rest[:h.size]
		rest = rest[h.size:]
		switch {
		case h.kind == "moof":
			all = append(all, box)
		case len(all) == 0:
			head = append(head, box...)
		default:
			all[len(all)-1] = append(all[len(all)-1][:len(all[len(all)-1]):len(all[len(all)-1])], box...)
		}
	}
	return head, all
}

// TestJoinedMidStream reads a CMAF stream from a later fragment on: it starts at once, and audio
// and video keep their offset.
func TestJoinedMidStream(t *testing.T) {
	whole := convert(t, "a.mp4", "-itsoffset", "0.3", "-i", film(t), "-i", film(t), "-map", "0:v", "-map", "1:a", "-c", "copy",
		"-movflags", "frag_keyframe+delay_moov+default_base_moof")
	tracks, before := demux(t, whole)
	head, all := fragments(t, whole)
	if len(all) < 4 {
		t.Fatalf("%d fragments", len(all))
	}
	_, after := demux(t, slices.Concat(append([][]byte{head}, all[2:]...)...))
	var offsets [2]time.Duration
	for i, samples := range after {
		skipped := len(before[i]) - len(samples)
		if skipped < 20 || len(samples) < 20 {
			t.Fatalf("track %d has %d samples of %d", i, len(samples), len(before[i]))
		}
		offsets[i] = at(tracks[i], before[i][skipped]) - at(tracks[i], samples[0])
	}
	start := min(at(tracks[0], after[0][0]), at(tracks[1], after[1][0]))
	if d := (offsets[0] - offsets[1]).Abs(); start != 0 || d > time.Millisecond || offsets[0] < 900*time.Millisecond {
		t.Errorf("starts at %v; tracks were moved by %v", start, offsets)
	}
}

// TestFragmentsWithoutTime reads fragments without tfdt, as ffmpeg writes them for Smooth
// Streaming: each continues the one before.
func TestFragmentsWithoutTime(t *testing.T) {
	path := film(t)
	ismv := convert(t, "a.ismv", "-i", path, "-c", "copy", "-an", "-f", "ismv")
	if bytes.Contains(ismv, []byte("tfdt")) {
		t.Fatal("the file has a tfdt")
	}
	sameSamples(t, "ismv", ismv, convert(t, "a.mp4", "-i", path, "-c", "copy", "-an"), time.Millisecond)
	fragmented := load(t, film(t, "-movflags", "frag_keyframe+empty_moov"))
	sameSamples(t, "without tfdt", bytes.ReplaceAll(fragmented, []byte("tfdt"), []byte("free")), fragmented, time.Millisecond)
}

// TestRestartedFragments reads fragments whose times begin again: they continue.
func TestRestartedFragments(t *testing.T) {
	data := load(t, film(t, "-movflags", "frag_keyframe+empty_moov+default_base_moof"))
	head, all := fragments(t, data)
	all = all[:len(all)-1] // the last one has the index of random access
	tracks, samples := demux(t, slices.Concat(append(append([][]byte{head}, all...), all...)...))
	for i, s := range samples {
		end := at(tracks[i], s[len(s)-1])
		if i == 0 && len(s) != 2*25*len(all) || end < 2*time.Duration(len(all))*time.Second-time.Second || end > 8*time.Second {
			t.Errorf("track %d has %d samples up to %v", i, len(s), end)
		}
	}
}

// TestPreRoll reads a file that was cut between two key frames without encoding: frames before the
// cut are needed for decoding. They have rising times, and the audio starts after as much time.
func TestPreRoll(t *testing.T) {
	path := film(t)
	for name, options := range map[string][]string{"plain": nil, "fragments": {"-movflags", "frag_keyframe+delay_moov"}} {
		data := convert(t, "a.mp4", slices.Concat([]string{"-ss", "2.6", "-i", path, "-c", "copy"}, options)...)
		tracks, samples := demux(t, data)
		video, audio := samples[0], samples[1]
		if len(video) != 50 || codec.ParseH264(video[0].Data).Width != 160 {
			t.Errorf("%s: %d frames; the first is %+v", name, len(video), codec.ParseH264(video[0].Data))
		}
		for i, s := range video {
			if d := at(tracks[0], s) - time.Duration(i)*40*time.Millisecond; d.Abs() > 8*time.Millisecond {
				t.Fatalf("%s: frame %d is at %v", name, i, at(tracks[0], s))
			}
		}
		if first := at(tracks[1], audio[0]); (first-600*time.Millisecond).Abs() > 21*time.Millisecond || len(audio) < 69 || len(audio) > 72 {
			t.Errorf("%s: %d packets of audio, the first at %v", name, len(audio), first)
		}
	}
	// Audio alone does not wait for the video.
	data := convert(t, "a.mp4", "-ss", "2.6", "-i", path, "-c", "copy")
	d, err := NewDemuxer(media.Input{ReaderAt: bytes.NewReader(data), Size: int64(len(data))})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Select(1); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Next(); err != nil || s.Time != 0 {
		t.Errorf("the first packet is at %d: %v", s.Time, err)
	}
}

// TestEditEnds reads a file whose edit list ends before the media do: what comes after it is not
// sent.
func TestEditEnds(t *testing.T) {
	data := convert(t, "a.mp4", "-i", film(t), "-c", "copy", "-an")
	place := bytes.Index(data, []byte("elst")) + 12
	binary.BigEndian.PutUint32(data[place:], 1000)
	if _, samples := demux(t, data); len(samples[0]) != 25 {
		t.Errorf("%d frames, want 25", len(samples[0]))
	}
}

// TestEditDelay reads files in which one track starts later than the other, by an empty edit.
func TestEditDelay(t *testing.T) {
	path := film(t)
	for name, arguments := range map[string][]string{
		"audio": {"-i", path, "-itsoffset", "0.5", "-i", path},
		"video": {"-itsoffset", "0.5", "-i", path, "-i", path},
	} {
		tracks, samples := demux(t, convert(t, "a.mp4", append(arguments, "-map", "0:v", "-map", "1:a", "-c", "copy")...))
		offset := at(tracks[1], samples[1][0]) - at(tracks[0], samples[0][0])
		want := 500*time.Millisecond - 6500*time.Microsecond // the pre-skip of Opus
		if name == "video" {
			want = -500*time.Millisecond - 6500*time.Microsecond
		}
		if (offset - want).Abs() > time.Millisecond {
			t.Errorf("%s later: audio starts %v after video, want %v", name, offset, want)
		}
	}
}

// TestConstantTimeOffset reads files whose presentation times are all later than the decoding times
// by the same.
func TestConstantTimeOffset(t *testing.T) {
	path := film(t)
	want := convert(t, "a.mp4", "-i", path, "-c", "copy", "-an")
	for _, offset := range []string{"setts=pts=PTS+3*512:dts=DTS", "setts=pts=PTS:dts=DTS-3*512"} {
		for _, flags := range []string{"faststart", "frag_keyframe+delay_moov", "negative_cts_offsets"} {
			shifted := convert(t, "a.mp4", "-i", path, "-c", "copy", "-an", "-bsf:v", offset, "-movflags", flags)
			sameSamples(t, offset+" "+flags, shifted, want, 7*time.Millisecond)
		}
	}
	// Without an edit list the offset is not removed, but the stream starts with its first sample.
	shifted := convert(t, "a.mp4", "-i", path, "-c", "copy", "-an", "-bsf:v", "setts=pts=PTS+3*512:dts=DTS", "-use_editlist", "0")
	sameSamples(t, "no edit list", shifted, want, time.Millisecond)
}

// TestTrailingBytes reads a file that ends with some bytes which are no box.
func TestTrailingBytes(t *testing.T) {
	good := load(t, film(t))
	for _, tail := range []string{"\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x10\x00free"} {
		sameSamples(t, "with a tail", append(slices.Clip(good), tail...), good, 0)
	}
}

// TestBFrames refuses a file whose decoding order is not its presentation order.
func TestBFrames(t *testing.T) {
	options := []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-b_strategy", "0"}
	for _, flags := range []string{"faststart", "frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "frag_every_frame+delay_moov+negative_cts_offsets", "dash+delay_moov"} {
		data := load(t, mediatest.Clip(t, "b.mp4", append(options, "-movflags", flags)...))
		tracks, samples, err := mediatest.TryDemux(NewDemuxer, data, true)
		if len(tracks) == 1 && tracks[0].Err != nil {
			err = tracks[0].Err
		}
		if !errors.Is(err, codec.ErrBFrames) || len(samples) > 0 {
			t.Errorf("%s: %d samples, error is %v", flags, len(samples), err)
		}
	}
}

// TestLateBFrames returns an error for B-frames that come after those in which Select looks for
// them.
func TestLateBFrames(t *testing.T) {
	first := load(t, film(t, "-an", "-movflags", "frag_every_frame+empty_moov+default_base_moof"))
	second := load(t, mediatest.Clip(t, "b.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-b_strategy", "0",
		"-movflags", "frag_every_frame+empty_moov+default_base_moof"))
	head, all := fragments(t, first)
	_, reordered := fragments(t, second)
	_, samples, err := mediatest.TryDemux(NewDemuxer, slices.Concat(head, slices.Concat(all[:100]...), slices.Concat(reordered...)), true)
	if !errors.Is(err, codec.ErrBFrames) || len(samples) < 95 || len(samples) > 103 {
		t.Errorf("%d samples, error is %v", len(samples), err)
	}
}

// TestCompactSizes reads stz2 boxes with entries of 4, 8 and 16 bits.
func TestCompactSizes(t *testing.T) {
	plain := load(t, film(t, "-vn", "-b:a", "6k", "-application", "voip"))
	stsz := bytes.Index(plain, []byte("stsz"))
	for _, bits := range []uint32{4, 8, 16} {
		compact := bytes.Clone(plain)
		copy(compact[stsz:], "stz2")
		binary.BigEndian.PutUint32(compact[stsz+8:], bits)
		count := int(binary.BigEndian.Uint32(plain[stsz+12:]))
		entries := compact[stsz+16 : stsz+16+4*count]
		clear(entries)
		for i := range count {
			size := binary.BigEndian.Uint32(plain[stsz+16+4*i:])
			switch bits {
			case 4:
				size &= 0xF
				entries[i/2] |= byte(size << (4 * (1 - i%2)))
			case 8:
				entries[i] = byte(size)
			case 16:
				binary.BigEndian.PutUint16(entries[2*i:], uint16(size))
			}
		}
		if bits != 4 {
			sameSamples(t, "stz2", compact, plain, 0)
			continue
		}
		table, err := newSampleTable(find(compact[bytes.Index(compact, []byte("moov"))+4:], "trak", "mdia", "minf", "stbl"), maxSamples)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for s := range table.samples() {
			if want := binary.BigEndian.Uint32(plain[stsz+16+4*n:]) & 0xF; s.size != want {
				t.Fatalf("sample %d has %d bytes, want %d", n, s.size, want)
			}
			n++
		}
		if n != count {
			t.Errorf("%d samples, want %d", n, count)
		}
	}
}

// TestRejected refuses what browsers do not decode, with the command that converts it; the other
// track can be sent.
func TestRejected(t *testing.T) {
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"}
	for want, options := range map[string][]string{
		"-pix_fmt yuv420p": append(x264, "-pix_fmt", "yuv444p"), "10 bits per sample": append(x264, "-pix_fmt", "yuv420p10le"),
		"VP9 has profile 1": {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv444p"},
		"VP9 has profile 2": {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p10le"},
		"AV1 has profile":   {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p10le"},
		`codec "hev1"`:      {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hev1"},
		`codec "mp4v"`:      {"-c:v", "mpeg4"},
	} {
		for _, flags := range []string{"faststart", "frag_keyframe+empty_moov"} {
			data := load(t, mediatest.Clip(t, "x.mp4", append(options, "-movflags", flags)...))
			tracks, samples, err := mediatest.TryDemux(NewDemuxer, data, true)
			if len(tracks) != 1 || media.KindOf(tracks[0].Codec.MimeType) != webrtc.RTPCodecTypeVideo {
				t.Fatalf("tracks are %+v", tracks)
			}
			err = errors.Join(err, tracks[0].Err)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ffmpeg -i") || len(samples) > 0 {
				t.Errorf("%s: error is %v, want %s", flags, err, want)
			}
		}
	}
	for _, audio := range [][]string{{"-c:a", "aac"}, {"-c:a", "mp3"}, {"-c:a", "ac3"}} {
		tracks, samples := demux(t, load(t, film(t, audio...)))
		if tracks[0].Err != nil || len(samples[0]) != 100 || tracks[1].Err == nil || len(samples[1]) > 0 ||
			!strings.Contains(tracks[1].Err.Error(), "ffmpeg -i") || media.KindOf(tracks[1].Codec.MimeType) != webrtc.RTPCodecTypeAudio {
			t.Errorf("%v: tracks are %+v with %d and %d samples", audio, tracks, len(samples[0]), len(samples[1]))
		}
	}
	surround := load(t, film(t, "-ac", "6"))
	if tracks, _ := demux(t, surround); tracks[1].Err == nil || !strings.Contains(tracks[1].Err.Error(), "channels") {
		t.Errorf("error of 5.1 is %v", tracks[1].Err)
	}
}

// TestSampleDescriptions reads a track with two sample descriptions, each with its own parameter
// sets.
func TestSampleDescriptions(t *testing.T) {
	small := load(t, mediatest.Clip(t, "s.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-t", "1"))
	large := load(t, mediatest.Clip(t, "l.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-t", "1", "-s", "320x240"))
	_, smallSamples := demux(t, small)
	_, largeSamples := demux(t, large)
	joined := joinDescriptions(t, small, large)
	tracks, samples := demux(t, joined)
	all := append(smallSamples[0], largeSamples[0]...)
	if len(samples[0]) != len(all) || tracks[0].Err != nil {
		t.Fatalf("%d samples, %v", len(samples[0]), tracks[0].Err)
	}
	for i, s := range samples[0] {
		if !bytes.Equal(s.Data, all[i].Data) {
			t.Fatalf("sample %d has %d bytes, want %d", i, len(s.Data), len(all[i].Data))
		}
	}
	// A description that a call cannot carry, or that does not exist.
	for want, entry := range map[string]string{`codec "evil"`: "evil", "no sample description": ""} {
		broken := joined
		if entry != "" {
			last := bytes.LastIndex(joined, []byte("avc1"))
			broken = slices.Concat(joined[:last], []byte(entry), joined[last+4:])
		} else {
			stsd := bytes.Index(joined, []byte("stsd"))
			broken = bytes.Clone(joined)
			binary.BigEndian.PutUint32(broken[stsd+8:], 1)
		}
		tracks, _, _ := mediatest.TryDemux(NewDemuxer, broken, true)
		if tracks[0].Err == nil || !strings.Contains(tracks[0].Err.Error(), want) {
			t.Errorf("error is %v, want %s", tracks[0].Err, want)
		}
	}
}

// joinDescriptions returns a file with the samples of two, each as a chunk with the sample
// description of its own.
func joinDescriptions(t *testing.T, files ...[]byte) []byte {
	t.Helper()
	var stsd, stsc, sizes, mdat []byte
	offsets := make([]int, len(files))
	samples := uint32(0)
	moov := find(files[0], "moov")
	for i, file := range files {
		stbl := find(file, "moov", "trak", "mdia", "minf", "stbl")
		table, err := newSampleTable(stbl, maxSamples)
		if err != nil {
			t.Fatal(err)
		}
		offsets[i] = len(mdat)
		stsd = append(stsd, find(stbl, "stsd")[8:]...)
		stsc = append(stsc, be32(uint32(i)+1, table.remaining, uint32(i)+1)...) //nolint:gosec // few
		samples += table.remaining
		for s := range table.samples() {
			sizes = append(sizes, be32(s.size)...)
			mdat = append(mdat, file[s.offset:s.offset+int64(s.size)]...)
		}
	}
	chunks := []byte{}
	for _, o := range offsets {
		chunks = append(chunks, be32(uint32(o)+8)...) //nolint:gosec // small
	}
	stbl := box("stbl", fullBox("stsd", 0, 0, be32(uint32(len(files))), stsd), fullBox("stts", 0, 0, be32(1, samples, 512)),
		fullBox("stsc", 0, 0, be32(uint32(len(files))), stsc), fullBox("stsz", 0, 0, be32(0, samples), sizes),
		fullBox("stco", 0, 0, be32(uint32(len(files))), chunks))
	trak := box("trak", box("tkhd", find(moov, "trak", "tkhd")), box("mdia", box("mdhd", find(moov, "trak", "mdia", "mdhd")),
		box("hdlr", find(moov, "trak", "mdia", "hdlr")), box("minf", stbl)))
	return append(box("mdat", mdat), box("moov", box("mvhd", find(moov, "mvhd")), trak)...)
}

// TestHostile refuses an index that claims what cannot be.
func TestHostile(t *testing.T) {
	good := load(t, mediatest.Clip(t, "a.mp4", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-movflags", "faststart", "-use_editlist", "0"))
	at := func(kind string) int { return bytes.Index(good, []byte(kind)) + 4 }
	patched := func(place int, values ...uint32) []byte {
		b := bytes.Clone(good)
		for i, v := range values {
			binary.BigEndian.PutUint32(b[place+4*i:], v)
		}
		return b
	}
	for want, file := range map[string][]byte{
		"claims 4294967295 samples":               patched(at("stsz")+8, 1<<32-1),
		"claims 33554432 samples":                 patched(at("stsz")+4, 1, 1<<25),
		"does not say where its samples are":      bytes.Replace(good, []byte("stco"), []byte("free"), 1),
		"frame 1: its size is 2147483648 bytes":   patched(at("stsz")+12, 1<<31),
		"frame 1: the file is cut off":            patched(at("stco")+8, uint32(len(good)-1)), //nolint:gosec // small
		"a timescale of 0":                        patched(at("mdhd")+12, 0),
		"does not say how the track is encoded":   patched(at("stsd")+8, 7),
		"box \"moov\" claims":                     patched(at("moov")-8, 4),
		"the file is cut off in box \"moov\"":     patched(at("moov")-8, 1<<30),
		"time jumps by more than an hour":         patched(at("stts")+12, 1<<31),
		"there is no index (moov)":                bytes.Replace(good, []byte("moov"), []byte("free"), 1),
		"codec \"evil\" cannot be sent":           bytes.ReplaceAll(good, []byte("vp09"), []byte("evil")),
		"cut off in the header of a box":          append([]byte("\x00\x00\x00\x0cftypisom"), 0, 0, 0),
		"box \"ftyp\" claims 4611686018427387905": append([]byte("\x00\x00\x00\x01ftyp\x40\x00\x00\x00\x00\x00\x00\x01"), 0, 0, 0),
	} {
		tracks, _, err := mediatest.TryDemux(NewDemuxer, file, true)
		if len(tracks) > 0 {
			err = errors.Join(err, tracks[0].Err)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	moov := find(good, "moov")
	trak := box("trak", find(moov, "trak"))
	for n, want := range map[int]string{3: "claims 10485760 samples", maxTracks + 1: "more than 64 tracks"} {
		// Tracks of 10 million samples each, which take no place in the file.
		binary.BigEndian.PutUint32(trak[bytes.Index(trak, []byte("stsz"))+8:], 1)
		binary.BigEndian.PutUint32(trak[bytes.Index(trak, []byte("stsz"))+12:], maxSamples/2)
		binary.BigEndian.PutUint32(trak[bytes.Index(trak, []byte("stsc"))+16:], maxSamples/2)
		if n > 3 {
			trak = box("trak", find(moov, "trak"))
		}
		many := slices.Concat(box("mvhd", find(moov, "mvhd")), bytes.Repeat(trak, n))
		tracks, _, err := mediatest.TryDemux(NewDemuxer, box("moov", many), true)
		if len(tracks) == n {
			err = tracks[n-1].Err
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error of %d tracks is %v, want %s", n, err, want)
		}
	}
}

// TestHostileFragments refuses fragments that claim what cannot be.
func TestHostileFragments(t *testing.T) {
	head, all := fragments(t, load(t, film(t, "-an", "-movflags", "frag_keyframe+empty_moov+default_base_moof")))
	fragment := func(tfdt, trun []byte) []byte {
		parts := [][]byte{fullBox("tfhd", 0, 0x20018, be32(1, 40, 10))}
		if tfdt != nil {
			parts = append(parts, fullBox("tfdt", 1, 0, tfdt))
		}
		moof := box("moof", fullBox("mfhd", 0, 0, be32(9)), box("traf", append(parts, trun)...))
		return slices.Concat(head, all[0], moof)
	}
	for want, file := range map[string][]byte{
		"claims 4294967295 samples":       fragment(nil, fullBox("trun", 0, 0, be32(math.MaxUint32))),
		"claims 1000 samples":             fragment(nil, fullBox("trun", 0, 0x200, be32(1000, 1, 2, 3))),
		"out of range":                    fragment(be64(math.MaxUint64), fullBox("trun", 0, 0, be32(1))),
		"time jumps by more than an hour": fragment(be64(1<<30), fullBox("trun", 0, 0x1, be32(1, 0))),
		"cut off":                         fragment(nil, fullBox("trun", 0, 0x201, be32(1, 0, 1<<20))),
		"too short":                       slices.Concat(head, box("moof", box("traf", box("tfhd", be32(0))))),
	} {
		if _, _, err := mediatest.TryDemux(NewDemuxer, file, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// TestBrokenIndex changes some bytes of the index of files: whatever comes of it is no broken
// sample, nor a panic.
func TestBrokenIndex(t *testing.T) {
	small := []string{"-s", "16x16", "-t", "0.2"}
	path := film(t, small...)
	files := [][]byte{
		load(t, path), load(t, film(t, append(small, "-movflags", "frag_keyframe")...)),
		load(t, film(t, append(small, "-movflags", "frag_every_frame+delay_moov")...)),
		convert(t, "a.ismv", "-i", path, "-c", "copy", "-an", "-f", "ismv"), convert(t, "a.mp4", "-ss", "0.1", "-i", path, "-c", "copy"),
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for range 4000 {
		data := bytes.Clone(files[random.IntN(len(files))])
		for range 1 + random.IntN(4) {
			start := bytes.Index(data, []byte([]string{"moov", "moof"}[random.IntN(2)]))
			if start < 0 {
				continue
			}
			end := start - 4 + int(binary.BigEndian.Uint32(data[start-4:]))
			place := start + 4 + random.IntN(max(min(end, len(data))-start-8, 1))
			switch random.IntN(3) {
			case 0:
				data[place] ^= 1 << random.IntN(8)
			case 1:
				binary.BigEndian.PutUint32(data[place:], random.Uint32()>>random.IntN(32))
			case 2:
				binary.BigEndian.PutUint32(data[place:], math.MaxUint32)
			}
		}
		mediatest.FuzzDemuxer(t, NewDemuxer, data)
	}
}

// TestEmptyUnits skips samples that are not empty, but have only empty NAL units.
func TestEmptyUnits(t *testing.T) {
	data := bytes.Clone(load(t, film(t, "-an")))
	table, err := newSampleTable(find(data, "moov", "trak", "mdia", "minf", "stbl"), maxSamples)
	if err != nil {
		t.Fatal(err)
	}
	samples := slices.Collect(table.samples())
	// The size of the last sample changes no other.
	last := samples[len(samples)-1]
	clear(data[last.offset:][:last.size])
	binary.BigEndian.PutUint32(data[bytes.Index(data, []byte("stsz"))+16+4*(len(samples)-1):], last.size/4*4)
	if _, got := demux(t, data); len(got[0]) != len(samples)-1 {
		t.Errorf("%d samples, want %d", len(got[0]), len(samples)-1)
	}
}

func FuzzDemuxer(f *testing.F) {
	for _, flags := range []string{"faststart", "frag_keyframe+empty_moov", "frag_every_frame+delay_moov"} {
		f.Add(load(f, film(f, "-s", "16x16", "-t", "0.2", "-movflags", flags)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { mediatest.FuzzDemuxer(t, NewDemuxer, data) })
}

// probeRotation returns the counterclockwise rotation of the video of a file by ffprobe, 0 to 359.
func probeRotation(t *testing.T, path string) int {
	t.Helper()
	for _, s := range mediatest.Probe(t, path).Streams {
		for _, side := range s.SideData {
			return (side.Rotation + 360) % 360
		}
	}
	return 0
}
