package mediain

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"parley/cmd/parley/internal/config"
	"parley/media/receiver"
)

// TestStatisticsOfAKind: counters are sums over the tracks of a kind, and the layers of one have
// its frames together.
func TestStatisticsOfAKind(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	video := func(mid string, packets, frames uint64, width int, first time.Duration, ended bool) Stats {
		return Stats{mid: mid, ended: ended, Stats: receiver.Stats{Kind: "video", Codec: fmt.Sprint("of ", width), Packets: packets,
			Lost: 1, Bitrate: 1000, Frames: frames, Width: width, Height: width, FirstFrame: begin.Add(first)}}
	}
	for name, test := range map[string]struct {
		tracks                []Stats
		packets, lost, frames uint64
		codec                 string
		first                 time.Duration
	}{
		"one track":                 {[]Stats{video("0", 10, 5, 320, 3, false)}, 10, 1, 5, "of 320", 3},
		"two tracks":                {[]Stats{video("0", 10, 5, 640, 3, false), video("1", 20, 7, 320, 2, false)}, 30, 2, 12, "of 640", 2},
		"layers of one track":       {[]Stats{video("0", 10, 5, 320, 3, false), video("0", 20, 7, 640, 4, false)}, 30, 2, 7, "of 640", 3},
		"one has ended":             {[]Stats{video("0", 10, 5, 640, 3, true), video("0", 20, 7, 320, 4, false)}, 30, 2, 12, "of 320", 3},
		"all have ended":            {[]Stats{video("0", 10, 5, 640, 3, true), video("0", 20, 7, 320, 4, true)}, 30, 2, 12, "of 640", 3},
		"the largest is not known":  {[]Stats{video("0", 10, 0, 0, 3, false), video("1", 20, 7, 320, 4, false)}, 30, 2, 7, "of 320", 3},
		"later of tracks of a size": {[]Stats{video("0", 10, 1, 320, 3, false), video("1", 20, 7, 320, 4, false)}, 30, 2, 8, "of 320", 3},
	} {
		got := combined(test.tracks)
		if got.Packets != test.packets || got.Lost != test.lost || got.Frames != test.frames || got.Codec != test.codec || !got.FirstFrame.Equal(begin.Add(test.first)) {
			t.Errorf("%s: got %d packets, %d lost, %d frames, %s, first at %v; want %+v", name, got.Packets, got.Lost, got.Frames, got.Codec, got.FirstFrame.Sub(begin), test)
		}
	}
}

// TestEndedTracksAreForgotten: a peer that adds and removes tracks all the time costs a bounded
// amount, and no count is lost.
func TestEndedTracksAreForgotten(t *testing.T) {
	const n = 5 * maxEndedTracks
	var r Receivers
	for range n {
		track := &receivedTrack{kind: "audio", interruptions: &interruptions{}, receiver: &receiver.Receiver{}, tone: &toneSink{}}
		r.add(track)
		r.end(track)
		if track.receiver != nil || track.tone != nil {
			t.Fatal("an ended track keeps its receiver")
		}
		track.final.Packets, track.final.Kind = 1, "audio"
	}
	if len(r.tracks) != maxEndedTracks {
		t.Errorf("%d ended tracks are kept, want %d", len(r.tracks), maxEndedTracks)
	}
	if all := r.ByKind(); len(all) != 1 || all[0].Packets != n {
		t.Errorf("got %+v, want one kind with %d packets", all, n)
	}
}

// TestUnansweredCallReleasesItsRecording: a call that is given up before it begins leaves the name
// of its file to others.
func TestUnansweredCallReleasesItsRecording(t *testing.T) {
	pattern := filepath.Join(t.TempDir(), "%p.ogg")
	taken := NewRecordings()
	for range 2 {
		r := New(t.Context(), Options{MediaIn: config.MediaIn{Record: pattern}, Peer: "alice", Recordings: taken})
		if err := r.OpenRecorder(nil); err != nil {
			t.Fatal(err)
		}
		if got, want := r.recordPaths[0], filepath.Join(filepath.Dir(pattern), "alice.ogg"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r.Release()
	}
}
