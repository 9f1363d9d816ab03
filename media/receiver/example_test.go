package receiver_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/receiver"
)

// remote is a track of three packets. In a call, a *webrtc.TrackRemote takes its place.
type remote struct{ next uint16 }

func (r *remote) Read(b []byte) (int, interceptor.Attributes, error) {
	if r.next == 3 {
		return 0, nil, io.EOF
	}
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 111, SSRC: 1, SequenceNumber: r.next, Timestamp: 960 * uint32(r.next)},
		Payload: []byte{0xf8, 0xff, 0xfe},
	}
	r.next++
	n, err := p.MarshalTo(b)
	return n, nil, err
}

func (r *remote) SetReadDeadline(time.Time) error { return nil }
func (r *remote) Kind() webrtc.RTPCodecType       { return webrtc.RTPCodecTypeAudio }

func (r *remote) Codec() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000}}
}

// printer is a sink that prints frames.
type printer struct{}

func (printer) WriteFrame(f media.Frame) error {
	fmt.Println(f.Codec, len(f.Data), "bytes at", f.Timestamp)
	return nil
}

// A receiver reads a remote track and writes its frames to sinks, until the track ends.
func ExampleReceiver() {
	r := receiver.New(&remote{}, receiver.Options{Sinks: []media.FrameSink{printer{}}})
	fmt.Println(r.Run(context.Background()))
	// Output:
	// audio/opus 3 bytes at 0
	// audio/opus 3 bytes at 960
	// audio/opus 3 bytes at 1920
	// <nil>
}
