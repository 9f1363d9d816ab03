//go:build !quick

package recorder

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/receiver"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// remoteTrack is a receiver.RemoteTrack of frames that fit into one packet each.
type remoteTrack struct {
	codec  webrtc.RTPCodecParameters
	frames []media.Frame
	sent   int
}

func (r *remoteTrack) Kind() webrtc.RTPCodecType        { return media.KindOf(r.codec.MimeType) }
func (r *remoteTrack) Codec() webrtc.RTPCodecParameters { return r.codec }
func (r *remoteTrack) SetReadDeadline(time.Time) error  { return nil }

func (r *remoteTrack) Read(b []byte) (int, interceptor.Attributes, error) {
	if r.sent == len(r.frames) {
		return 0, nil, io.EOF
	}
	f := r.frames[r.sent]
	if r.sent > 0 {
		time.Sleep(f.Arrival.Sub(r.frames[r.sent-1].Arrival)) // in a bubble of synctest
	}
	header := rtp.Header{Version: 2, SequenceNumber: uint16(r.sent), Timestamp: f.Timestamp, SSRC: 1, PayloadType: uint8(r.codec.PayloadType)} //nolint:gosec // few
	r.sent++
	n, err := (&rtp.Packet{Header: header, Payload: f.Data}).MarshalTo(b)
	return n, nil, err
}

// TestG711Call records what a receiver hands on of a call with G.711: the audio is in the file.
func TestG711Call(t *testing.T) {
	for name, mime := range map[string]string{"a.webm": "audio/pcmu", "b.webm": "audio/PCMA", "a.mkv": "audio/PCMU"} {
		frames := g711Frames(t, media.CanonicalMIME(mime))
		recorder, path := newRecorder(t, name, Options{})
		synctest.Test(t, func(t *testing.T) {
			track := &remoteTrack{frames: frames, codec: webrtc.RTPCodecParameters{PayloadType: 8,
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: g711Rate}}}
			sink := addTrack(t, recorder, mime)
			if err := receiver.New(track, receiver.Options{Sinks: []media.FrameSink{sink}}).Run(t.Context()); err != nil {
				t.Error(err)
			}
			closeRecorder(t, recorder)
		})
		hasTone(t, path, 440, 1.95)
	}
}
