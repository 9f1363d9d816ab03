package msection

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// OpusParameters are the format parameters that we declare for Opus in every description: we always
// receive stereo (RFC 7587 section 6.1). sprop-stereo is added to them by DeclareOpus.
const OpusParameters = "minptime=10;useinbandfec=1;stereo=1"

// staticFormats are the payload types that need no rtpmap (RFC 3551 section 6).
var staticFormats = map[string]string{
	"0": "PCMU/8000", "3": "GSM/8000", "4": "G723/8000", "5": "DVI4/8000", "6": "DVI4/16000", "7": "LPC/8000", "8": "PCMA/8000",
	"9": "G722/8000", "12": "QCELP/8000", "13": "CN/8000", "15": "G728/8000", "16": "DVI4/11025", "17": "DVI4/22050", "18": "G729/8000",
	"26": "JPEG/90000", "28": "nv/90000", "31": "H261/90000", "32": "MPV/90000", "33": "MP2T/90000", "34": "H263/90000",
}

// formatOf returns the value of an attribute such as rtpmap for a payload type.
func formatOf(m *sdp.MediaDescription, key, format string) (string, bool) {
	for _, a := range m.Attributes {
		if first, rest, _ := strings.Cut(a.Value, " "); a.Key == key && first == format {
			return rest, true
		}
	}
	return "", false
}

// codecOf returns the name of the codec of a payload type in lower case, "" if it has none.
func codecOf(m *sdp.MediaDescription, format string) string {
	rtpmap, _ := formatOf(m, "rtpmap", format)
	name, _, _ := strings.Cut(rtpmap, "/")
	return strings.ToLower(name)
}

