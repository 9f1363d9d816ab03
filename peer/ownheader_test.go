package peer

import (
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// TestRequestsAtOnce: requests for the same packets that come at once are answered without a race, which the race
// detector sees.
func TestRequestsAtOnce(t *testing.T) {
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	bw, err := newBandwidth()
	if err != nil {
		t.Fatal(err)
	}
	if err := addInterceptors(engine, registry, &pionLog{log: slog.New(slog.DiscardHandler)}, newMeter(nil), bw); err != nil {
		t.Fatal(err)
	}
	chain, err := registry.Build("test")
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	const ssrc, packets, requests = 7, 17, 200
	var sent atomic.Int64
	w := chain.BindLocalStream(&interceptor.StreamInfo{
		SSRC: ssrc, MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
		RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: sdp.TransportCCURI, ID: 5}},
	}, interceptor.RTPWriterFunc(func(*rtp.Header, []byte, interceptor.Attributes) (int, error) {
		sent.Add(1)
		return 0, nil
	}))
	for n := range uint16(packets) {
		if _, err := w.Write(&rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: n}, make([]byte, 100), interceptor.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	request, err := (&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: 0, LostPackets: 0xffff}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	left := requests
	r := chain.BindRTCPReader(interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		if left--; left < 0 {
			return 0, nil, io.EOF
		}
		return copy(b, request), a, nil
	}))
	buffer := make([]byte, 1500)
	for err = nil; err == nil; _, _, err = r.Read(buffer, interceptor.Attributes{}) {
	}
	for end := time.Now().Add(deadline); sent.Load() <= packets; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was sent again")
		}
	}
}
