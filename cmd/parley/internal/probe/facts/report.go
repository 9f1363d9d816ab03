package facts

import (
	"fmt"

	"parley/cmd/parley/internal/event"
	"parley/peer/stats"
)

// OfReport returns the facts of a report of statistics.
func OfReport(r stats.Report) []Fact {
	var facts []Fact
	for _, o := range r {
		put := func(key, member string) {
			if v, ok := o[member]; ok {
				facts = append(facts, Fact{key, event.ValueOf(v)})
			}
		}
		kind := fmt.Sprint(o["kind"])
		switch o["type"] {
		case "transport":
			put("dtls", "dtlsState")
			put("tls", "tlsVersion")
			put("role", "iceRole")
		case "certificate":
			put("certificate", "fingerprintAlgorithm")
		case "outbound-rtp":
			put(kind+".sent", "packetsSent")
			put(kind+".nacks", "nackCount")
			put(kind+".plis", "pliCount")
		case "remote-inbound-rtp":
			facts = append(facts, Fact{kind + ".reported", event.NumberOf(1)})
			put(kind+".reported.lost", "packetsLost")
		}
	}
	return facts
}
