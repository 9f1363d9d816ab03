//go:build !quick

package receiver

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/internal/mediatest"
)

// TestReceiverCodecChange: a sender may change to another of the negotiated codecs.
func TestReceiverCodecChange(t *testing.T) {
	vp8 := mediatest.Packetize(webrtc.MimeTypeVP8, videoSamples(t)[webrtc.MimeTypeVP8][:10])
	opus := audioScript(10)
	synctest.Test(t, func(t *testing.T) {
		w, c := mediatest.NewWire(webrtc.MimeTypeVP8), &mediatest.FrameList{}
		r := New(w, Options{Sinks: []media.FrameSink{c}})
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		for _, s := range vp8 {
			w.Packets <- s.Packet
		}
		synctest.Wait()
		w.Parameters = mediatest.CodecParameters(webrtc.MimeTypeOpus) // not video, but a codec like others to this test
		for i, s := range opus {
			p := *s.Packet
			p.SSRC, p.SequenceNumber = vp8[0].Packet.SSRC, vp8[len(vp8)-1].Packet.SequenceNumber+1+uint16(i) //nolint:gosec // small
			w.Packets <- &p
		}
		close(w.Packets)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := r.Stats(); len(c.Frames) != 20 || s.Codec != "opus" || s.Lost != 0 {
			t.Errorf("%d frames, stats %+v", len(c.Frames), s)
		}
	})
}

func TestReceiveWhole(t *testing.T) {
	for mime, all := range videoSamples(t) {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			got, stats := receive(t, mime, Options{}, mediatest.Packetize(mime, all))
			if len(got) != 50 || stats.Frames != 50 || stats.KeyFrames != 5 || stats.Broken != 0 || stats.Lost != 0 {
				t.Fatalf("got %d frames, stats %+v", len(got), stats)
			}
			for i, f := range got {
				if want := withoutDelimiters(mime, all[i].Data); !bytes.Equal(f.Data, want) {
					t.Fatalf("frame %d has %d bytes, sent were %d", i, len(f.Data), len(want))
				}
				if f.Timestamp-got[0].Timestamp != uint32(all[i].Time) || f.Key != (i%10 == 0) || f.Gap {
					t.Errorf("frame %d is %+v", i, f)
				}
			}
			if stats.Width != 160 || stats.Height != 120 || stats.FrameRate < 24.9 || stats.FrameRate > 25.1 {
				t.Errorf("stats are %+v", stats)
			}
		})
	}
}

// TestReceiveShuffled: whatever the network does short of loss, all frames arrive, in order, whole.
func TestReceiveShuffled(t *testing.T) {
	for mime, all := range videoSamples(t) {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			for seed := range uint64(5) {
				lines, _, doubled := mediatest.Shuffle(mediatest.Packetize(mime, all), seed, 0.2, 0, 0.1)
				got, stats := receive(t, mime, Options{}, lines)
				if len(got) != 50 || stats.Lost != 0 || stats.Broken != 0 || stats.Duplicates != uint64(doubled) {
					t.Fatalf("seed %d: got %d frames, %d packets doubled, stats %+v", seed, len(got), doubled, stats)
				}
				for i, f := range got {
					if !bytes.Equal(f.Data, withoutDelimiters(mime, all[i].Data)) || f.Gap {
						t.Fatalf("seed %d: frame %d differs", seed, i)
					}
				}
			}
		})
	}
}

// TestReceiveLoss: what arrives is whole, each loss shows as a gap, and a key frame is asked for.
func TestReceiveLoss(t *testing.T) {
	for mime, all := range videoSamples(t) {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			whole := make(map[string]int)
			for i, s := range all {
				whole[string(withoutDelimiters(mime, s.Data))] = i
			}
			asked := 0
			for seed := range uint64(10) {
				lines, dropped, _ := mediatest.Shuffle(mediatest.Packetize(mime, all), seed, 0.1, 0.05, 0)
				requests := 0
				got, stats := receive(t, mime, Options{RequestKeyFrame: func() { requests++ }}, lines)
				last := -1
				for _, f := range got {
					i, ok := whole[string(f.Data)]
					if !ok && mime == webrtc.MimeTypeH264 && f.Gap {
						i, ok = withoutParameters(all, f.Data)
					}
					if !ok {
						t.Fatalf("seed %d: a frame of %d bytes was never sent", seed, len(f.Data))
					}
					if i <= last || i > last+1 && !f.Gap {
						t.Fatalf("seed %d: frame %d after %d, gap %v", seed, i, last, f.Gap)
					}
					last = i
				}
				// Packets lost at the very ends cannot be known.
				if int(stats.Lost) > dropped || int(stats.Lost) < dropped-3 || len(got) > 50-int(stats.Broken) {
					t.Errorf("seed %d: %d packets dropped, %d frames, stats %+v", seed, dropped, len(got), stats)
				}
				if requests > 5 || stats.KeyFrameRequests != uint64(requests) {
					t.Errorf("seed %d: %d requests for key frames in 2 s", seed, requests)
				}
				asked += requests
			}
			if asked < 20 { // one at the start of each, and at least one after a loss
				t.Errorf("%d requests for key frames", asked)
			}
		})
	}
}
