package jsep

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/peer/datachannel"
	"parley/peer/internal/candidate"
)

// parseQuirks returns what Parse does to each description to make it acceptable to Pion.
func parseQuirks() []func(*sdp.SessionDescription) {
	return []func(*sdp.SessionDescription){dropUnusableCandidates, dropOtherGroups, keepFirstSource, boundMessageSize}
}

// sectionQuirks returns what ForPion does to each section of RTP.
func sectionQuirks() []func(*sdp.MediaDescription) {
	return []func(*sdp.MediaDescription){nameStaticFormats, matchOpus, matchH264, dropTwoByteExtensions}
}

// dropTwoByteExtensions removes the header extensions with an ID above 14: they need two-byte
// headers (RFC 8285 section 4.3), and Pion fails to send a packet with one. The answer does without
// them.
func dropTwoByteExtensions(m *sdp.MediaDescription) {
	dropAttributes(m, func(a sdp.Attribute) bool {
		if a.Key != sdp.AttrKeyExtMap {
			return false
		}
		id := extmapID(a)
		return id == 0 || id > maxOneByteID
	})
}

// dropUnusableCandidates removes the candidates that Pion cannot use, which would make it refuse
// the whole description half-way.
func dropUnusableCandidates(d *sdp.SessionDescription) {
	for _, m := range d.MediaDescriptions {
		dropAttributes(m, func(a sdp.Attribute) bool {
			if a.Key != "candidate" {
				return false
			}
			_, err := candidate.Parse(a.Value)
			return err != nil
		})
	}
}

// dropOtherGroups removes the groups that are not BUNDLE, such as libdatachannel's for lip sync
// (LS, RFC 5888 section 7): Pion takes the last group for the bundle, and answers whatever is not
// in it with port 0.
func dropOtherGroups(d *sdp.SessionDescription) {
	d.Attributes = slices.DeleteFunc(d.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "group" && !strings.HasPrefix(a.Value, "BUNDLE")
	})
}

// defaultMessageSize is the limit of data channel messages where none is announced (RFC 8841,
// section 6.1).
const defaultMessageSize = 64 << 10

// boundMessageSize replaces the limit of data channel messages by ours where it is larger, or 0:
// that is no limit (RFC 8841 section 6.1), and Pion takes it, and what is beyond 32 bits, for none
// being announced. It states the default where that is so, which Pion takes for a byte less.
func boundMessageSize(d *sdp.SessionDescription) {
	for _, m := range d.MediaDescriptions {
		announced := false
		for i, a := range m.Attributes {
			if a.Key != "max-message-size" {
				continue
			}
			announced = true
			size, err := strconv.ParseUint(a.Value, 10, 64)
			if errors.Is(err, strconv.ErrRange) || err == nil && (size == 0 || size > datachannel.MaxMessageSize) {
				m.Attributes[i].Value = strconv.Itoa(datachannel.MaxMessageSize)
			}
		}
		if m.MediaName.Media == "application" && !announced {
			m.WithValueAttribute("max-message-size", strconv.Itoa(defaultMessageSize))
		}
	}
}

// keepFirstSource leaves each section one source, the first, with what repairs it (RFC 5576
// sections 4.1 and 4.2). Several are the layers of a simulcast before there were RIDs, of which a
// receiver may take one; Pion refuses them in an offer, and in an answer reads from receivers that
// it has not made, which ends the process.
func keepFirstSource(d *sdp.SessionDescription) {
	for _, m := range d.MediaDescriptions {
		kept := firstSource(m)
		dropAttributes(m, func(a sdp.Attribute) bool {
			switch fields := strings.Fields(a.Value); {
			case a.Key == sdp.AttrKeySSRC:
				return len(fields) == 0 || !slices.Contains(kept, fields[0])
			case a.Key == sdp.AttrKeySSRCGroup:
				return len(fields) == 0 || slices.ContainsFunc(fields[1:], func(s string) bool { return !slices.Contains(kept, s) })
			}
			return false
		})
	}
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
