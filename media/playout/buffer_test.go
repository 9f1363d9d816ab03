package playout

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	packetTime    = 20 * time.Millisecond
	packetSamples = media.OpusClockRate / 50
)

// playback is a sender and an audio device without a network in between. Time passes only in play.
type playback struct {
	t        *testing.T
	buffer   *Buffer
	channels int
	encoder  *gopus.Encoder
	warnings []string

	packets int  // that the sender has encoded
	gap     bool // the packet before was lost
	played  []float32
}

func newPlayback(t *testing.T, channels int, application gopus.Application) *playback {
	t.Helper()
	p := &playback{t: t, channels: channels}
	var err error
	if p.buffer, err = NewBuffer(Options{Channels: channels, Warn: func(text string) { p.warnings = append(p.warnings, text) }}); err != nil {
		t.Fatal(err)
	}
	p.encoder, err = gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: channels, Application: application})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tone returns the samples of the next packet: a tone of hz with an amplitude.
func (p *playback) tone(hz, amplitude float64) []float32 {
	pcm := make([]float32, packetSamples*p.channels)
	for i := range packetSamples {
		v := float32(amplitude * math.Sin(2*math.Pi*hz*float64(p.packets*packetSamples+i)/media.OpusClockRate))
		for c := range p.channels {
			pcm[i*p.channels+c] = v
		}
	}
	return pcm
}

// noise returns the samples of the next packet: white noise with an amplitude.
func (p *playback) noise(amplitude float64) []float32 {
	random := rand.New(rand.NewPCG(1, uint64(p.packets))) //nolint:gosec // for a test
	pcm := make([]float32, packetSamples*p.channels)
	for i := range pcm {
		pcm[i] = float32(amplitude * (2*random.Float64() - 1))
	}
	return pcm
}

// encode returns the next packet.
func (p *playback) encode(pcm []float32) media.Frame {
	p.t.Helper()
	data := make([]byte, 1275)
	size, err := p.encoder.Encode(pcm, data)
	if err != nil {
		p.t.Fatal(err)
	}
	f := media.Frame{Kind: webrtc.RTPCodecTypeAudio, Codec: webrtc.MimeTypeOpus, Data: data[:size],
		Timestamp: uint32(p.packets * packetSamples), ClockRate: media.OpusClockRate, Gap: p.gap}
	p.packets++
	p.gap = false
	return f
}

func (p *playback) receive(f media.Frame) {
	p.t.Helper()
	if err := p.buffer.WriteFrame(f); err != nil {
		p.t.Fatal(err)
	}
}

// packet encodes the next 20 ms of 440 Hz and receives them unless they are lost.
func (p *playback) packet(lost bool) {
	p.t.Helper()
	f := p.encode(p.tone(440, 0.5))
	if p.gap = lost; !lost {
		p.receive(f)
	}
}

// skip has the sender send nothing for a number of packets, without a loss.
func (p *playback) skip(packets int) { p.packets += packets }

// play has the audio device take d of audio.
func (p *playback) play(d time.Duration) {
	for ; d > 0; d -= packetTime / 2 {
		pcm := make([]float32, int(min(d, packetTime/2)*media.OpusClockRate/time.Second)*p.channels)
		p.buffer.Mix(pcm)
		p.played = append(p.played, pcm...)
	}
}

// longestSilence returns the longest time without audio after the first.
func (p *playback) longestSilence() time.Duration {
	longest, run, begun := 0, 0, false
	for _, x := range p.played {
		if x > 0.02 || x < -0.02 {
			run, begun = 0, true
		} else if run++; begun {
			longest = max(longest, run)
		}
	}
	return time.Duration(longest) * time.Second / media.OpusClockRate
}

// frequency returns the frequency in Hz of the samples of one channel, by their zero crossings.
func frequency(pcm []float32) float64 {
	crossings := 0
	for i := 1; i < len(pcm); i++ {
		if pcm[i-1] < 0 && pcm[i] >= 0 {
			crossings++
		}
	}
	return float64(crossings) * media.OpusClockRate / float64(len(pcm))
}