// parameter returns a format parameter; its name is in lower case.
func parameter(fmtp, name string) (string, bool) {
	for p := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// setFormat replaces an attribute of a payload type, and removes it if value is "".
func setFormat(m *sdp.MediaDescription, key, format, value string) {
	at := slices.IndexFunc(m.Attributes, func(a sdp.Attribute) bool {
		first, _, _ := strings.Cut(a.Value, " ")
		return a.Key == key && first == format
	})
	switch {
	case at < 0 && value != "":
		m.WithValueAttribute(key, format+" "+value)
	case at >= 0 && value != "":
		m.Attributes[at].Value = format + " " + value
	case at >= 0:
		m.Attributes = slices.Delete(m.Attributes, at, at+1)
	}
}

// NameStaticFormats adds the rtpmap of static payload types, and drops the payload types that have
// none, and those whose parameters Pion cannot read: it would refuse the whole description
// (pion/sdp#161). If none is left, the first one stays as a codec that nobody has.
func NameStaticFormats(m *sdp.MediaDescription) {
	var kept, dropped []string
	for _, format := range m.MediaName.Formats {
		rtpmap, named := formatOf(m, "rtpmap", format)
		if words := strings.Fields(rtpmap); len(words) > 0 && rtpmap != words[0] { // Pion does not read it
			rtpmap = words[0]
			setFormat(m, "rtpmap", format, rtpmap)
		}
		named = named && validRTPMap(rtpmap)
		if static := staticFormats[format]; !named && static != "" {
			setFormat(m, "rtpmap", format, static)
			named = true
		}
		fmtp, _ := formatOf(m, "fmtp", format)
		if apt, ok := parameter(fmtp, "apt"); ok {
			_, err := strconv.ParseUint(apt, 10, 8)
			named = named && err == nil
		}
		if named && !slices.Contains(kept, format) {
			kept = append(kept, format)
		} else if !slices.Contains(kept, format) {
			dropped = append(dropped, format)
		}
	}
	if len(kept) == 0 && len(dropped) > 0 {
		kept, dropped = dropped[:1], dropped[1:]
		setFormat(m, "fmtp", kept[0], "")
		setFormat(m, "rtpmap", kept[0], "unknown/8000")
	}
	m.MediaName.Formats = kept
	DropAttributes(m, func(a sdp.Attribute) bool {
		first, _, _ := strings.Cut(a.Value, " ")
		return slices.Contains([]string{"rtpmap", "fmtp", "rtcp-fb"}, a.Key) && slices.Contains(dropped, first)
	})
}

// DropRepeatedFormats leaves each payload type once. If a codec is offered with two, Pion answers
// with the first of them, twice.
func DropRepeatedFormats(m *sdp.MediaDescription) {
	var formats []string
	for _, format := range m.MediaName.Formats {
		if !slices.Contains(formats, format) {
			formats = append(formats, format)
		}
	}
	m.MediaName.Formats = formats
	seen := map[string]bool{}
	DropAttributes(m, func(a sdp.Attribute) bool {
		key := a.Key + ":" + a.Value
		switch a.Key {
		case "rtpmap", "fmtp":
			format, _, _ := strings.Cut(a.Value, " ")
			key = a.Key + ":" + format
		case "rtcp-fb":
		default:
			return false
		}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// validRTPMap reports whether Pion reads an rtpmap.
func validRTPMap(rtpmap string) bool {
	parts := strings.Split(rtpmap, "/")
	if len(parts) > 1 {
		_, err := strconv.ParseUint(parts[1], 10, 32)
		return err == nil
	}
	return strings.TrimSpace(rtpmap) != ""
}

// MatchOpus drops the parameters of Opus that differ from ours: they say what one side prefers, and
// need not agree (RFC 7587 section 6.1), but Pion would prefer every codec that has the same ones
// to Opus, and answer without it (pion/webrtc#1711).
func MatchOpus(m *sdp.MediaDescription) {
	for _, format := range m.MediaName.Formats {
		fmtp, ok := formatOf(m, "fmtp", format)
		if !ok || codecOf(m, format) != "opus" {
			continue
		}
		var kept []string
		for p := range strings.SplitSeq(fmtp, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			if ours, ok := parameter(OpusParameters, name); name != "" && (!ok || ours == value) {
				kept = append(kept, strings.TrimSpace(p))
			}
		}
		setFormat(m, "fmtp", format, strings.Join(kept, ";"))
	}
}

// DeclareOpus declares our parameters of Opus in a section in which Pion repeats the peer's. stereo
// and sprop-stereo are declarative and not negotiated (RFC 7587 section 7), and any of our tracks
// may be stereo, so an answer always has both. An offer has sprop-stereo only if the peer declares
// it too: webrtcbin of GStreamer assigns a track to an offered section if their parameters are
// equal. A mono track of it has sprop-stereo=0, finds no section with sprop-stereo=1, and all
// tracks shift.
func DeclareOpus(m *sdp.MediaDescription, answer bool) {
	for _, format := range m.MediaName.Formats {
		if codecOf(m, format) != "opus" {
			continue
		}
		ours := OpusParameters
		fmtp, _ := formatOf(m, "fmtp", format)
		if sprop, _ := parameter(fmtp, "sprop-stereo"); answer || sprop == "1" {
			ours += ";sprop-stereo=1"
		}
		setFormat(m, "fmtp", format, ours)
	}
}

// MatchH264 gives H.264 the parameters by which Pion knows it: Pion needs both packetization-mode,
// which is 0 if absent, and profile-level-id, and compares the first two bytes of that, of which
// several say the same profile (RFC 6184 section 8.1). AnswerH264 undoes it in the answer.
func MatchH264(m *sdp.MediaDescription) {
	for _, format := range m.MediaName.Formats {
		if codecOf(m, format) != "h264" {
			continue
		}
		fmtp, _ := formatOf(m, "fmtp", format)
		var edited []string
		mode, level := false, false
		for p := range strings.SplitSeq(fmtp, ";") {
			p = strings.TrimSpace(p)
			switch name, value, _ := strings.Cut(p, "="); strings.ToLower(name) {
			case "":
				continue
			case "packetization-mode":
				mode = true
			case "profile-level-id":
				level = true
				p = name + "=" + canonicalProfile(value)
			}
			edited = append(edited, p)
		}
		if !mode {
			edited = append(edited, "packetization-mode=0")
		}
		if !level { // what libwebrtc takes it for
			edited = append(edited, "profile-level-id=42e01f")
		}
		setFormat(m, "fmtp", format, strings.Join(edited, ";"))
	}
}

// AnswerH264 repeats the offered parameters of H.264 in an answer.
func AnswerH264(m, offered *sdp.MediaDescription) {
	for _, format := range m.MediaName.Formats {
		if codecOf(m, format) == "h264" && codecOf(offered, format) == "h264" {
			fmtp, _ := formatOf(offered, "fmtp", format)
			setFormat(m, "fmtp", format, fmtp)
		}
	}
}

// h264Profiles are the profiles of RFC 6184 section 8.1, table 5, that are registered with Pion:
// the bits of profile-iop in mask have these values.
var h264Profiles = []struct {
	idc, mask, iop byte
	canonical      string
}{
	{0x42, 0x4f, 0x40, "42e0"}, {0x4d, 0x8f, 0x80, "42e0"}, {0x58, 0xcf, 0xc0, "42e0"}, // Constrained Baseline
	{0x42, 0x4f, 0x00, "4200"}, {0x58, 0xcf, 0x80, "4200"}, // Baseline
	{0x4d, 0xaf, 0x00, "4d00"}, // Main
	{0x64, 0xff, 0x00, "6400"}, // High
}

// canonicalProfile returns a profile-level-id with the profile as Pion knows it.
func canonicalProfile(id string) string {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 3 {
		return id
	}
	for _, p := range h264Profiles {
		if b[0] == p.idc && b[1]&p.mask == p.iop {
			return p.canonical + hex.EncodeToString(b[2:])
		}
	}
	return id
}
