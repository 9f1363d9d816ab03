package receiver

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/internal/mediatest"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// videoSamples returns 50 frames of every video codec, with a key frame every 10.
func videoSamples(t testing.TB) map[string][]media.Sample {
	t.Helper()
	all := make(map[string][]media.Sample)
	for mime, clip := range map[string]string{
		webrtc.MimeTypeVP8:  mediatest.Clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeVP9:  mediatest.Clip(t, "vp9.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeAV1:  mediatest.Clip(t, "av1.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeH264: mediatest.Clip(t, "h264.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3", "-b:v", "2M"),
	} {
		open := ivf.NewDemuxer
		if mime == webrtc.MimeTypeH264 {
			open = annexb.NewDemuxer
		}
		_, all[mime] = mediatest.Demux(t, open, mediatest.ReadFile(t, clip))
	}
	return all
}

// receive runs packets through a Receiver in a synctest bubble, where waiting takes no time.
func receive(t *testing.T, mime string, o Options, sent []mediatest.Sent) (frames []media.Frame, stats Stats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, list := mediatest.NewWire(mime), &mediatest.FrameList{}
		o.Sinks = append([]media.FrameSink{list}, o.Sinks...)
		o.RTCP = w.RTCP()
		r := New(w, o)
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		w.Play(sent)
		if err := <-done; err != nil {
			t.Error(err)
		}
		frames, stats = list.Frames, r.Stats()
	})
	return frames, stats
}

// withoutDelimiters is a temporal unit of AV1 as it is on the network.
func withoutDelimiters(mime string, unit []byte) []byte {
	if mime == webrtc.MimeTypeAV1 {
		return bytes.TrimPrefix(unit, codec.AV1TemporalDelimiter())
	}
	return unit
}

// withoutParameters finds the key frame that lost parameter sets before it: nothing in its slices
// says that they are missing.
func withoutParameters(all []media.Sample, data []byte) (int, bool) {
	for i, s := range all {
		if bytes.HasSuffix(s.Data, data) && codec.ParseH264(data).Key {
			return i, true
		}
	}
	return 0, false
}

// audioScript is a script of Opus packets of 20 ms whose payload is their number.
func audioScript(n int) []mediatest.Sent {
	var lines []mediatest.Sent
	for i := range n {
		lines = append(lines, mediatest.Sent{At: time.Duration(i) * 20 * time.Millisecond, Packet: &rtp.Packet{
			Header: rtp.Header{
				Version: 2, PayloadType: 111, SSRC: 1,
				SequenceNumber: uint16(65500 + i), Timestamp: uint32(1<<32 - 48000 + i*960), //nolint:gosec // wraps on purpose
			},
			Payload: []byte{0xF8, byte(i), byte(i >> 8)},
		}})
	}
	return lines
}

func numbers(frames []media.Frame) []int {
	var all []int
	for _, f := range frames {
		all = append(all, int(f.Data[1])|int(f.Data[2])<<8)
	}
	return all
}

func TestReceiveWaitsForRetransmission(t *testing.T) {
	lines := audioScript(100)
	late := lines[50]
	lines = append(lines[:50:50], lines[51:]...)
	for _, test := range []struct {
		delay time.Duration
		whole bool
	}{{200 * time.Millisecond, true}, {300 * time.Millisecond, false}} {
		again := mediatest.Sent{Packet: late.Packet, At: late.At + test.delay}
		var with []mediatest.Sent
		for _, s := range lines {
			if again.Packet != nil && s.At > again.At {
				with, again.Packet = append(with, again), nil
			}
			with = append(with, s)
		}
		got, stats := receive(t, webrtc.MimeTypeOpus, Options{}, with)
		switch {
		case test.whole && (len(got) != 100 || stats.Lost != 0):
			t.Errorf("after %v: %d frames, stats %+v", test.delay, len(got), stats)
		case !test.whole && (len(got) != 99 || stats.Lost != 1 || !got[50].Gap):
			t.Errorf("after %v: %d frames, stats %+v", test.delay, len(got), stats)
		}
		for i, n := range numbers(got) {
			if i > 0 && n <= numbers(got)[i-1] {
				t.Fatalf("frame %d came after %d", n, numbers(got)[i-1])
			}
		}
	}
}

