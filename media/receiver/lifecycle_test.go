package receiver

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// TestReceiverEnds: a receiver ends with its context or its track, and leaves nothing behind: a
// bubble of synctest fails if a goroutine is left.
func TestReceiverEnds(t *testing.T) {
	for name, end := range map[string]func(w *mediatest.Wire, cancel func()){
		"context": func(_ *mediatest.Wire, cancel func()) { cancel() },
		"track":   func(w *mediatest.Wire, _ func()) { close(w.Packets) },
		"both":    func(w *mediatest.Wire, cancel func()) { close(w.Packets); cancel() },
		"reports": func(w *mediatest.Wire, cancel func()) { close(w.Reports); cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := mediatest.NewWire(webrtc.MimeTypeOpus)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r := New(w, Options{RTCP: w.RTCP()})
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				w.Packets <- audioScript(1)[0].Packet
				synctest.Wait()
				if s := r.Stats(); s.Packets != 1 {
					t.Errorf("stats are %+v", s)
				}
				end(w, cancel)
				synctest.Wait()
				select {
				case err := <-done:
					if err != nil {
						t.Error(err)
					}
				default:
					t.Error("does not end")
					close(w.Packets)
				}
				if at := w.RTCP().Deadline(); !at.IsZero() {
					t.Error("leaves a deadline on the reports")
				}
			})
		})
	}
}

// badTrack returns errors.
type badTrack struct {
	*mediatest.Wire
	err  error
	left int
}

func (b *badTrack) Read(buffer []byte) (int, interceptor.Attributes, error) {
	if b.left--; b.left < 0 {
		return b.Wire.Read(buffer)
	}
	return 0, nil, b.err
}

// TestReceiverBadReads: packets that cannot be read do no harm, and a track that yields nothing
// else ends with the error.
func TestReceiverBadReads(t *testing.T) {
	broken := errors.New("not a packet")
	w := mediatest.NewWire(webrtc.MimeTypeOpus)
	close(w.Packets)
	if err := New(&badTrack{Wire: w, err: broken, left: maxReadErrors - 1}, Options{}).Run(context.Background()); err != nil {
		t.Error(err)
	}
	if err := New(&badTrack{Wire: w, err: broken, left: maxReadErrors + 5}, Options{}).Run(context.Background()); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if err := New(&badTrack{Wire: w, err: os.ErrDeadlineExceeded, left: maxReadErrors + 5}, Options{}).Run(context.Background()); err != nil {
		t.Error(err)
	}
}

// failSink fails after some frames.
type failSink struct{ left, calls int }

func (f *failSink) WriteFrame(media.Frame) error {
	f.calls++
	if f.left--; f.left < 0 {
		return errors.New("full")
	}
	return nil
}

// TestReceiverSinkFails: a sink that fails is left alone, and the others go on.
func TestReceiverSinkFails(t *testing.T) {
	fails := &failSink{left: 10}
	got, _ := receive(t, webrtc.MimeTypeOpus, Options{Sinks: []media.FrameSink{fails}}, audioScript(50))
	if len(got) != 50 || fails.calls != 11 {
		t.Errorf("%d frames, and %d calls of the sink that fails", len(got), fails.calls)
	}
}

// withReports adds a sender report each second from the first second on.
func withReports(sent []mediatest.Sent, sender time.Time) (out []mediatest.Sent) {
	due := time.Second
	for _, s := range sent {
		if s.At >= due {
			captured := sender.Add(s.At)
			seconds := uint64(captured.Unix()+2208988800) << 32 //nolint:gosec // after 1900
			fraction := uint64(captured.Nanosecond()) << 32 / 1e9
			out = append(out, mediatest.Sent{At: s.At, Report: &rtcp.SenderReport{
				SSRC: s.Packet.SSRC, NTPTime: seconds | fraction, RTPTime: s.Packet.Timestamp,
			}})
			due += time.Second
		}
		out = append(out, s)
	}
	return out
}

func TestSenderClock(t *testing.T) {
	got, _ := receive(t, webrtc.MimeTypeOpus, Options{},
		withReports(audioScript(200), time.Unix(1e9, 0)))
	for i, f := range got {
		if i < 50 {
			if !f.Captured.IsZero() {
				t.Errorf("packet %d is captured at %v", i, f.Captured)
			}
			continue
		}
		if d := f.Captured.Sub(time.Unix(1e9, 0)) - time.Duration(i)*20*time.Millisecond; d.Abs() > time.Microsecond {
			t.Fatalf("packet %d is off by %v", i, d)
		}
	}
}

// TestReceiverTelephoneEvents: what is no media comes in the same numbering, and is neither a frame
// nor lost.
func TestReceiverTelephoneEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := mediatest.NewWire(webrtc.MimeTypeOpus), &mediatest.FrameList{}
		opus, event := w.Parameters, w.Parameters
		event.MimeType, event.PayloadType = "audio/telephone-event", 126
		r := New(w, Options{Sinks: []media.FrameSink{c}})
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		for i, s := range audioScript(30) {
			w.Parameters = opus
			if i < 2 || i > 10 && i < 15 {
				w.Parameters, s.Packet.PayloadType = event, 126
			}
			w.Packets <- s.Packet
			synctest.Wait()
		}
		close(w.Packets)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := r.Stats(); len(c.Frames) != 24 || s.Codec != "opus" || s.Lost != 0 || s.Broken != 0 {
			t.Errorf("%d frames, stats %+v", len(c.Frames), s)
		}
		for i, f := range c.Frames {
			if f.Gap {
				t.Errorf("there is a gap before frame %d", i)
			}
		}
	})
}

// kindTrack is a track of a kind that is not read.
type kindTrack struct {
	RemoteTrack
	kind webrtc.RTPCodecType
}

func (k kindTrack) Kind() webrtc.RTPCodecType { return k.kind }

// TestWaitFollowsRTT: video waits as long as a retransmission takes. Audio, which is not
// retransmitted, waits no longer.
func TestWaitFollowsRTT(t *testing.T) {
	const video, audio = webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio
	for _, c := range []struct {
		kind            webrtc.RTPCodecType
		wait, rtt, want time.Duration
	}{
		{video, 0, 0, 250 * time.Millisecond},
		{video, 0, 20 * time.Millisecond, 250 * time.Millisecond},
		{video, 0, 400 * time.Millisecond, 750 * time.Millisecond},
		{video, 0, 5 * time.Second, 2 * time.Second},
		{video, 3 * time.Second, 400 * time.Millisecond, 3 * time.Second},
		{audio, 0, 400 * time.Millisecond, 250 * time.Millisecond},
	} {
		rtt := c.rtt
		r := New(kindTrack{kind: c.kind}, Options{Wait: c.wait, RTT: func() time.Duration { return rtt }})
		now := time.Unix(1000, 0)
		r.updateWait(now)
		if r.buffer.maxWait != c.want {
			t.Errorf("%v with %v and an RTT of %v waits %v, want %v", c.kind, c.wait, c.rtt, r.buffer.maxWait, c.want)
		}
		rtt = time.Millisecond
		if r.updateWait(now.Add(time.Second / 2)); r.buffer.maxWait != c.want {
			t.Errorf("RTT was called again after half a second")
		}
		if r.updateWait(now.Add(time.Second)); r.buffer.maxWait != max(c.wait, defaultWait) {
			t.Errorf("a shorter RTT leaves the wait at %v", r.buffer.maxWait)
		}
	}
}
