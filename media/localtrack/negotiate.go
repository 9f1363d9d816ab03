package localtrack

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// matchCodec finds the codec among those negotiated that carries want: the same parameters if there
// are such, otherwise the same codec.
func matchCodec(want webrtc.RTPCodecCapability, have []webrtc.RTPCodecParameters) (webrtc.RTPCodecParameters, bool) {
	var best webrtc.RTPCodecParameters
	bestScore := -1
	for _, c := range have {
		if !strings.EqualFold(c.MimeType, want.MimeType) || want.ClockRate != 0 && c.ClockRate != want.ClockRate {
			continue
		}
		if score := matchParameters(want, c.RTPCodecCapability); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best, bestScore >= 0
}

// matchParameters counts how well the format parameters of two codecs of the same name go together.
func matchParameters(want, have webrtc.RTPCodecCapability) int {
	a, b := parseFmtp(want.SDPFmtpLine), parseFmtp(have.SDPFmtpLine)
	switch strings.ToLower(want.MimeType) {
	case "video/h264":
		// RFC 6184 section 8.1: the mode says how the stream is packed, so it matters more than the
		// profile.
		return 4*same(a, b, "packetization-mode", "0") + 2*sameProfile(a, b) + same(a, b, "profile-level-id", "42000a")
	case "video/vp9":
		return same(a, b, "profile-id", "0")
	case "video/av1":
		return same(a, b, "profile", "0")
	}
	return 0
}

func same(a, b map[string]string, key, fallback string) int {
	va, ok := a[key]
	if !ok {
		va = fallback
	}
	vb, ok := b[key]
	if !ok {
		vb = fallback
	}
	if strings.EqualFold(va, vb) {
		return 1
	}
	return 0
}

// sameProfile compares profile_idc and the constraint flags, which is all of profile-level-id but
// the level.
func sameProfile(a, b map[string]string) int {
	pa, pb := a["profile-level-id"], b["profile-level-id"]
	if len(pa) == 6 && len(pb) == 6 && strings.EqualFold(pa[:4], pb[:4]) {
		return 1
	}
	return 0
}

func parseFmtp(line string) map[string]string {
	parameters := make(map[string]string)
	for part := range strings.SplitSeq(line, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parameters[strings.ToLower(key)] = value
	}
	return parameters
}
