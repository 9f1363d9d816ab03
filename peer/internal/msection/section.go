// Package msection reads and edits single m-sections of session descriptions: directions, codecs,
// header extensions and sources.
package msection

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// Mid returns the mid of a section, "" for none.
func Mid(m *sdp.MediaDescription) string {
	mid, _ := m.Attribute("mid")
	return mid
}

// DropAttributes removes the attributes for which drop is true.
func DropAttributes(m *sdp.MediaDescription, drop func(sdp.Attribute) bool) {
	m.Attributes = slices.DeleteFunc(m.Attributes, drop)
}

// IsData reports whether a section is one of data channels (RFC 8841).
func IsData(m *sdp.MediaDescription) bool {
	return m.MediaName.Media == "application" && slices.Contains(m.MediaName.Protos, "SCTP")
}

// Profile returns what a protocol stands for: RTP for all profiles that are taken for the one of
// WebRTC (RFC 9429 section 5.1.2), SCTP for those of data channels, else the protocol.
func Profile(m *sdp.MediaDescription) string {
	protos := m.MediaName.Protos
	switch {
	case IsData(m):
		return "SCTP"
	case slices.Contains(protos, "RTP"):
		return "RTP"
	}
	return strings.Join(protos, "/")
}

// IsRejected reports whether an m-section is rejected, or not offered (RFC 9143 section 6).
func IsRejected(m *sdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	return m.MediaName.Port.Value == 0 && !bundleOnly
}

// NewRejected returns the answer to an offered section that is rejected. It repeats the codecs,
// because Pion wants to know of one even there.
func NewRejected(offered *sdp.MediaDescription, mid string) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: offered.MediaName.Media, Protos: offered.MediaName.Protos, Formats: offered.MediaName.Formats},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
	for _, a := range offered.Attributes {
		if a.Key == "rtpmap" || a.Key == "fmtp" {
			m.Attributes = append(m.Attributes, a)
		}
	}
	return m.WithValueAttribute("mid", mid)
}

// AnswerProtocol gives a section of ours the protocol that was offered, and data channels the form
// that goes with it: before RFC 8841, the format of DTLS/SCTP was the SCTP port, and
// a=sctpmap named the protocol (draft-ietf-mmusic-sctp-sdp-07 section 4). aiortc offers that.
func AnswerProtocol(m, offered *sdp.MediaDescription) {
	m.MediaName.Protos = offered.MediaName.Protos
	if !IsData(m) || slices.Contains(offered.MediaName.Formats, "webrtc-datachannel") {
		return
	}
	port, ok := m.Attribute("sctp-port")
	if !ok {
		port = "5000"
	}
	m.MediaName.Formats = []string{port}
	DropAttributes(m, func(a sdp.Attribute) bool { return a.Key == "sctp-port" || a.Key == "sctpmap" })
	m.WithValueAttribute("sctpmap", port+" webrtc-datachannel 65535")
}

// KeepOffered leaves in a section what is offered: the section may be of an offer itself, and
// Firefox takes no answer with a header extension or a codec that it has not offered.
func KeepOffered(section, offered *sdp.MediaDescription) {
	word := func(value string, n int) string { return append(strings.Fields(value), "", "")[n] }
	extensions, formats := map[string]bool{}, []string{}
	for _, a := range offered.Attributes {
		if a.Key == sdp.AttrKeyExtMap {
			extensions[word(a.Value, 1)] = true
		}
	}
	for _, format := range section.MediaName.Formats {
		if slices.Contains(offered.MediaName.Formats, format) {
			formats = append(formats, format)
		}
	}
	if len(formats) == 0 {
		formats = section.MediaName.Formats
	}
	section.MediaName.Formats = formats
	DropAttributes(section, func(a sdp.Attribute) bool {
		switch a.Key {
		case sdp.AttrKeyExtMap:
			return !extensions[word(a.Value, 1)]
		case "rtpmap", "fmtp", "rtcp-fb":
			return !slices.Contains(formats, word(a.Value, 0)) && word(a.Value, 0) != "*"
		}
		return false
	})
}

// RemoveTrack makes a section of ours say nothing of a track: the one that was there may be in
// another section by now, and Chromium takes no description with the same msid twice. The SSRC
// stays declared: without it Chromium shows nothing of what is sent by it later. Several layers get
// a name that no track has, because Pion does not survive the receiver that it makes of them
// without one.
func RemoveTrack(m *sdp.MediaDescription, mid string) {
	DropAttributes(m, func(a sdp.Attribute) bool {
		return a.Key == sdp.AttrKeyMsid || a.Key == sdp.AttrKeySSRC && !strings.Contains(a.Value, " cname:")
	})
	m.WithValueAttribute(sdp.AttrKeyMsid, "- "+mid) // "-" is no stream (RFC 8830 section 2)
}