// level returns the RMS level in dB of full scale.
func level(pcm []float32) float64 {
	sum := 0.0
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return 10 * math.Log10(sum/float64(len(pcm))+1e-12)
}

// last returns what was played in the last d.
func (p *playback) last(d time.Duration) []float32 {
	return p.played[len(p.played)-int(d*media.OpusClockRate/time.Second)*p.channels:]
}

func (p *playback) checkContinuous() {
	p.t.Helper()
	if gap := p.longestSilence(); gap > 5*time.Millisecond {
		p.t.Errorf("silent for %v", gap)
	}
	if hz := frequency(p.last(time.Second)); math.Abs(hz-440) > 4 {
		p.t.Errorf("tone has %v Hz, want 440", hz)
	}
}

func TestBufferPlaysPackets(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 100 {
		p.packet(false)
		p.play(packetTime)
	}
	p.checkContinuous()
	if s := p.buffer.Stats(); s.Underruns != 0 || s.Concealed != 0 || s.Delay > minTargetDelay+2*packetTime {
		t.Errorf("%+v", s)
	}
}

func TestBufferConcealsLosses(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for i := range 200 {
		p.packet(i%10 == 5 || i%50 == 26)
		p.play(packetTime)
	}
	p.checkContinuous()
	if s := p.buffer.Stats(); s.Concealed != 24*packetSamples || s.Underruns != 0 {
		t.Errorf("%d samples are concealed for 24 lost packets; %+v", s.Concealed, s)
	}
}

// TestBufferRecoversByFEC loses the packet in which the tone changes. Only the copy in the next
// packet has the new one.
func TestBufferRecoversByFEC(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationVoIP)
	p.encoder.SetFEC(true)
	for _, err := range []error{p.encoder.SetPacketLoss(20), p.encoder.SetBitrate(32000), p.encoder.SetSignal(gopus.SignalVoice)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	hz := 300.0
	for i := range 60 {
		if i == 50 {
			hz = 900
		}
		f := p.encode(p.tone(hz, 0.5))
		if p.gap = i == 50; !p.gap {
			p.receive(f)
		}
		p.play(packetTime)
	}
	// The delay of the buffer and of the encoder is found by the place of the change.
	at := 0
	for i := 50 * packetSamples; i+480 < len(p.played); i += 48 {
		if hz := frequency(p.played[i : i+480]); hz > 700 && hz < 1100 {
			at = i
			break
		}
	}
	delay := time.Duration(at-50*packetSamples) * time.Second / media.OpusClockRate
	if delay < 0 || delay > minTargetDelay+10*time.Millisecond {
		t.Errorf("the tone of the lost packet begins after %v, want at most %v", delay, minTargetDelay+10*time.Millisecond)
	}
}

// TestBufferFadesAfterLoss loses ten packets of a loud tone: the first ones are concealed, then it
// is silent, and the next packet is played at its time.
func TestBufferFadesAfterLoss(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	before := p.buffer.Stats()
	for range 10 {
		p.packet(true)
		p.play(packetTime)
	}
	if db := level(p.last(20 * time.Millisecond)); db > -80 {
		t.Errorf("after 200 ms of losses the level is %.0f dB, want silence", db)
	}
	p.played = nil
	for range 60 {
		p.packet(false)
		p.play(packetTime)
	}
	after := p.buffer.Stats()
	if after.Underruns != before.Underruns || (after.Delay-before.Delay).Abs() > 2*time.Millisecond {
		t.Errorf("delay is %v with %d underruns, before %v with %d", after.Delay, after.Underruns, before.Delay, before.Underruns)
	}
	if hz := frequency(p.last(time.Second)); math.Abs(hz-440) > 4 {
		t.Errorf("tone has %v Hz after the loss, want 440", hz)
	}
}

// TestBufferSmoothsJitter delays packets so that five come at a time: the first target delay is too
// short for that, and a later one is not.
func TestBufferSmoothsJitter(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	bursts := func(n int) {
		for range n {
			p.play(5 * packetTime)
			for range 5 {
				p.packet(false)
			}
		}
	}
	bursts(10)
	before := p.buffer.Stats().Underruns
	p.played = nil
	bursts(80)
	p.checkContinuous()
	if after := p.buffer.Stats().Underruns; before == 0 || after != before {
		t.Errorf("%d underruns, and then %d more; want some, and then none", before, after-before)
	}
}

