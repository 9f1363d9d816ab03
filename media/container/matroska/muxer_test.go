//go:build !quick

package matroska

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/ogg"
	"parley/media/internal/mediatest"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"
	"github.com/pion/webrtc/v4"
)

// input is a track to write, with its frames.
type input struct {
	track  media.OutputTrack
	frames []media.Frame
	times  []time.Duration
}

// read returns the frames of a file with one track.
func read(t *testing.T, open mediatest.Open, data []byte) input {
	t.Helper()
	tracks, samples := mediatest.Demux(t, open, data)
	mime := tracks[0].Codec.MimeType
	in := input{track: media.OutputTrack{MIME: mime}}
	for _, s := range samples {
		p := codec.ParseFrame(mime, s.Data)
		in.frames = append(in.frames, media.Frame{
			Codec: mime, Data: s.Data, Key: p.Key || media.KindOf(mime) == webrtc.RTPCodecTypeAudio, Width: p.Width, Height: p.Height,
		})
		in.times = append(in.times, media.TicksToDuration(int64(s.Time), tracks[0].Codec.ClockRate)) //nolint:gosec // small
	}
	in.track.First = in.frames[0]
	return in
}

// mux writes tracks of the same length, ordered by time.
func mux(t *testing.T, out media.Output, inputs ...input) {
	t.Helper()
	type entry struct {
		track, frame int
	}
	var tracks []media.OutputTrack
	var all []entry
	end := time.Duration(0)
	for i, in := range inputs {
		tracks = append(tracks, in.track)
		for n := range in.frames {
			all = append(all, entry{i, n})
		}
		end = max(end, in.times[len(in.times)-1]+40*time.Millisecond)
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		return int(inputs[a.track].times[a.frame] - inputs[b.track].times[b.frame])
	})
	m, err := NewMuxer(out, tracks)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := m.WriteFrame(e.track, inputs[e.track].frames[e.frame], inputs[e.track].times[e.frame]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Finish(end); err != nil {
		t.Fatal(err)
	}
}

