package source

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// TestReceiverEnds: a receiver ends with its context or its track, and leaves nothing behind: a bubble of synctest fails
// if a goroutine is left.
func TestReceiverEnds(t *testing.T) {
	for name, end := range map[string]func(w *wire, cancel func()){
		"context": func(_ *wire, cancel func()) { cancel() },
		"track":   func(w *wire, _ func()) { close(w.packets) },
		"both":    func(w *wire, cancel func()) { close(w.packets); cancel() },
		"reports": func(w *wire, cancel func()) { close(w.reports.reports); cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(webrtc.MimeTypeOpus)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r := NewReceiver(w, ReceiverOptions{RTCP: w.reports})
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				w.packets <- audioScript(1)[0].packet
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
					close(w.packets)
				}
				if _, at := w.reports.reader.wait(); !at.IsZero() {
					t.Error("leaves a deadline on the reports")
				}
			})
		})
	}
}

// badTrack returns errors.
type badTrack struct {
	*wire
	err  error
	left int
}

func (b *badTrack) ReadRTP() (*rtp.Packet, interceptor.Attributes, error) {
	if b.left--; b.left < 0 {
		return b.wire.ReadRTP()
	}
	return nil, nil, b.err
}

// TestReceiverBadReads: packets that cannot be read do no harm, and a track that yields nothing else ends with the error.
func TestReceiverBadReads(t *testing.T) {
	broken := errors.New("not a packet")
	w := newWire(webrtc.MimeTypeOpus)
	close(w.packets)
	if err := NewReceiver(&badTrack{wire: w, err: broken, left: maxBadReads - 1}, ReceiverOptions{}).Run(context.Background()); err != nil {
		t.Error(err)
	}
	if err := NewReceiver(&badTrack{wire: w, err: broken, left: maxBadReads + 5}, ReceiverOptions{}).Run(context.Background()); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if err := NewReceiver(&badTrack{wire: w, err: os.ErrDeadlineExceeded, left: maxBadReads + 5}, ReceiverOptions{}).Run(context.Background()); err != nil {
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
	got, _ := through(t, webrtc.MimeTypeOpus, ReceiverOptions{Sinks: []media.FrameSink{fails}}, audioScript(50))
	if len(got) != 50 || fails.calls != 11 {
		t.Errorf("%d frames, and %d calls of the sink that fails", len(got), fails.calls)
	}
}

// TestReceiverCodecChange: a sender may change to another of the negotiated codecs.
func TestReceiverCodecChange(t *testing.T) {
	path := clip(t, "a.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10")
	file, all := frames(t, path, VideoOptions{})
	vp8 := script(t, file, all[:10])
	opus := audioScript(10)
	synctest.Test(t, func(t *testing.T) {
		w, c := newWire(webrtc.MimeTypeVP8), &collect{}
		r := NewReceiver(w, ReceiverOptions{Sinks: []media.FrameSink{c}})
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		for _, s := range vp8 {
			w.packets <- s.packet
		}
		synctest.Wait()
		w.codec = negotiated()[8] // not video, but a codec like others to this test
		for i, s := range opus {
			p := *s.packet
			p.SSRC, p.SequenceNumber = vp8[0].packet.SSRC, vp8[len(vp8)-1].packet.SequenceNumber+1+uint16(i) //nolint:gosec // small
			w.packets <- &p
		}
		close(w.packets)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := r.Stats(); len(c.frames) != 20 || s.Codec != "opus" || s.Lost != 0 {
			t.Errorf("%d frames, stats %+v", len(c.frames), s)
		}
	})
}

func TestSenderClock(t *testing.T) {
	got, _ := through(t, webrtc.MimeTypeOpus, ReceiverOptions{},
		withReports(audioScript(200), time.Unix(1e9, 0), time.Second, 0))
	for i, f := range got {
		if i < 50 {
			if !f.Captured.IsZero() {
				t.Errorf("packet %d is captured at %v", i, f.Captured)
			}
			continue
		}
		if d := f.Captured.Sub(time.Unix(1e9, 0)) - time.Duration(i)*opusFrame; d.Abs() > time.Microsecond {
			t.Fatalf("packet %d is off by %v", i, d)
		}
	}
}

// TestReceiverTelephoneEvents: what is no media comes in the same numbering, and is neither a frame nor lost.
func TestReceiverTelephoneEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newWire(webrtc.MimeTypeOpus), &collect{}
		opus, event := w.codec, w.codec
		event.MimeType, event.PayloadType = "audio/telephone-event", 126
		r := NewReceiver(w, ReceiverOptions{Sinks: []media.FrameSink{c}})
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		for i, s := range audioScript(30) {
			w.codec = opus
			if i < 2 || i > 10 && i < 15 {
				w.codec, s.packet.PayloadType = event, 126
			}
			w.packets <- s.packet
			synctest.Wait()
		}
		close(w.packets)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := r.Stats(); len(c.frames) != 24 || s.Codec != "opus" || s.Lost != 0 || s.Broken != 0 {
			t.Errorf("%d frames, stats %+v", len(c.frames), s)
		}
		for i, f := range c.frames {
			if f.Gap {
				t.Errorf("there is a gap before frame %d", i)
			}
		}
	})
}
