package sender

import (
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"

	"parley/peer/track"
)

// KeyFrameInterval is the least time between two key frames that the peer asks for: each is many
// times as large as other frames. libwebrtc has the same, and drops a request that comes too early;
// here it is granted when the time has passed, because a peer may not repeat it for seconds.
const KeyFrameInterval = 300 * time.Millisecond

// RTCPReader reads the RTCP packets of an RTP sender, such as webrtc.RTPSender.ReadRTCP.
type RTCPReader func() ([]rtcp.Packet, interceptor.Attributes, error)

// ReadFeedback reads RTCP until read fails, which interceptors need in any case. It passes requests
// for key frames (RFC 8834 section 5.1.1) and loss (RFC 3550 section 6.4.1) to the local track, and
// the bitrate in bit/s of each REMB to onREMB.
func (t *Track) ReadFeedback(read RTCPReader, onREMB func(bps float32)) {
	var granted time.Time // of the latest request that was granted, or will be
	delayed := time.AfterFunc(time.Hour, t.RequestKeyFrame)
	delayed.Stop()
	defer delayed.Stop()
	for {
		packets, _, err := read()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				switch now := time.Now(); {
				case now.Before(granted): // a delayed request is pending
				case now.Before(granted.Add(KeyFrameInterval)):
					granted = granted.Add(KeyFrameInterval)
					delayed.Reset(granted.Sub(now))
				default:
					granted = now
					t.RequestKeyFrame()
				}
			case *rtcp.ReceiverReport:
				t.reportLoss(p.Reports)
			case *rtcp.SenderReport:
				t.reportLoss(p.Reports)
			case *rtcp.ReceiverEstimatedMaximumBitrate:
				onREMB(p.Bitrate)
			}
		}
	}
}

// reportLoss passes the report blocks of the track to its local track.
func (t *Track) reportLoss(reports []rtcp.ReceptionReport) {
	t.mu.Lock()
	ssrc := t.ssrc
	o, ok := t.local.(track.LossObserver)
	t.mu.Unlock()
	for _, r := range reports {
		if ok && r.SSRC == ssrc {
			o.SetLoss(float64(r.FractionLost) / 256)
		}
	}
}