// TestBufferFollowsSenderClock plays with an audio device whose clock is fast or slow.
func TestBufferFollowsSenderClock(t *testing.T) {
	for name, slot := range map[string]time.Duration{
		"fast": packetTime * 1002 / 1000,
		"slow": packetTime * 998 / 1000,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayback(t, 1, gopus.ApplicationAudio)
			for range 1500 { // in which the clocks drift apart by 60 ms
				p.packet(false)
				p.play(slot)
			}
			p.checkContinuous()
			if s := p.buffer.Stats(); s.Underruns != 0 || s.Dropped != 0 || s.Delay > minTargetDelay+3*packetTime {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestBufferCatchesUp holds packets back for 800 ms. What then comes at once is dropped, not played
// late for the rest of the call.
func TestBufferCatchesUp(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	p.play(800 * time.Millisecond)
	for range 40 {
		p.packet(false)
	}
	for range 100 {
		p.packet(false)
		p.play(packetTime)
	}
	s := p.buffer.Stats()
	if s.Delay > minTargetDelay+targetDelayStep+maxExcessDelay || s.Dropped == 0 || s.Underruns != 1 {
		t.Errorf("%+v", s)
	}
}

// TestBufferDTX has a sender fall silent (RFC 7587 section 3.1.3): it skips packets, sends some
// with a table of contents alone, or mixes both, as Opus encoders and senders do. Sequence numbers
// stay contiguous, and timestamps go on.
func TestBufferDTX(t *testing.T) {
	// Encoders stop after some packets of silence.
	toc := func(f media.Frame, n int) media.Frame {
		if n >= 10 {
			f.Data = f.Data[:1]
		}
		return f
	}
	var late media.Frame
	for name, quiet := range map[string]func(p *playback, n int){
		"update every 400 ms": func(p *playback, n int) {
			if f := p.encode(p.noise(0.001)); n < 10 || n%20 == 0 {
				p.receive(f)
			}
		},
		"contents alone every 400 ms": func(p *playback, n int) {
			if f := p.encode(p.noise(0.001)); n < 10 || n%20 == 0 {
				p.receive(toc(f, n))
			}
		},
		"contents alone every 20 ms": func(p *playback, n int) { p.receive(toc(p.encode(p.noise(0.001)), n)) },
		"nothing at all":             func(p *playback, _ int) { p.skip(1) },
		"every second update 20 ms late": func(p *playback, n int) {
			switch f := p.encode(p.noise(0.001)); {
			case n < 10, n%40 == 20:
				p.receive(f)
			case n%40 == 0:
				late = f
			case n%40 == 1:
				p.receive(late)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayback(t, 1, gopus.ApplicationVoIP)
			talk := func(n int) {
				for range n {
					p.packet(false)
					p.play(packetTime)
				}
			}
			talk(50)
			before := p.buffer.Stats()
			for spurt := range 4 {
				for n := range 110 {
					quiet(p, n)
					p.play(packetTime)
				}
				if db := level(p.last(300 * time.Millisecond)); db > -40 {
					t.Fatalf("silence %d has a level of %.0f dB", spurt, db)
				}
				talk(20)
				if s := p.buffer.Stats(); s.Underruns != 0 || s.Delay > before.Delay+50*time.Millisecond || s.Dropped != 0 {
					t.Fatalf("after silence %d: %+v, before: %+v", spurt, s, before)
				}
				if hz := frequency(p.last(300 * time.Millisecond)); math.Abs(hz-440) > 8 {
					t.Errorf("after silence %d the tone has %v Hz, want 440", spurt, hz)
				}
			}
			if p.buffer.targetDelay != minTargetDelay {
				t.Errorf("target delay is %v, want %v", p.buffer.targetDelay, minTargetDelay)
			}
		})
	}
}

// TestBufferComfortNoise compares the level of the background noise during DTX with the level
// before.
func TestBufferComfortNoise(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationVoIP)
	for range 100 {
		p.receive(p.encode(p.noise(0.004)))
		p.play(packetTime)
	}
	want := level(p.last(500 * time.Millisecond))
	for range 5 {
		p.skip(19)
		p.play(20 * packetTime)
		if got := level(p.last(200 * time.Millisecond)); math.Abs(got-want) > 12 {
			t.Errorf("comfort noise has a level of %.0f dB, want about %.0f", got, want)
		}
		p.receive(p.encode(p.noise(0.004)))
	}
	if s := p.buffer.Stats(); s.Underruns != 0 || s.Concealed != 0 || s.ComfortNoise < 5*18*packetSamples {
		t.Errorf("%+v", s)
	}
}

// TestBufferTellsLateFromDTX delays packets by 100 ms once. Their timestamps are contiguous, so
// that this is an underrun.
func TestBufferTellsLateFromDTX(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	p.play(100 * time.Millisecond)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	if s := p.buffer.Stats(); s.Underruns != 1 || p.buffer.targetDelay != minTargetDelay+targetDelayStep {
		t.Errorf("target delay is %v, want %v; %+v", p.buffer.targetDelay, minTargetDelay+targetDelayStep, s)
	}
}

// TestBufferTimestampJumps has timestamps jump by more or less than time passes, as after a change
// of the source.
func TestBufferTimestampJumps(t *testing.T) {
	for _, jump := range []int{100 * media.OpusClockRate, -100 * media.OpusClockRate, 3 * media.OpusClockRate / 10, math.MaxInt32, 0} {
		p := newPlayback(t, 1, gopus.ApplicationAudio)
		offset := 0
		for i := range 300 {
			if i == 100 {
				offset = jump
			}
			f := p.encode(p.tone(440, 0.5))
			f.Timestamp += uint32(int32(offset)) //nolint:gosec // wraps by design
			p.receive(f)
			p.play(packetTime)
		}
		s := p.buffer.Stats()
		if s.Underruns != 0 || s.Delay > minTargetDelay+maxExcessDelay {
			t.Errorf("jump of %d: %+v", jump, s)
		}
		if hz := frequency(p.last(time.Second)); math.Abs(hz-440) > 4 {
			t.Errorf("jump of %d: tone has %v Hz, want 440", jump, hz)
		}
	}
}

// TestBufferStereo plays a tone in the left channel and another in the right one.
func TestBufferStereo(t *testing.T) {
	p := newPlayback(t, 2, gopus.ApplicationAudio)
	for range 100 {
		pcm, other := p.tone(440, 0.5), p.tone(880, 0.25)
		for i := 1; i < len(pcm); i += 2 {
			pcm[i] = other[i]
		}
		p.receive(p.encode(pcm))
		p.play(packetTime)
	}
	var sides [2][]float32
	for i, x := range p.last(time.Second) {
		sides[i%2] = append(sides[i%2], x)
	}
	for i, want := range []float64{440, 880} {
		if hz := frequency(sides[i]); math.Abs(hz-want) > 4 {
			t.Errorf("channel %d has %v Hz, want %v", i, hz, want)
		}
	}
}

// g711 returns a packet of G.711 with 20 ms of a tone, by the nearest value of each sample.
func g711(mime string, n int, hz float64) media.Frame {
	decode := codec.DecodeMuLaw
	if mime == webrtc.MimeTypePCMA {
		decode = codec.DecodeALaw
	}
	var values [256]float64
	for b := range values {
		values[b] = float64(decode(byte(b)))
	}
	f := media.Frame{Kind: webrtc.RTPCodecTypeAudio, Codec: mime, ClockRate: 8000, Timestamp: uint32(n * 160)}
	for i := range 160 {
		want, best := 0.5*math.Sin(2*math.Pi*hz*float64(n*160+i)/8000), 0
		for b, v := range values {
			if math.Abs(v-want) < math.Abs(values[best]-want) {
				best = b
			}
		}
		f.Data = append(f.Data, byte(best))
	}
	return f
}

// TestBufferG711 plays µ-law and A-law in one and two channels.
func TestBufferG711(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypePCMU, webrtc.MimeTypePCMA} {
		for _, channels := range []int{1, 2} {
			p := newPlayback(t, channels, gopus.ApplicationAudio)
			for n := range 100 {
				p.receive(g711(mime, n, 440))
				p.play(packetTime)
			}
			for c := range channels {
				var side []float32
				for i, x := range p.last(time.Second) {
					if i%channels == c {
						side = append(side, x)
					}
				}
				if hz := frequency(side); math.Abs(hz-440) > 4 {
					t.Errorf("%s in channel %d of %d: tone has %v Hz, want 440", mime, c+1, channels, hz)
				}
				if db := level(side); math.Abs(db - -9.03) > 0.5 {
					t.Errorf("%s in channel %d of %d: level is %.1f dB, want -9.0", mime, c+1, channels, db)
				}
			}
			if s := p.buffer.Stats(); s.Underruns != 0 || s.Concealed != 0 || s.Delay > minTargetDelay+2*packetTime {
				t.Errorf("%s: %+v", mime, s)
			}
		}
	}
}

// TestBufferG711Loss loses every tenth packet of G.711.
func TestBufferG711Loss(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	gap := false
	for n := range 200 {
		if f := g711(webrtc.MimeTypePCMU, n, 440); n%10 == 5 {
			gap = true
		} else {
			f.Gap, gap = gap, false
			p.receive(f)
		}
		p.play(packetTime)
	}
	if s := p.buffer.Stats(); s.Underruns != 0 || s.Concealed != 20*packetSamples || s.Delay > minTargetDelay+2*packetTime {
		t.Errorf("%+v", s)
	}
}

// TestBufferCodecChange changes from Opus to µ-law, to G.722, which is not played, and back to
// Opus.
func TestBufferCodecChange(t *testing.T) {
	p := newPlayback(t, 1, gopus.ApplicationAudio)
	for range 50 {
		p.packet(false)
		p.play(packetTime)
	}
	for n := range 100 {
		p.receive(g711(webrtc.MimeTypePCMU, n, 600))
		p.play(packetTime)
	}
	if hz := frequency(p.last(time.Second)); math.Abs(hz-600) > 4 {
		t.Errorf("µ-law has %v Hz, want 600", hz)
	}
	for n := range 100 {
		f := g711(webrtc.MimeTypePCMU, n, 600)
		f.Codec = webrtc.MimeTypeG722
		p.receive(f)
		p.play(packetTime)
	}
	if db := level(p.last(time.Second)); db > -80 {
		t.Errorf("G.722 is played with %.0f dB, want silence", db)
	}
	if len(p.warnings) != 1 || !strings.Contains(p.warnings[0], "G722") {
		t.Errorf("warnings are %q, want one about G722", p.warnings)
	}
	for range 100 {
		p.packet(false)
		p.play(packetTime)
	}
	if hz := frequency(p.last(time.Second)); math.Abs(hz-440) > 4 {
		t.Errorf("Opus has %v Hz, want 440", hz)
	}
	if s := p.buffer.Stats(); s.Underruns != 0 {
		t.Errorf("%+v", s)
	}
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0xfc, 1, 2, 3}, uint32(960), true, uint8(0))
	f.Add([]byte{0x08}, uint32(19200), false, uint8(0))
	f.Add([]byte{0xff, 0x7f, 0}, uint32(160), false, uint8(1))
	f.Fuzz(func(t *testing.T, packet []byte, step uint32, gap bool, format uint8) {
		b, err := NewBuffer(Options{})
		if err != nil {
			t.Fatal(err)
		}
		mime := []string{webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA, webrtc.MimeTypeG722, ""}[format%5]
		pcm := make([]float32, 2*packetSamples)
		for i := range uint32(8) {
			if err := b.WriteFrame(media.Frame{Codec: mime, Data: packet, Timestamp: i * step, Gap: gap, ClockRate: uint32(format) * 1000}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				clear(pcm)
				b.Mix(pcm)
				for _, x := range pcm {
					if math.IsNaN(float64(x)) || x > 1 || x < -1 {
						t.Fatalf("sample %v", x)
					}
				}
			}
		}
	})
}
