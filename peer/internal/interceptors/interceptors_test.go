package interceptors

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/rtpstats"
)

const (
	chainSSRC   = 7
	chainNumber = 5 // ID of the transport-wide sequence number
)

// newChain returns the interceptors of a connection and the writer of a stream; sent gets what is
// sent.
func newChain(t *testing.T, sent func(*rtp.Header)) (interceptor.Interceptor, interceptor.RTPWriter) {
	t.Helper()
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	controller, err := bwe.New()
	if err != nil {
		t.Fatal(err)
	}
	recorder := rtpstats.NewRecorder(nil)
	if err := Register(engine, registry, &logging.DefaultLoggerFactory{}, recorder, controller); err != nil {
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

// The race detector sees concurrent answers to NACKs.
func TestConcurrentNACKs(t *testing.T) {
	const packets, requests = 17, 200
	retransmitted := make(chan struct{}, 1)
	var sent atomic.Int64
	chain, w := newChain(t, func(*rtp.Header) {
		if sent.Add(1) > packets {
			select {
			case retransmitted <- struct{}{}:
			default:
			}
		}
	})
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
	select {
	case <-retransmitted:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is retransmitted")
	}
}

// A retransmission that is queued takes no transport-wide sequence number: to the peer it would be
// lost, and the bitrate would fall without end.
func TestQueuedRTXIsNotNumbered(t *testing.T) {
	var numbers []uint16
	_, w := newChain(t, func(h *rtp.Header) {
		var number rtp.TransportCCExtension
		if err := number.Unmarshal(h.GetExtension(chainNumber)); err != nil {
			t.Error(err)
		}
		numbers = append(numbers, number.TransportSequence)
	})
	for n := range uint16(100) { // half of them retransmit one packet
		h := &rtp.Header{Version: 2, SSRC: chainSSRC, SequenceNumber: n * (n % 2)}
		if _, err := w.Write(h, make([]byte, 1000), interceptor.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(numbers); n < 50 || n > 90 {
		t.Fatalf("%d packets are sent, want 50 to 90", n)
	}
	for i, n := range numbers {
		if int(n) != i {
			t.Fatalf("packet %d has the transport-wide sequence number %d", i, n)
		}
	}
}
