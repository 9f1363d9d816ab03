//go:build linux && cgo

package device

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/media"
	"parley/media/device/audiodevice"
	"parley/media/internal/mediatest"
	"parley/media/playout"

	"github.com/pion/webrtc/v4"
)

func TestPacketizer(t *testing.T) {
	for _, channels := range []int{1, 2} {
		for _, rate := range opusRates {
			var times []time.Duration
			p, err := newPacketizer(rate, channels, 32000, func(packet []byte, at time.Duration) {
				if len(packet) == 0 {
					t.Error("an empty packet")
				}
				times = append(times, at)
			})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			p.resume(start)
			part := mediatest.Speech(rate / 100 * channels) // 10 ms
			add := func(c audiodevice.Chunk) {
				if err := p.add(c); err != nil {
					t.Fatal(err)
				}
			}
			for range 6 {
				add(audiodevice.Chunk{PCM: part})
			}
			add(audiodevice.Chunk{PCM: part})                     // half a packet, dropped by the gap
			add(audiodevice.Chunk{Missed: rate / 100, PCM: part}) // 10 ms are missing
			add(audiodevice.Chunk{PCM: part})
			p.resume(start.Add(time.Second)) // the device was lost until then
			add(audiodevice.Chunk{PCM: append(part, part...)})
			p.close()
			want := []time.Duration{0, 20, 40, 80, 1000}
			for i := range want {
				want[i] *= time.Millisecond
			}
			if len(times) != len(want) {
				t.Fatalf("%d/s, %d channels: packets at %v, want %v", rate, channels, times, want)
			}
			for i := range want {
				if times[i] != want[i] {
					t.Fatalf("%d/s, %d channels: packets at %v, want %v", rate, channels, times, want)
				}
			}
		}
	}
}

// TestPacketizerLostSamples drops samples, which makes a gap in the timestamps, and delays others,
// which does not.
func TestPacketizerLostSamples(t *testing.T) {
	var last time.Duration
	p, err := newPacketizer(48000, 1, 32000, func(_ []byte, at time.Duration) { last = at })
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	start := time.Now()
	p.resume(start)
	add := func(from, to, late time.Duration) {
		for at := from; at < to; at += packetTime {
			if err := p.add(audiodevice.Chunk{At: start.Add(at + packetTime + late), PCM: mediatest.Speech(960)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(0, 3*time.Second, 0)
	add(3*time.Second, 3500*time.Millisecond, 400*time.Millisecond) // the machine was busy, and then reads all of them
	add(3500*time.Millisecond, 6*time.Second, 0)
	if want := 6*time.Second - packetTime; last != want {
		t.Errorf("after audio that was late the last packet is at %v, want %v", last, want)
	}
	add(8*time.Second, 10*time.Second, 0) // two seconds are lost
	if behind := 10*time.Second - packetTime - last; behind.Abs() > packetTime {
		t.Errorf("after a loss the last packet is at %v, %v behind", last, behind)
	}
}

func TestLossEstimate(t *testing.T) {
	var l lossEstimate
	now := time.Unix(0, 0)
	if got := l.expected(); got != minExpectedLoss {
		t.Errorf("%d %% is expected before anything is known", got)
	}
	for _, step := range []struct {
		after time.Duration
		share float64
		want  int
	}{
		{0, 0, minExpectedLoss}, {lossDecay / 2, 0, minExpectedLoss}, {lossDecay, 0, 0}, // nothing is lost
		{time.Second, 0.01, minExpectedLoss}, {time.Second, 0.2, 20}, {time.Second, 0.05, 20}, {time.Second, 0.9, maxExpectedLoss},
		{lossDecay / 2, 0.05, maxExpectedLoss}, {lossDecay, 0.15, 15}, {lossDecay + 1, 0, 0},
	} {
		now = now.Add(step.after)
		if l.report(step.share, now); l.expected() != step.want {
			t.Errorf("%v later, with %v lost, %d %% is expected, want %d", step.after, step.share, l.expected(), step.want)
		}
	}
}

// TestMicrophoneDTXPlayback plays a microphone with two seconds of speech and two seconds of
// silence in turn.
func TestMicrophoneDTXPlayback(t *testing.T) {
	const rate, part = 48000, 480 // 10 ms
	for name, amplitude := range map[string]float64{"silence": 0, "room": 30} {
		t.Run(name, func(t *testing.T) {
			buffer, err := playout.NewBuffer(playout.Options{})
			if err != nil {
				t.Fatal(err)
			}
			packets := 0
			p, err := newPacketizer(rate, 1, 32000, func(packet []byte, at time.Duration) {
				packets++
				if err := buffer.WriteFrame(media.Frame{Codec: webrtc.MimeTypeOpus, Data: packet, ClockRate: rate,
					Timestamp: uint32(media.DurationToTicks(at, rate))}); err != nil { //nolint:gosec // small
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // for a test
			voice := mediatest.Speech(20 * rate)
			now := time.Unix(0, 0)
			p.resume(now)
			var before, after time.Duration
			for n := range 2000 { // 20 s
				pcm := make([]int16, part)
				for i := range pcm {
					if n/200%2 == 0 {
						pcm[i] = voice[n*part+i]
					}
					pcm[i] += int16(amplitude * random.NormFloat64())
				}
				now = now.Add(10 * time.Millisecond)
				if err := p.add(audiodevice.Chunk{At: now, PCM: pcm}); err != nil {
					t.Fatal(err)
				}
				buffer.Mix(make([]float32, 2*part))
				switch n {
				case 199:
					before = buffer.Stats().Delay
				case 1799:
					after = buffer.Stats().Delay
				}
			}
			s := buffer.Stats()
			if s.Underruns != 0 || s.Dropped != 0 || (after-before).Abs() > 20*time.Millisecond {
				t.Errorf("delay is %v after four silences, before %v; %+v", after, before, s)
			}
			// The last silence counts as concealed until its end.
			if s.Concealed > 2*rate || s.ComfortNoise < 4*rate || packets > 750 {
				t.Errorf("%d of 1000 packets are sent: %+v", packets, s)
			}
		})
	}
}