func TestReceiveWaitIsBounded(t *testing.T) {
	// A packet is missing, and no other arrives: the packets that wait are emitted when the wait
	// ends.
	lines := audioScript(10)
	last := mediatest.Sent{Packet: lines[9].Packet, At: lines[9].At + 3*time.Second}
	lines = append(lines[:5:5], lines[6:9]...)
	lines = append(lines, last)
	sink := &times{}
	receive(t, webrtc.MimeTypeOpus, Options{Sinks: []media.FrameSink{sink}}, lines)
	if len(sink.at) != 9 {
		t.Fatalf("%d frames", len(sink.at))
	}
	// Packet 6 came at 120 ms and could wait for 5 until 370 ms.
	if d := sink.at[5].Sub(sink.at[0]); d != 370*time.Millisecond {
		t.Errorf("packet 6 was emitted after %v", d)
	}
	// By number: with a wait of 4 packets the fifth behind a gap moves on.
	sink = &times{}
	lines = audioScript(30)
	receive(t, webrtc.MimeTypeOpus, Options{Sinks: []media.FrameSink{sink}, WaitPackets: 4}, append(lines[:5:5], lines[6:]...))
	if d := sink.at[5].Sub(sink.at[0]); d != 200*time.Millisecond {
		t.Errorf("packet 6 was emitted after %v", d)
	}
}

// times is a sink that keeps when frames came.
type times struct{ at []time.Time }

func (c *times) WriteFrame(media.Frame) error {
	c.at = append(c.at, time.Now())
	return nil
}

func TestReceiveOddPackets(t *testing.T) {
	lines := audioScript(100)
	add := func(i int, change func(p *rtp.Packet)) {
		p := *lines[i].Packet
		change(&p)
		lines = append(lines[:i+1], append([]mediatest.Sent{{Packet: &p, At: lines[i].At}}, lines[i+1:]...)...)
	}
	// A stray number is dropped, and does not disturb the others.
	add(20, func(p *rtp.Packet) { p.SequenceNumber += 20000 })
	got, stats := receive(t, webrtc.MimeTypeOpus, Options{}, lines)
	if len(got) != 100 || stats.Lost != 0 {
		t.Errorf("stray: %d frames, stats %+v", len(got), stats)
	}
	// A sender that begins anew is followed from the second packet on.
	lines = audioScript(100)
	for _, s := range lines[50:] {
		s.Packet.SequenceNumber += 30000
	}
	got, stats = receive(t, webrtc.MimeTypeOpus, Options{}, lines)
	if len(got) != 99 || stats.Lost != 0 || !got[50].Gap {
		t.Errorf("restart: %d frames, stats %+v", len(got), stats)
	}
	// Another SSRC is followed at once.
	lines = audioScript(100)
	for _, s := range lines[50:] {
		s.Packet.SSRC = 2
		s.Packet.SequenceNumber += 12345
		s.Packet.Timestamp += 999999
	}
	got, stats = receive(t, webrtc.MimeTypeOpus, Options{}, lines)
	if len(got) != 100 || stats.Lost != 0 || stats.SSRC != 2 || !got[50].Gap || got[50].SSRC != 2 {
		t.Errorf("new SSRC: %d frames, stats %+v", len(got), stats)
	}
	// Padding counts as a packet and is no frame.
	lines = audioScript(100)
	lines[30].Packet.Payload, lines[30].Packet.Padding, lines[30].Packet.Header.PaddingSize = nil, true, 200
	got, stats = receive(t, webrtc.MimeTypeOpus, Options{}, lines)
	if len(got) != 99 || stats.Packets != 100 || stats.Lost != 0 || got[30].Gap {
		t.Errorf("padding: %d frames, stats %+v", len(got), stats)
	}
}

// TestReceiverReportsChanges: Changed is called for each packet, after the sinks have got its
// frames.
func TestReceiverReportsChanges(t *testing.T) {
	var frames int
	var changes []int
	receive(t, webrtc.MimeTypeOpus, Options{
		Sinks:   []media.FrameSink{sinkFunc(func(media.Frame) { frames++ })},
		Changed: func() { changes = append(changes, frames) },
	}, audioScript(3))
	if want := []int{1, 2, 3, 3}; !slices.Equal(changes, want) {
		t.Errorf("frames at each change: got %v, want %v", changes, want)
	}
}