// clips returns two seconds of each codec.
func clips(t *testing.T) map[string]input {
	t.Helper()
	g711 := func(mime, format string) input {
		pcm := mediatest.FFmpeg(t, "-f", "lavfi", "-i", "sine=duration=2:sample_rate=8000", "-f", format, "-")
		in := input{track: media.OutputTrack{MIME: mime}}
		for i := range len(pcm) / 160 {
			in.frames = append(in.frames, media.Frame{Codec: mime, Data: pcm[i*160 : i*160+160], Key: true})
			in.times = append(in.times, time.Duration(i)*20*time.Millisecond)
		}
		return in
	}
	return map[string]input{
		webrtc.MimeTypeVP8:  read(t, ivf.NewDemuxer, clip(t, "x.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "25")),
		webrtc.MimeTypeVP9:  read(t, ivf.NewDemuxer, clip(t, "x.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25")),
		webrtc.MimeTypeAV1:  read(t, ivf.NewDemuxer, clip(t, "x.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "25")),
		webrtc.MimeTypeH264: read(t, annexb.NewDemuxer, clip(t, "x.h264", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25")),
		webrtc.MimeTypeOpus: read(t, ogg.NewDemuxer, clip(t, "x.ogg", "-c:a", "libopus")),
		webrtc.MimeTypePCMU: g711(webrtc.MimeTypePCMU, "mulaw"),
		webrtc.MimeTypePCMA: g711(webrtc.MimeTypePCMA, "alaw"),
	}
}

// TestMuxer: every codec is written so that ffprobe decodes all of it, to a file and to a pipe.
func TestMuxer(t *testing.T) {
	names := map[string]string{
		webrtc.MimeTypeVP8: "vp8", webrtc.MimeTypeVP9: "vp9", webrtc.MimeTypeAV1: "av1", webrtc.MimeTypeH264: "h264",
		webrtc.MimeTypeOpus: "opus", webrtc.MimeTypePCMU: "pcm_mulaw", webrtc.MimeTypePCMA: "pcm_alaw",
	}
	all := clips(t)
	if len(all) != len(Codecs()) {
		t.Errorf("Codecs returns %v", Codecs())
	}
	for _, mime := range Codecs() {
		for _, pipe := range []bool{false, true} {
			in := all[mime]
			out := &mediatest.Output{Pipe: pipe}
			mux(t, out, in)
			docType, extension := "webm", "x.webm"
			if !slices.Contains(WebMCodecs(), mime) {
				docType, extension = "matroska", "x.mkv"
			}
			// MIME type sniffing looks at the first 38 bytes (MIME Sniffing section 6.2.2).
			if !bytes.Contains(out.Data[:38], append([]byte{0x42, 0x82, 0x80 | byte(len(docType))}, docType...)) {
				t.Errorf("%s: DocType is not %s: % x", mime, docType, out.Data[:38])
			}
			p := mediatest.Probe(t, mediatest.WriteFile(t, extension, out.Data))
			if len(p.Streams) != 1 || p.Streams[0].Codec != names[mime] || mediatest.Number(t, p.Streams[0].Packets) != float64(len(in.frames)) ||
				p.Streams[0].Kind == "video" && (p.Streams[0].Width != 160 || mediatest.Number(t, p.Streams[0].Frames) != 50) {
				t.Errorf("%s: streams are %+v, want %d packets", mime, p.Streams, len(in.frames))
			}
			if mediatest.Number(t, p.Packets[len(p.Packets)-1].Time) < 1.9 || !pipe && mediatest.Number(t, p.Format.Duration) < 1.9 {
				t.Errorf("%s: last packet is at %s of %s", mime, p.Packets[len(p.Packets)-1].Time, p.Format.Duration)
			}
		}
	}
}

// TestG711: ffmpeg decodes the samples that were written.
func TestG711(t *testing.T) {
	out := &mediatest.Output{}
	in := clips(t)[webrtc.MimeTypePCMU]
	mux(t, out, in)
	got := mediatest.FFmpeg(t, "-i", mediatest.WriteFile(t, "x.mkv", out.Data), "-f", "mulaw", "-c:a", "copy", "-")
	var want []byte
	for _, f := range in.frames {
		want = append(want, f.Data...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

// TestRoundTrip: the demuxer returns what the muxer was given, of several tracks of each kind.
func TestRoundTrip(t *testing.T) {
	all := clips(t)
	inputs := []input{all[webrtc.MimeTypeOpus], all[webrtc.MimeTypeH264], all[webrtc.MimeTypeVP8], all[webrtc.MimeTypeOpus]}
	out := &mediatest.Output{}
	mux(t, out, inputs...)
	tracks, samples := mediatest.Demux(t, NewDemuxer, out.Data)
	counts := make([]int, len(inputs))
	for _, s := range samples {
		in := inputs[s.Track]
		n := counts[s.Track]
		if got := media.TicksToDuration(int64(s.Time), tracks[s.Track].Codec.ClockRate); !bytes.Equal(s.Data, in.frames[n].Data) || (got-in.times[n]).Abs() > time.Millisecond { //nolint:gosec // small
			t.Fatalf("track %d: frame %d has %d bytes at %v, want %d at %v", s.Track, n, len(s.Data), got, len(in.frames[n].Data), in.times[n])
		}
		counts[s.Track]++
	}
	for i, in := range inputs {
		if tracks[i].Codec.MimeType != in.track.MIME || counts[i] != len(in.frames) {
			t.Errorf("track %d is %s with %d frames, want %s with %d", i, tracks[i].Codec.MimeType, counts[i], in.track.MIME, len(in.frames))
		}
	}
	if p := mediatest.Probe(t, mediatest.WriteFile(t, "x.mkv", out.Data)); len(p.Streams) != 4 || mediatest.Number(t, p.Streams[2].Frames) != 50 {
		t.Errorf("streams are %+v", p.Streams)
	}
}

// TestRotation: the rotation of the first frame is written as ProjectionPoseRoll and read again.
func TestRotation(t *testing.T) {
	for _, rotation := range []int{0, 90, 180, 270} {
		in := clips(t)[webrtc.MimeTypeVP8]
		in.track.First.Rotation = rotation
		out := &mediatest.Output{}
		mux(t, out, in)
		if tracks, _ := mediatest.Demux(t, NewDemuxer, out.Data); tracks[0].Rotation != rotation {
			t.Errorf("rotation is %d, want %d", tracks[0].Rotation, rotation)
		}
		path := mediatest.WriteFile(t, "x.webm", out.Data)
		want := map[int]string{90: "rotation=-90", 180: "rotation=-180", 270: "rotation=90"}[rotation]
		probed, err := exec.Command("ffprobe", "-v", "error", "-show_streams", path).Output()
		if err != nil || !strings.Contains(string(probed), want) || strings.Contains(string(probed), "rotation=") != (want != "") {
			t.Errorf("ffprobe does not say %q, %v:\n%s", want, err, probed)
		}
	}
}

// TestStructure: sizes, index and duration are patched, and point to where they should.
func TestStructure(t *testing.T) {
	in := input{track: media.OutputTrack{MIME: webrtc.MimeTypeVP8, First: media.Frame{Width: 320, Height: 240}}}
	for n := range 100 {
		in.frames = append(in.frames, media.Frame{Data: []byte{1, 2, 3}, Key: n%10 == 0})
		in.times = append(in.times, time.Duration(n)*100*time.Millisecond)
	}
	out := &mediatest.Output{}
	mux(t, out, in)
	var file struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment webm.Segment    `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(out.Data), &file, ebml.WithIgnoreUnknown(true)); err != nil {
		t.Fatal(err)
	}
	segment := bytes.Index(out.Data, appendID(nil, idSegment)) + 12
	if size, _ := parseVint(out.Data[segment-8:], 8, false); size != uint64(len(out.Data)-segment) { //nolint:gosec // not negative
		t.Errorf("the segment says %d bytes and has %d", size, len(out.Data)-segment)
	}
	s := file.Segment
	if s.Info.Duration != 9940 || len(s.Cluster) != 10 || s.Cues == nil || len(s.Cues.CuePoint) != 10 {
		t.Fatalf("duration %v, %d clusters, cues %+v", s.Info.Duration, len(s.Cluster), s.Cues)
	}
	blocks := 0
	for _, c := range s.Cluster {
		blocks += len(c.SimpleBlock)
	}
	if blocks != 100 {
		t.Errorf("%d blocks, want 100", blocks)
	}
	for i, cue := range s.Cues.CuePoint {
		at := segment + int(cue.CueTrackPositions[0].CueClusterPosition)                                //nolint:gosec // small
		if !bytes.HasPrefix(out.Data[at:], appendID(nil, idCluster)) || cue.CueTime != uint64(i)*1000 { //nolint:gosec // small
			t.Errorf("cue %d, at %d ms, does not point to a cluster", i, cue.CueTime)
		}
	}
	if len(s.SeekHead.Seek) != 3 {
		t.Errorf("seek head is %+v", s.SeekHead)
	}
	for _, entry := range s.SeekHead.Seek {
		if at := segment + int(entry.SeekPosition); !bytes.HasPrefix(out.Data[at:], entry.SeekID) { //nolint:gosec // small
			t.Errorf("the entry for % x points to % x", entry.SeekID, out.Data[at:at+4])
		}
	}
}

// TestUnwritable: a track that the file cannot hold is an error, before anything is written.
func TestUnwritable(t *testing.T) {
	for want, track := range map[string]media.OutputTrack{
		"does not hold G722": {MIME: webrtc.MimeTypeG722},
		"no parameter sets":  {MIME: webrtc.MimeTypeH264, First: media.Frame{Data: []byte{0, 0, 1, 0x65, 0x88}}},
	} {
		out := &mediatest.Output{}
		if _, err := NewMuxer(out, []media.OutputTrack{track}); err == nil || !strings.Contains(err.Error(), want) || len(out.Data) > 0 {
			t.Errorf("error is %v after %d bytes, want %s", err, len(out.Data), want)
		}
	}
}
