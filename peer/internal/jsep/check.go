package jsep

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// checkMedia reports what is wrong with the RTP sections of a description that Pion would refuse
// half-way, in a state that nothing leads out of, or with an error that helps nobody.
func checkMedia(parsed *sdp.SessionDescription) error {
	for i, m := range parsed.MediaDescriptions {
		if m.MediaName.Media != "audio" && m.MediaName.Media != "video" {
			continue
		}
		for _, format := range m.MediaName.Formats {
			// Seven bits hold it (RFC 3550 section 5.1).
			if n, err := strconv.Atoi(format); err != nil || n < 0 || n > 127 {
				return fmt.Errorf("media section %d has the payload type %.20q; it is a number up to 127", i+1, format)
			}
		}
		for _, a := range m.Attributes {
			if a.Key == "extmap" && new(sdp.ExtMap).Unmarshal(a.String()) != nil {
				return fmt.Errorf("media section %d has the malformed header extension a=extmap:%.60q", i+1, a.Value)
			}
		}
		if tracks(m) > 1 {
			return fmt.Errorf("media section %d has several tracks, as in Plan B, which browsers gave up; "+
				"the peer has to offer a section for each (Unified Plan)", i+1)
		}
	}
	return nil
}

// tracks returns the number of tracks that a section names (RFC 8830 section 2, and a=ssrc as
// before that).
func tracks(m *sdp.MediaDescription) int {
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
