package rtpstats

import (
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// BindRTCPWriter implements interceptor.Interceptor.
func (r *Recorder) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		n, err := next.Write(packets, a)
		if err == nil {
			r.recordRTCPSent(packets)
		}
		return n, err
	})
}

// recordRTCPSent counts feedback that was sent.
func (r *Recorder) recordRTCPSent(packets []rtcp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			if o := r.outbound[sr.SSRC]; o != nil {
				o.senderReports[o.nextSenderReport%len(o.senderReports)] = senderReport{uint32(sr.NTPTime >> 16), r.now()}
				o.nextSenderReport++
			}
			continue
		}
		for _, ssrc := range p.DestinationSSRC() {
			if i := r.inbound[ssrc]; i != nil {
				countFeedback(p, &i.PLICount, &i.FIRCount, &i.NACKCount)
			}
		}
	}
}

func countFeedback(p rtcp.Packet, plis, firs, nacks *uint64) {
	switch p.(type) {
	case *rtcp.PictureLossIndication:
		*plis++
	case *rtcp.FullIntraRequest:
		*firs++
	case *rtcp.TransportLayerNack:
		*nacks++
	}
}

// BindRTCPReader implements interceptor.Interceptor.
func (r *Recorder) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if packets, err := a.GetRTCPPackets(b[:n]); err == nil {
			r.recordRTCPReceived(packets)
		}
		return n, a, nil
	})
}

// recordRTCPReceived counts feedback that was received.
func (r *Recorder) recordRTCPReceived(packets []rtcp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			r.recordSenderReport(p)
			r.recordReceptionReports(p.Reports)
		case *rtcp.ReceiverReport:
			r.recordReceptionReports(p.Reports)
		default:
			for _, ssrc := range p.DestinationSSRC() {
				if o := r.outbound[ssrc]; o != nil {
					countFeedback(p, &o.PLICount, &o.FIRCount, &o.NACKCount)
				}
			}
		}
	}
}

func (r *Recorder) recordSenderReport(sr *rtcp.SenderReport) {
	if i := r.inbound[sr.SSRC]; i != nil {
		i.HasReport, i.ReportAt, i.RemoteTimestamp = true, r.now(), timeOfNTP(sr.NTPTime)
		i.ReportsSent++
		i.PacketsSent, i.BytesSent = uint64(sr.PacketCount), uint64(sr.OctetCount)
	}
}

// timeOfNTP returns the time of an NTP timestamp, which counts from 1900 (RFC 3550 section 4).
func timeOfNTP(ntp uint64) time.Time {
	const to1970 = 2208988800
	return time.Unix(int64(ntp>>32)-to1970, int64((ntp&0xffffffff)*1e9>>32))
}

func (r *Recorder) recordReceptionReports(reports []rtcp.ReceptionReport) {
	now := r.now()
	for _, report := range reports {
		o := r.outbound[report.SSRC]
		if o == nil {
			continue
		}
		o.HasReport, o.ReportAt = true, now
		o.PacketsLost = int64(int32(report.TotalLost<<8) >> 8) // 24 bits with a sign
		o.FractionLost = float64(report.FractionLost) / 256
		if o.Info.ClockRate > 0 {
			o.Jitter = float64(report.Jitter) / float64(o.Info.ClockRate)
		}
		for _, sent := range o.senderReports {
			if report.LastSenderReport == 0 || sent.middle != report.LastSenderReport || sent.at.IsZero() {
				continue
			}
			delay := time.Duration(report.Delay) * time.Second / 65536
			if rtt := now.Sub(sent.at) - delay; rtt >= 0 {
				o.RoundTripTime, o.TotalRoundTripTime = rtt, o.TotalRoundTripTime+rtt
				o.RoundTripTimeMeasurements++
			}
			break
		}
	}
}
