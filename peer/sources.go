package peer

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// dropSources leaves each media section one source, the first, with what repairs it (RFC 5576 §4.1 and §4.2). Several
// are the sizes of a simulcast before there were RIDs, of which a receiver may take one; Pion refuses them in an
// offer, and in an answer reads from receivers that it has not made, which ends the process.
func dropSources(parsed *sdp.SessionDescription) {
	for _, m := range parsed.MediaDescriptions {
		kept := firstSource(m)
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			switch fields := strings.Fields(a.Value); {
			case a.Key == "ssrc":
				return len(fields) == 0 || !slices.Contains(kept, fields[0])
			case a.Key == "ssrc-group":
				return len(fields) == 0 || slices.ContainsFunc(fields[1:], func(s string) bool { return !slices.Contains(kept, s) })
			}
			return false
		})
	}
}

// firstSource are the SSRC of a section's first source, and those of its repair flows.
func firstSource(m *sdp.MediaDescription) []string {
	repairs := map[string][]string{} // by what they repair
	var repairing, sources []string
	for _, a := range m.Attributes {
		fields := strings.Fields(a.Value)
		switch {
		case a.Key == "ssrc-group" && len(fields) == 3 && (fields[0] == "FID" || fields[0] == "FEC-FR"):
			repairs[fields[1]] = append(repairs[fields[1]], fields[2])
			repairing = append(repairing, fields[2])
		case a.Key == "ssrc" && len(fields) > 0:
			sources = append(sources, fields[0])
		}
	}
	for _, s := range sources {
		if !slices.Contains(repairing, s) {
			return append([]string{s}, repairs[s]...)
		}
	}
	return nil
}
