//go:build !quick

package recorder

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// TestTimeline maps timestamps that wrap, stop, jump and start again to times that increase as
// arrivals do.
func TestTimeline(t *testing.T) {
	var line timeline
	at := func(ssrc, timestamp uint32, arrival time.Duration) time.Duration {
		got, _, _ := line.next(media.Frame{SSRC: ssrc, Timestamp: timestamp, ClockRate: 90000, Arrival: start().Add(arrival)}, start())
		return got
	}
	const second = time.Second
	for i, test := range []struct {
		ssrc, timestamp uint32
		arrival, want   time.Duration
	}{
		{1, 1<<32 - 90000, second, second},
		{1, 1<<32 - 45000, 1400 * time.Millisecond, 1500 * time.Millisecond}, // early, but at its time
		{1, 0, 2100 * time.Millisecond, 2 * second},                          // over the wrap
		{1, 0, 2100 * time.Millisecond, 2001 * time.Millisecond},             // does not stand still
		{1, 900000, 12 * second, 12 * second},                                // a pause
		{1, 123456789, 13 * second, 13 * second},                             // a jump that time does not have
		{1, 123456789 + 90000, 14 * second, 14 * second},
		{1, 123456789 + 90000 + 270000, 14100 * time.Millisecond, 14100 * time.Millisecond}, // 3 s ahead of its arrival
		{2, 5, 15 * second, 15 * second},                                                    // another sender
		{2, 90005, 16 * second, 16 * second},
		{2, 0, 16*second + 1, 16*second + time.Millisecond}, // a step back
	} {
		if got := at(test.ssrc, test.timestamp, test.arrival); (got - test.want).Abs() > time.Microsecond {
			t.Errorf("frame %d is at %v, want %v", i, got, test.want)
		}
	}
	if d := media.TicksToDuration(media.DurationToTicks(36*time.Hour+time.Microsecond, 90000), 90000); (d - 36*time.Hour).Abs() > 12*time.Microsecond {
		t.Errorf("36 hours become %v", d)
	}
}

// TestFastClock bounds how far a sender whose clock runs at twice the rate is ahead.
func TestFastClock(t *testing.T) {
	var line timeline
	at := time.Duration(0)
	for n := range 6000 {
		f := frameAt(webrtc.MimeTypeOpus, time.Duration(n)*opusFrame)
		f.Timestamp *= 2
		next, _, _ := line.next(f, start())
		if n > 0 && next <= at {
			t.Fatalf("frame %d is at %v, the one before at %v", n, next, at)
		}
		at = next
	}
	if at > 2*time.Minute+maxDrift {
		t.Errorf("after 2 minutes a frame is at %v", at)
	}
}

// senderClock returns a capture time on the sender's clock, which differs from ours.
func senderClock(at time.Duration) time.Time { return start().Add(-1000 * time.Hour).Add(at) }

// TestStall records audio whose capture stalls for 3 s after 2 s, beside video that goes on. Audio
// that was captured at a moment is in the file beside the video of that moment, whether its
// timestamps stand still or run on. A network that holds audio back for 3 s is no stall.
func TestStall(t *testing.T) {
	const stalls, stall, length = 2 * time.Second, 3 * time.Second, 14 * time.Second
	for _, test := range []struct {
		name        string
		still       bool          // the timestamps stand still during the stall
		network     bool          // nothing stalls, but the packets arrive late, in a burst
		first, next time.Duration // sender reports: the first one and their interval; 0 for none
		settled     time.Duration // after the stall
	}{
		{"run on", false, false, 500 * time.Millisecond, time.Second, 0},
		{"run on, no reports", false, false, 0, 0, 0},
		{"stand still", true, false, 500 * time.Millisecond, time.Second, 0},
		{"stand still, report with the first frame", true, false, time.Second, time.Second, 0},
		{"stand still, late report", true, false, 1500 * time.Millisecond, 2500 * time.Millisecond, 1500 * time.Millisecond},
		{"stand still, no reports", true, false, 0, 0, 0},
		{"network", false, true, 500 * time.Millisecond, time.Second, 0},
		{"network, no reports", false, true, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			recorder, path := newRecorder(t, "a.webm", Options{Audio: 1, Video: 1})
			a, v := addTrack(t, recorder, webrtc.MimeTypeOpus), addTrack(t, recorder, webrtc.MimeTypeVP8)
			var audio, video []media.Frame
			var captured []time.Duration
			for at := time.Duration(0); at < length; at += opusFrame {
				if !test.network && at >= stalls && at < stalls+stall {
					continue
				}
				timestamp := at
				if test.still && at >= stalls {
					timestamp -= stall
				}
				f := frameAt(webrtc.MimeTypeOpus, timestamp)
				f.Arrival = start().Add(at)
				if test.network && at >= stalls && at < stalls+stall {
					f.Arrival = start().Add(stalls + stall)
				}
				if since := f.Arrival.Sub(start()) - test.first; test.next > 0 && since >= 0 {
					report := since.Truncate(test.next)
					f.Captured = senderClock(timestamp)
					if test.first+report >= stalls+stall {
						f.Captured = senderClock(at)
					}
					f.Captured = f.Captured.Add(report / 100_000) // reports are not exact
				}
				audio, captured = append(audio, f), append(captured, at)
			}
			for at := time.Duration(0); at < length; at += 100 * time.Millisecond {
				f := frameAt(webrtc.MimeTypeVP8, at)
				if test.next > 0 && at >= test.first {
					f.Captured = senderClock(at)
				}
				video = append(video, f)
			}
			writeInOrder(t, recording{a, audio}, recording{v, video})
			closeRecorder(t, recorder)
			heard, seen := times(t, path, 0), times(t, path, 1)
			if len(heard) != len(audio) || len(seen) != len(video) {
				t.Fatalf("the file has %d packets of %d and %d frames of %d", len(heard), len(audio), len(seen), len(video))
			}
			for i, at := range captured {
				if at >= stalls && at < stalls+stall+test.settled {
					continue
				}
				if off := heard[i] - at.Seconds(); math.Abs(off) > 0.1 {
					t.Fatalf("audio of %v is at %.3f s", at, heard[i])
				}
			}
			for i := range seen {
				if off := seen[i] - float64(i)/10; math.Abs(off) > 0.1 {
					t.Fatalf("video of %.1f s is at %.3f s", float64(i)/10, seen[i])
				}
			}
			if !slices.IsSorted(heard) {
				t.Error("the times of the audio are not in order")
			}
		})
	}
}

