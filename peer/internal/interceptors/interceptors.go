// Package interceptors assembles the RTP and RTCP processing of one connection.
package interceptors

import (
	"errors"
	"slices"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/rtpstats"
)

// maxNACKs is how often a lost packet is requested, every 100 ms, as in libwebrtc. Pion does not
// see a retransmission that comes by the RTX SSRC (RFC 4588). Without a bound it requests a packet
// until 512 more have come in, which a track that pauses never sends.
const maxNACKs = 10

// Register adds to r what browsers expect: NACK, RTCP reports and transport-wide feedback. Register
// is Pion's default set with our statistics and bandwidth estimation. The recorder comes first,
// nearest to the network. All of Pion's get the logger: their own writes to the terminal.
func Register(engine *webrtc.MediaEngine, r *interceptor.Registry, logger logging.LoggerFactory, recorder *rtpstats.Recorder, controller *bwe.Controller) error {
	r.Add(recorder)
	r.Add(controller) // before the one that numbers the packets, so that it sees the numbers
	err := webrtc.ConfigureTWCCHeaderExtensionSender(engine, r)
	r.Add(controller.RTXLimiter())
	r.Add(headerCloner{})
	return errors.Join(err,
		configureNACK(engine, r, logger),
		configureReports(r, logger),
		webrtc.ConfigureSimulcastExtensionHeaders(engine),
		configureFeedback(engine, r, logger),
	)
}

// configureNACK registers NACK for video.
func configureNACK(engine *webrtc.MediaEngine, r *interceptor.Registry, logger logging.LoggerFactory) error {
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorMaxNacksPerPacket(maxNACKs), nack.WithGeneratorLoggerFactory(logger))
	if err != nil {
		return err
	}
	responder, err := nack.NewResponderInterceptor(nack.WithResponderLoggerFactory(logger))
	if err != nil {
		return err
	}
	engine.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK}, webrtc.RTPCodecTypeVideo)
	engine.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK, Parameter: "pli"}, webrtc.RTPCodecTypeVideo)
	r.Add(responder)
	r.Add(onDemand{generator, nil, hasNACK})
	return nil
}

// hasNACK reports whether lost packets of a stream are requested.
func hasNACK(info *interceptor.StreamInfo) bool {
	return slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK})
}

// configureReports adds sender and receiver reports.
func configureReports(r *interceptor.Registry, logger logging.LoggerFactory) error {
	receiver, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(logger))
	if err != nil {
		return err
	}
	sender, err := report.NewSenderInterceptor(report.WithSenderLoggerFactory(logger))
	if err != nil {
		return err
	}
	r.Add(onDemand{receiver, nil, anyStream})
	r.Add(onDemand{sender, anyStream, nil})
	return nil
}

func anyStream(*interceptor.StreamInfo) bool { return true }

// headerCloner is an interceptor that gives each sent packet its own header. Pion answers each NACK
// on a goroutine from one stored header per packet, into which the transport-wide sequence number
// is written: two NACKs at once would race and send one number twice.
type headerCloner struct{ interceptor.NoOp }

// NewInterceptor implements interceptor.Factory.
func (headerCloner) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &headerCloner{}, nil
}

// BindLocalStream implements interceptor.Interceptor.
func (*headerCloner) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		own := h.Clone()
		return w.Write(&own, payload, a)
	})
}
