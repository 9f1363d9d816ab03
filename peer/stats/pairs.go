package stats

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/pion/webrtc/v4"
)

// Candidate is one of a Pair.
type Candidate struct {
	Type     string // host, srflx, prflx, relay
	Protocol string // udp, tcp
	Address  string // IP address and port
}

// Pair is a candidate pair with its connectivity checks.
type Pair struct {
	Local, Remote                 Candidate
	State                         webrtc.StatsICECandidatePairState
	Nominated                     bool
	ChecksSent, ResponsesReceived uint64
	ChecksReceived                uint64        // of the peer
	RTT                           time.Duration // of the latest response, 0 for none
}

// Pairs returns the pairs of Pion's reports: selected ones first, then those without a response.
func Pairs(reports ...webrtc.StatsReport) []Pair {
	var pairs []Pair
	for _, report := range reports {
		for _, s := range report {
			if p, ok := s.(webrtc.ICECandidatePairStats); ok {
				pairs = append(pairs, Pair{
					Local: candidateOf(report, p.LocalCandidateID), Remote: candidateOf(report, p.RemoteCandidateID),
					State: p.State, Nominated: p.Nominated,
					ChecksSent: uint64(p.RequestsSent), ResponsesReceived: uint64(p.ResponsesReceived), ChecksReceived: uint64(p.RequestsReceived),
					RTT: time.Duration(p.CurrentRoundTripTime * float64(time.Second)),
				})
			}
		}
	}
	slices.SortStableFunc(pairs, comparePairs)
	return pairs
}

func comparePairs(a, b Pair) int {
	return cmp.Or(-cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Local.Address, b.Local.Address), cmp.Compare(a.Remote.Address, b.Remote.Address))
}

// rank is highest for the selected pair, then for those that should have worked and did not.
func (p Pair) rank() int {
	relayed := p.Local.Type == "relay" || p.Remote.Type == "relay"
	switch {
	case p.Nominated:
		return 4
	case p.ChecksSent > 0 && p.ResponsesReceived == 0 && !relayed:
		return 3
	case p.ChecksSent > 0 && p.ResponsesReceived == 0:
		return 2
	case p.ResponsesReceived > 0:
		return 1
	}
	return 0
}

func candidateOf(report webrtc.StatsReport, id string) Candidate {
	c, ok := report[id].(webrtc.ICECandidateStats)
	if !ok {
		return Candidate{}
	}
	return Candidate{Type: c.CandidateType.String(), Protocol: c.Protocol, Address: net.JoinHostPort(c.IP, strconv.Itoa(int(c.Port)))}
}

// SelectedPair returns the selected candidate pair as it is now, nil for none. bitrate is the
// estimated bandwidth in bit/s, 0 for none. Before ICE has connected it races with its start.
func (c *Candidates) SelectedPair(ice *webrtc.ICETransport, bitrate int) Object {
	s, ok := ice.GetSelectedCandidatePairStats()
	selected, err := ice.GetSelectedCandidatePair()
	if !ok || err != nil || selected == nil {
		return nil
	}
	p := Object{
		"localCandidateId": c.Add(false, selected.Local), "remoteCandidateId": c.Add(true, selected.Remote),
		"state": string(s.State), "nominated": s.Nominated,
		"packetsSent": s.PacketsSent, "packetsReceived": s.PacketsReceived,
		"bytesSent": s.BytesSent, "bytesReceived": s.BytesReceived,
	}
	if s.PacketsSent > 0 {
		p["lastPacketSentTimestamp"] = timestamp(s.LastPacketSentTimestamp.Time())
	}
	if s.PacketsReceived > 0 {
		p["lastPacketReceivedTimestamp"] = timestamp(s.LastPacketReceivedTimestamp.Time())
	}
	if s.ResponsesReceived > 0 {
		p["responsesReceived"] = s.ResponsesReceived
		p["currentRoundTripTime"], p["totalRoundTripTime"] = s.CurrentRoundTripTime, s.TotalRoundTripTime
	}
	if bitrate > 0 {
		p["availableOutgoingBitrate"] = bitrate
	}
	return p
}

// Pairs returns the candidate-pair objects of Pion's report. It adds their candidates.
func (c *Candidates) Pairs(report webrtc.StatsReport) []Object {
	now := timestamp(time.Now())
	var pairs []Object
	for _, s := range report {
		p, ok := s.(webrtc.ICECandidatePairStats)
		if !ok {
			continue
		}
		o := Object{
			"timestamp": now, "localCandidateId": c.addStats(report[p.LocalCandidateID]), "remoteCandidateId": c.addStats(report[p.RemoteCandidateID]),
			"state": string(p.State), "nominated": p.Nominated,
			"requestsSent": p.RequestsSent, "requestsReceived": p.RequestsReceived,
			"responsesSent": p.ResponsesSent, "responsesReceived": p.ResponsesReceived,
		}
		if p.ResponsesReceived > 0 {
			o["currentRoundTripTime"], o["totalRoundTripTime"] = p.CurrentRoundTripTime, p.TotalRoundTripTime
		}
		if o["localCandidateId"] != "" && o["remoteCandidateId"] != "" {
			pairs = append(pairs, o)
		}
	}
	slices.SortFunc(pairs, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a["localCandidateId"].(string), b["localCandidateId"].(string)),
			cmp.Compare(a["remoteCandidateId"].(string), b["remoteCandidateId"].(string)))
	})
	return pairs
}
