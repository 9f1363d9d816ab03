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

const (
	chainSSRC   = 7
	chainNumber = 5 // the extension with the transport-wide number
)

// newChain is what a stream of ours goes through, and the writer of the stream; sent gets what leaves.
func newChain(t *testing.T, sent func(*rtp.Header)) (interceptor.Interceptor, interceptor.RTPWriter) {
	t.Helper()
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
	t.Cleanup(func() { _ = chain.Close() })
	return chain, chain.BindLocalStream(&interceptor.StreamInfo{
		SSRC: chainSSRC, MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
		RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: sdp.TransportCCURI, ID: chainNumber}},
	}, interceptor.RTPWriterFunc(func(h *rtp.Header, _ []byte, _ interceptor.Attributes) (int, error) {
		sent(h)
		return 0, nil
	}))
}

// TestRequestsAtOnce: requests for the same packets that come at once are answered without a race, which the race
// detector sees.
func TestRequestsAtOnce(t *testing.T) {
	const packets, requests = 17, 200
	var sent atomic.Int64
	chain, w := newChain(t, func(*rtp.Header) { sent.Add(1) })
	for n := range uint16(packets) {
		if _, err := w.Write(&rtp.Header{Version: 2, SSRC: chainSSRC, SequenceNumber: n}, make([]byte, 100), interceptor.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	request, err := (&rtcp.TransportLayerNack{MediaSSRC: chainSSRC, Nacks: []rtcp.NackPair{{PacketID: 0, LostPackets: 0xffff}}}).Marshal()
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
