package peer

import (
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// The half of the meter that counts RTCP.

// BindRTCPWriter implements interceptor.Interceptor.
func (m *meter) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		n, err := next.Write(packets, a)
		if err == nil {
			m.told(packets)
		}
		return n, err
	})
}

// told counts feedback that went out.
func (m *meter) told(packets []rtcp.Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			if o := m.out[sr.SSRC]; o != nil {
				o.reports[o.nextReport%len(o.reports)] = sentReport{uint32(sr.NTPTime >> 16), m.now()}
				o.nextReport++
			}
			continue
		}
		for _, ssrc := range p.DestinationSSRC() {
			if i := m.in[ssrc]; i != nil {
				countFeedback(p, &i.plis, &i.firs, &i.nacks)
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
func (m *meter) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if packets, err := a.GetRTCPPackets(b[:n]); err == nil {
			m.heard(packets)
		}
		return n, a, nil
	})
}

// heard counts feedback that came in.
func (m *meter) heard(packets []rtcp.Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			m.heardSender(p)
			m.heardReports(p.Reports)
		case *rtcp.ReceiverReport:
			m.heardReports(p.Reports)
		default:
			for _, ssrc := range p.DestinationSSRC() {
				if o := m.out[ssrc]; o != nil {
					countFeedback(p, &o.plis, &o.firs, &o.nacks)
				}
			}
		}
	}
}

func (m *meter) heardSender(sr *rtcp.SenderReport) {
	if i := m.in[sr.SSRC]; i != nil {
		i.told, i.toldAt, i.theirs = true, m.now(), sinceNTP(sr.NTPTime)
		i.reports++
		i.sentPackets, i.sentBytes = uint64(sr.PacketCount), uint64(sr.OctetCount)
	}
}

// sinceNTP is an NTP timestamp, which counts from 1900 (RFC 3550 §4).
func sinceNTP(ntp uint64) time.Time {
	const to1970 = 2208988800
	return time.Unix(int64(ntp>>32)-to1970, int64((ntp&0xffffffff)*1e9>>32))
}

func (m *meter) heardReports(reports []rtcp.ReceptionReport) {
	now := m.now()
	for _, r := range reports {
		o := m.out[r.SSRC]
		if o == nil {
			continue
		}
		o.heard, o.heardAt = true, now
		o.lost = int64(int32(r.TotalLost<<8) >> 8) // 24 bits with a sign
		o.fraction = float64(r.FractionLost) / 256
		if o.info.ClockRate > 0 {
			o.jitter = float64(r.Jitter) / float64(o.info.ClockRate)
		}
		for _, sent := range o.reports {
			if r.LastSenderReport == 0 || sent.middle != r.LastSenderReport || sent.at.IsZero() {
				continue
			}
			away := time.Duration(r.Delay) * time.Second / 65536
			if rtt := now.Sub(sent.at) - away; rtt >= 0 {
				o.rtt, o.totalRTT, o.measurements = rtt, o.totalRTT+rtt, o.measurements+1
			}
			break
		}
	}
}
