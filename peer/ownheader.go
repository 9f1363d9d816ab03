package peer

import (
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// ownHeader gives each packet that is sent a header of its own. pion/interceptor answers each request for lost packets
// on a goroutine, from one header that it keeps of each, and what numbers packets for congestion control writes into
// that: two requests at once would race, and number one packet as the other.
type ownHeader struct{ interceptor.NoOp }

// NewInterceptor implements interceptor.Factory.
func (*ownHeader) NewInterceptor(string) (interceptor.Interceptor, error) { return &ownHeader{}, nil }

// BindLocalStream implements interceptor.Interceptor.
func (*ownHeader) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		own := h.Clone()
		return w.Write(&own, payload, a)
	})
}
