package interceptors

import (
	"testing"
	"testing/synctest"
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

// receive sends packets, numbered from 0, through the interceptors of a connection for a time, one
// every 20 ms, and returns the RTCP packets that these send.
func receive(t *testing.T, info *interceptor.StreamInfo, during time.Duration) (sent []rtcp.Packet) {
	t.Helper()
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	controller, err := bwe.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := Register(engine, registry, &logging.DefaultLoggerFactory{}, rtpstats.NewRecorder(nil), controller); err != nil {
		t.Fatal(err)
	}
	chain, err := registry.Build("test")
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	written := make(chan []rtcp.Packet, 1000)
	chain.BindRTCPWriter(interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		written <- packets
		return 0, nil
	}))
	var number uint16
	reader := chain.BindRemoteStream(info, interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		p := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: info.SSRC, SequenceNumber: number}, Payload: make([]byte, 60)}
		extension, err := rtp.TransportCCExtension{TransportSequence: number}.Marshal()
		if err == nil {
			err = p.SetExtension(chainNumber, extension)
		}
		if err != nil {
			return 0, a, err
		}
		number++
		n, err := p.MarshalTo(b)
		return n, a, err
	}))
	buffer := make([]byte, 1500)
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, _, err := reader.Read(buffer, nil); err != nil {
			t.Fatal(err)
		}
	}
	for {
		select {
		case packets := <-written:
			sent = append(sent, packets...)
		default:
			return sent
		}
	}
}

func numbered(mime string, feedback ...interceptor.RTCPFeedback) *interceptor.StreamInfo {
	return &interceptor.StreamInfo{
		SSRC: chainSSRC, MimeType: mime, ClockRate: 90000, RTCPFeedback: feedback,
		RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: sdp.TransportCCURI, ID: chainNumber}},
	}
}

// Feedback covers each packet once, at the interval for what is received.
func TestFeedbackInterval(t *testing.T) {
	for mime, want := range map[string]time.Duration{webrtc.MimeTypeOpus: audioFeedbackInterval, webrtc.MimeTypeVP8: feedbackInterval} {
		synctest.Test(t, func(t *testing.T) {
			const during = 10 * time.Second
			messages, next := 0, uint16(0)
			for _, p := range receive(t, numbered(mime), during) {
				cc, ok := p.(*rtcp.TransportLayerCC)
				if !ok {
					continue
				}
				messages++
				if cc.BaseSequenceNumber != next || cc.MediaSSRC != chainSSRC {
					t.Errorf("%s: feedback begins at %d of stream %d, want %d of %d", mime, cc.BaseSequenceNumber, cc.MediaSSRC, next, chainSSRC)
				}
				next = cc.BaseSequenceNumber + cc.PacketStatusCount
			}
			if most := int(during / want); messages > most || messages < most-2 {
				t.Errorf("%s: %d feedback messages in %v, want one every %v", mime, messages, during, want)
			}
			if missing := int(during/(20*time.Millisecond)) - int(next); missing < 0 || missing > int(want/(20*time.Millisecond))+1 {
				t.Errorf("%s: the last %d packets have no feedback", mime, missing)
			}
		})
	}
}

// An interceptor starts with the first stream that needs it.
func TestOnDemand(t *testing.T) {
	nack := interceptor.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK}
	for name, c := range map[string]struct {
		info  *interceptor.StreamInfo
		local bool
		want  int
	}{
		"needs it":          {numbered(webrtc.MimeTypeVP8, nack), false, 1},
		"does not need it":  {numbered(webrtc.MimeTypeOpus), false, 0},
		"key frames alone":  {numbered(webrtc.MimeTypeVP8, interceptor.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK, Parameter: "pli"}), false, 0},
		"is sent, not read": {numbered(webrtc.MimeTypeVP8, nack), true, 0},
	} {
		inner := &countingInterceptor{}
		i, err := onDemand{inner, nil, hasNACK}.NewInterceptor("")
		if err != nil {
			t.Fatal(err)
		}
		i.BindRTCPWriter(interceptor.RTCPWriterFunc(func([]rtcp.Packet, interceptor.Attributes) (int, error) { return 0, nil }))
		for range 2 {
			if c.local {
				i.BindLocalStream(c.info, nil)
			} else {
				i.BindRemoteStream(c.info, nil)
			}
		}
		if inner.writers != c.want {
			t.Errorf("%s: it got %d RTCP writers, want %d", name, inner.writers, c.want)
		}
	}
}

// countingInterceptor counts the RTCP writers that it gets. countingInterceptor is its own factory.
type countingInterceptor struct {
	interceptor.NoOp
	writers int
}

// NewInterceptor implements interceptor.Factory.
func (c *countingInterceptor) NewInterceptor(string) (interceptor.Interceptor, error) { return c, nil }

// BindRTCPWriter implements interceptor.Interceptor.
func (c *countingInterceptor) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	c.writers++
	return w
}