// TestLipSync records video that arrives 400 ms later than the audio of the same moment: sender
// reports bring both together.
func TestLipSync(t *testing.T) {
	const late, length = 400 * time.Millisecond, 10 * time.Second
	for _, test := range []struct {
		name    string
		reports time.Duration // the first one
		at      time.Duration // the moment that is compared
		offset  time.Duration // of the video in the file
	}{
		{"reports from the start", time.Second, 3 * time.Second, 0},
		{"reports later", 3 * time.Second, 9 * time.Second, 0},
		{"reports later, on the way", 3 * time.Second, 5 * time.Second, late / 2},
		{"no reports", time.Hour, 3 * time.Second, late},
	} {
		t.Run(test.name, func(t *testing.T) {
			recorder, path := newRecorder(t, "a.webm", Options{Audio: 1, Video: 1})
			a, v := addTrack(t, recorder, webrtc.MimeTypeOpus), addTrack(t, recorder, webrtc.MimeTypeVP8)
			frames := func(mime string, interval, delay time.Duration) (all []media.Frame) {
				for at := time.Duration(0); at < length; at += interval {
					f := frameAt(mime, at)
					f.Arrival = f.Arrival.Add(delay)
					if at+delay >= test.reports {
						f.Captured = senderClock(at)
					}
					all = append(all, f)
				}
				return all
			}
			writeInOrder(t, recording{a, frames(webrtc.MimeTypeOpus, opusFrame, 0)},
				recording{v, frames(webrtc.MimeTypeVP8, 100*time.Millisecond, late)})
			closeRecorder(t, recorder)
			seen, heard := times(t, path, 1)[test.at/(100*time.Millisecond)], times(t, path, 0)[test.at/opusFrame]
			if off := seen - heard - test.offset.Seconds(); math.Abs(off) > 0.04 {
				t.Errorf("video of %v is at %.3f s, audio at %.3f s, want %v between them", test.at, seen, heard, test.offset)
			}
			if all := times(t, path, -1); !slices.IsSorted(all) {
				t.Errorf("the file is not in order of time: %v", all)
			}
		})
	}
}

// TestSeek checks that seeking leads to a key frame.
func TestSeek(t *testing.T) {
	clip := mediatest.Clip(t, "long.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-vf", "setpts=3*PTS", "-r", "25")
	recorder, path := newRecorder(t, "a.webm", Options{})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeVP8), framesOf(t, clip)...)
	closeRecorder(t, recorder)
	got := mediatest.FFmpeg(t, "-ss", "3.01", "-i", path, "-frames:v", "1", "-f", "rawvideo", "-")
	want := mediatest.FFmpeg(t, "-i", clip, "-vf", "select=gte(t\\,3.01)", "-frames:v", "1", "-f", "rawvideo", "-")
	if len(got) == 0 || !bytes.Equal(got, want) {
		t.Errorf("another frame is at 3.01 s: %d bytes", len(got))
	}
}
