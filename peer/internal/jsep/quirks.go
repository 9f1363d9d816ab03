package jsep

import (
	"errors"
	"slices"
	"strconv"

	"github.com/pion/sdp/v3"

	"parley/peer/datachannel"
	"parley/peer/internal/candidate"
	"parley/peer/internal/msection"
)

// parseQuirks returns what Parse does to each description to make it acceptable to Pion.
func parseQuirks() []func(*sdp.SessionDescription) {
	return []func(*sdp.SessionDescription){dropUnusableCandidates, dropOtherGroups, keepFirstSources, boundMessageSize}
}

// sectionQuirks returns what ForPion does to each section of RTP.
func sectionQuirks() []func(*sdp.MediaDescription) {
	return []func(*sdp.MediaDescription){msection.NameStaticFormats, msection.MatchOpus, msection.MatchH264, msection.DropTwoByteExtensions}
}

// dropUnusableCandidates removes the candidates that Pion cannot use, which would make it refuse
// the whole description half-way.
func dropUnusableCandidates(d *sdp.SessionDescription) {
	for _, m := range d.MediaDescriptions {
		msection.DropAttributes(m, func(a sdp.Attribute) bool {
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
	d.Attributes = slices.DeleteFunc(d.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" && !isBundle(a) })
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

// keepFirstSources leaves each section one source.
func keepFirstSources(d *sdp.SessionDescription) {
	for _, m := range d.MediaDescriptions {
		msection.KeepFirstSource(m)
	}
}
