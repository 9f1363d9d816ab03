// Package interceptors assembles the RTP and RTCP processing of one connection.
package interceptors

import (
	"errors"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/rtpstats"
)

// maxNACKs is how often a lost packet is requested, every 100 ms, as in libwebrtc. Pion does not see
// a retransmission that comes by the RTX SSRC (RFC 4588). Without a bound it requests a packet until
// 512 more have come in, which a track that pauses never sends.
const maxNACKs = 10

// Register adds to r what browsers expect: NACK, RTCP reports and transport-wide feedback. It is
// Pion's default set with our statistics and bandwidth estimation. The recorder comes first, nearest
// to the network. All of Pion's get the logger: their own writes to the terminal.
func Register(engine *webrtc.MediaEngine, r *interceptor.Registry, logger logging.LoggerFactory, recorder *rtpstats.Recorder, controller *bwe.Controller) error {
	r.Add(recorder)
	r.Add(controller) // before the one that numbers the packets, so that it sees the numbers
	err := webrtc.ConfigureTWCCHeaderExtensionSender(engine, r)
	r.Add(controller.RTXLimiter())
	r.Add(headerCloner{})
	return errors.Join(err,
		webrtc.ConfigureNackWithOptions(engine, r,
			[]nack.GeneratorOption{nack.GeneratorMaxNacksPerPacket(maxNACKs), nack.WithGeneratorLoggerFactory(logger)},
			nack.WithResponderLoggerFactory(logger)),
		webrtc.ConfigureRTCPReportsWithOptions(r,
			[]report.ReceiverOption{report.WithReceiverLoggerFactory(logger)}, report.WithSenderLoggerFactory(logger)),
		webrtc.ConfigureSimulcastExtensionHeaders(engine),
		webrtc.ConfigureTWCCSenderWithOptions(engine, r, twcc.WithLoggerFactory(logger)),
	)
}

// headerCloner is an interceptor that gives each sent packet its own header. Pion answers each NACK
// on a goroutine from one stored header per packet, into which the transport-wide sequence number is
// written: two NACKs at once would race and send one number twice.
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
