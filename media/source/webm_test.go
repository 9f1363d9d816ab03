package source

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"parley/media/receiver"
	"strings"
	"testing"
	"time"

	"parley/media"
	record "parley/media/recorder"

	"github.com/at-wat/ebml-go"
	webmcore "github.com/at-wat/ebml-go/webm"
	"github.com/pion/webrtc/v4"
)

// frameAt is a frame with an arrival and a timestamp that go together.
func frameAt(mime string, at time.Duration, change ...func(*media.Frame)) media.Frame {
	clock := uint32(media.VideoClockRate)
	if media.KindOf(mime) == webrtc.RTPCodecTypeAudio {
		clock = media.OpusClockRate
	}
	f := media.Frame{
		Kind: media.KindOf(mime), Codec: mime, SSRC: 1, Data: []byte{0xF8, 1, 2, 3}, ClockRate: clock, Key: true, Width: 320, Height: 240,
		Timestamp: uint32(media.DurationToTicks(at, clock)), Arrival: time.Unix(1000, 0).Add(at), //nolint:gosec // wraps
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

// parsed is a WebM file as ebml-go reads it.
type parsed struct {
	Header  webmcore.EBMLHeader `ebml:"EBML"`
	Segment webmcore.Segment    `ebml:"Segment"`
}

func parse(t *testing.T, path string) parsed {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p parsed
	if err := ebml.Unmarshal(bytes.NewReader(data), &p, ebml.WithIgnoreUnknown(true)); err != nil {
		t.Fatal(err)
	}
	return p
}

// blocks are the times in milliseconds of the blocks of a track.
func (p parsed) blocks(track uint64) (times []int64) {
	for _, c := range p.Segment.Cluster {
		for _, b := range c.SimpleBlock {
			if b.TrackNumber == track {
				times = append(times, int64(c.Timecode)+int64(b.Timecode)) //nolint:gosec // small
			}
		}
	}
	return times
}

func writeAll(t *testing.T, sink media.FrameSink, frames ...media.Frame) {
	t.Helper()
	for _, f := range frames {
		if err := sink.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWebMStructure: sizes, index and duration are patched, and point to where they should.
func TestWebMStructure(t *testing.T) {
	recorder, path := newRecorder(t, "a.webm", record.Options{})
	sink := recordTrackOf(t, recorder, webrtc.MimeTypeVP8)
	for n := range 100 {
		writeAll(t, sink, frameAt(webrtc.MimeTypeVP8, time.Duration(n)*100*time.Millisecond, func(f *media.Frame) { f.Key = n%10 == 0 }))
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	p := parse(t, path)
	if p.Segment.Info.Duration != 10000 || len(p.Segment.Cluster) != 10 || len(p.Segment.Cues.CuePoint) != 10 || len(p.blocks(1)) != 100 {
		t.Errorf("duration %v, %d clusters, %d blocks", p.Segment.Info.Duration, len(p.Segment.Cluster), len(p.blocks(1)))
	}
	data, _ := os.ReadFile(path)
	segment := bytes.Index(data, []byte{0x18, 0x53, 0x80, 0x67}) + 12
	if size := int(data[segment-2])<<8 | int(data[segment-1]); size != len(data)-segment {
		t.Errorf("the segment says %d bytes and has %d", size, len(data)-segment)
	}
	for i, cue := range p.Segment.Cues.CuePoint {
		at := segment + int(cue.CueTrackPositions[0].CueClusterPosition)                                  //nolint:gosec // small
		if !bytes.HasPrefix(data[at:], []byte{0x1F, 0x43, 0xB6, 0x75}) || cue.CueTime != uint64(i)*1000 { //nolint:gosec // small
			t.Errorf("cue %d, at %d ms, does not point to a cluster", i, cue.CueTime)
		}
	}
	for _, s := range p.Segment.SeekHead.Seek {
		if at := segment + int(s.SeekPosition); !bytes.HasPrefix(data[at:], s.SeekID) { //nolint:gosec // small
			t.Errorf("the entry for % x points to % x", s.SeekID, data[at:at+4])
		}
	}
}

// TestWebMWaits: the file begins with the tracks that are expected, and without the one that does not come.
func TestWebMWaits(t *testing.T) {
	const audio, video = webrtc.MimeTypeOpus, webrtc.MimeTypeVP8
	var log bytes.Buffer
	recorder, path := newRecorder(t, "a.webm", record.Options{
		Audio: true, Video: true, Wait: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a, v := recordTrackOf(t, recorder, audio), recordTrackOf(t, recorder, video)
	for n := range 150 {
		at := time.Duration(n) * opusFrame
		if info, err := os.Stat(path); err != nil || (info.Size() > 0) != (at > 2*time.Second) {
			t.Fatalf("at %v there are %d bytes", at, info.Size())
		}
		writeAll(t, a, frameAt(audio, at))
	}
	for n := range 10 {
		writeAll(t, v, frameAt(video, 3*time.Second+time.Duration(n)*time.Second/10))
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	if p := parse(t, path); len(p.Segment.Tracks.TrackEntry) != 1 || len(p.blocks(1)) != 150 {
		t.Errorf("tracks are %+v with %d blocks", p.Segment.Tracks.TrackEntry, len(p.blocks(1)))
	}
	if strings.Count(log.String(), "too late") != 1 {
		t.Errorf("log is %s", &log)
	}

	// Video that begins without a key frame, 1.5 s after the sound: nothing of the sound is lost.
	recorder, path = newRecorder(t, "b.webm", record.Options{Audio: true, Video: true})
	a, v = recordTrackOf(t, recorder, audio), recordTrackOf(t, recorder, video)
	for n := range 100 {
		at := time.Duration(n) * opusFrame
		writeAll(t, a, frameAt(audio, at))
		if n >= 75 && n%5 == 0 {
			writeAll(t, v, frameAt(video, at, func(f *media.Frame) { f.Key = n >= 80 }))
		}
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	p := parse(t, path)
	number := map[uint64]uint64{}
	for _, e := range p.Segment.Tracks.TrackEntry {
		number[e.TrackType] = e.TrackNumber
	}
	if s, m := p.blocks(number[2]), p.blocks(number[1]); len(s) != 100 || s[0] != 0 || len(m) != 4 || m[0] != 1600 {
		t.Errorf("sound is at %v, pictures are at %v", s, m)
	}
}

// TestWebMLoss: after a gap video waits for a key frame, sound goes on at its time.
func TestWebMLoss(t *testing.T) {
	const audio, video = webrtc.MimeTypeOpus, webrtc.MimeTypeVP8
	recorder, path := newRecorder(t, "a.webm", record.Options{})
	a, v := recordTrackOf(t, recorder, audio), recordTrackOf(t, recorder, video)
	for n := range 40 {
		at := time.Duration(n) * 100 * time.Millisecond
		if n != 15 {
			writeAll(t, a, frameAt(audio, at, func(f *media.Frame) { f.Gap = n == 16 }))
			writeAll(t, v, frameAt(video, at, func(f *media.Frame) { f.Key, f.Gap = n%10 == 0, n == 16 }))
		}
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	p := parse(t, path)
	if s, m := p.blocks(1), p.blocks(2); len(s) != 39 || s[15] != 1600 || len(m) != 35 || m[14] != 1400 || m[15] != 2000 {
		t.Errorf("sound is at %v, pictures are at %v", s, m)
	}
}

// TestRecordChangesSize: a sender may change the size in mid-call.
func TestRecordChangesSize(t *testing.T) {
	small := clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M")
	large := clip(t, "large.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-vf", "scale=320x240")
	for _, name := range []string{"a.webm", "a.ivf"} {
		recorder, path := newRecorder(t, name, record.Options{})
		sink := recordTrackOf(t, recorder, webrtc.MimeTypeVP8)
		file, all := frames(t, small, VideoOptions{})
		_, more := frames(t, large, VideoOptions{})
		for _, s := range more {
			s.at += 2 * media.VideoClockRate
			all = append(all, s)
		}
		_, stats := through(t, webrtc.MimeTypeVP8, receiver.Options{Sinks: []media.FrameSink{sink}}, script(t, file, all))
		if err := recorder.Close(); err != nil {
			t.Fatal(err)
		}
		if stats.Width != 320 || stats.Height != 240 {
			t.Errorf("stats are %+v", stats)
		}
		p := probe(t, path)
		if number(t, p.Streams[0].Frames) != 100 || math.Abs(number(t, p.Format.Duration)-4) > 0.05 {
			t.Errorf("%s: %s frames in %s s", name, p.Streams[0].Frames, p.Format.Duration)
		}
	}
}

func TestRecordGoesOn(t *testing.T) {
	recorder, path := newRecorder(t, "a.ivf", record.Options{})
	first := recordTrackOf(t, recorder, webrtc.MimeTypeVP8)
	writeAll(t, first, frameAt(webrtc.MimeTypeVP8, 0), frameAt(webrtc.MimeTypeVP8, time.Second))
	second := recordTrackOf(t, recorder, webrtc.MimeTypeVP8)
	writeAll(t, second, frameAt(webrtc.MimeTypeVP8, 2*time.Second, func(f *media.Frame) { f.SSRC, f.Timestamp = 9, 77 }))
	if _, err := recorder.Track(webrtc.RTPCodecTypeVideo, webrtc.MimeTypeVP9); err == nil || !strings.Contains(err.Error(), "VP9 cannot go on from there") {
		t.Errorf("error is %v", err)
	}
	if err := second.WriteFrame(frameAt(webrtc.MimeTypeVP9, 3*time.Second)); err == nil || !strings.Contains(err.Error(), "changed from VP8 to VP9") {
		t.Errorf("error is %v", err)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	writeAll(t, second, frameAt(webrtc.MimeTypeVP8, 4*time.Second)) // a track that ends after the recording
	_, all := frames(t, path, VideoOptions{})
	if len(all) != 3 || all[2].at != 2*media.VideoClockRate {
		t.Errorf("frames are %+v", all)
	}
}
