package msection

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// KeepFirstSource leaves a section one source, the first, with what repairs it (RFC 5576 sections
// 4.1 and 4.2). Several are the layers of a simulcast before there were RIDs, of which a receiver
// may take one; Pion refuses them in an offer, and in an answer reads from receivers that it has
// not made, which ends the process.
func KeepFirstSource(m *sdp.MediaDescription) {
	kept := firstSource(m)
	DropAttributes(m, func(a sdp.Attribute) bool {
		switch fields := strings.Fields(a.Value); {
		case a.Key == sdp.AttrKeySSRC:
			return len(fields) == 0 || !slices.Contains(kept, fields[0])
		case a.Key == sdp.AttrKeySSRCGroup:
			return len(fields) == 0 || slices.ContainsFunc(fields[1:], func(s string) bool { return !slices.Contains(kept, s) })
		}
		return false
	})
}

// firstSource returns the SSRC of a section's first source, and those of its repair flows.
func firstSource(m *sdp.MediaDescription) []string {
	repairs := map[string][]string{} // by what they repair
	var repairing, sources []string
	for _, a := range m.Attributes {
		fields := strings.Fields(a.Value)
		switch {
		case a.Key == sdp.AttrKeySSRCGroup && len(fields) == 3 && (fields[0] == "FID" || fields[0] == "FEC-FR"):
			repairs[fields[1]] = append(repairs[fields[1]], fields[2])
			repairing = append(repairing, fields[2])
		case a.Key == sdp.AttrKeySSRC && len(fields) > 0:
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

// Tracks returns the number of tracks that a section names (RFC 8830 section 2, and a=ssrc as
// before that).
func Tracks(m *sdp.MediaDescription) int {
	names := map[string]bool{}
	for _, a := range m.Attributes {
		if a.Key != "ssrc" {
			continue
		}
		if _, name, ok := strings.Cut(a.Value, " msid:"); ok {
			names[name] = true
		}
	}
	return len(names)
}
