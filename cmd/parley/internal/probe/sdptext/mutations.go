package sdptext

import (
	"slices"
	"strings"
)

// A Mutation changes the sections of an offer.
type Mutation func([]Section)

// Mutations returns the mutations of offers by name.
func Mutations() map[string]Mutation {
	without := func(prefixes ...string) Mutation { return func(all []Section) { Drop(all, prefixes...) } }
	return map[string]Mutation{
		"no-ssrc": without("a=ssrc:", "a=ssrc-group:"), "no-msid": without("a=msid:", "a=msid-semantic:", "a=ssrc:", "a=ssrc-group:"),
		"no-extensions": without("a=extmap:", "a=extmap-allow-mixed"), "no-feedback": without("a=rtcp-fb:"), "no-max-message": without("a=max-message-size:"),
		"no-rtx":    func(all []Section) { keepCodecs(all, "", func(n string) bool { return n != "rtx" }) },
		"only-pcmu": onlyCodec("audio", "pcmu"), "only-pcma": onlyCodec("audio", "pcma"), "only-g722": onlyCodec("audio", "g722"), "only-opus": onlyCodec("audio", "opus"),
		"only-vp8": onlyCodec("video", "vp8"), "only-vp9": onlyCodec("video", "vp9"), "only-h264": onlyCodec("video", "h264"), "only-av1": onlyCodec("video", "av1"),
		"unknown-video":      func(all []Section) { rename(all, "video") },
		"unknown-attributes": unknownAttributes,
		"unknown-codec":      unknownCodec,
		"sdes": func(all []Section) {
			AddToMedia(all, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+strings.Repeat("A", 40))
		},
		"setup-active":      func(all []Section) { setup(all, "active") },
		"setup-passive":     func(all []Section) { setup(all, "passive") },
		"session-level":     sessionLevel,
		"media-level":       mediaLevel,
		"lower-fingerprint": func(all []Section) { alterFingerprint(all, strings.ToLower) },
		"unknown-hash":      unknownHash,
		"wrong-fingerprint": func(all []Section) { alterFingerprint(all, wrongHex) },
		"legacy-sctp":       legacySCTP,
	}
}

// Drop removes the lines with one of some prefixes.
func Drop(all []Section, prefixes ...string) {
	for i := range all {
		all[i].Lines = slices.DeleteFunc(all[i].Lines, func(line string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
		})
	}
}

// AddToMedia adds a line to each section of audio or video.
func AddToMedia(all []Section, line string) {
	for i := 1; i < len(all); i++ {
		if all[i].Kind == "audio" || all[i].Kind == "video" {
			all[i].Lines = append(all[i].Lines, line)
		}
	}
}

func onlyCodec(kind, codec string) Mutation {
	return func(all []Section) { keepCodecs(all, kind, func(n string) bool { return n == codec }) }
}

// keepCodecs removes the codecs for which keep returns false, those of a kind or all if it is "".
func keepCodecs(all []Section, kind string, keep func(name string) bool) {
	for i := range all {
		s := &all[i]
		if s.Kind != "audio" && s.Kind != "video" || kind != "" && s.Kind != kind {
			continue
		}
		gone := map[string]bool{}
		for _, m := range s.Values("rtpmap") {
			format, codec, _ := strings.Cut(m, " ")
			name, _, _ := strings.Cut(codec, "/")
			gone[format] = !keep(strings.ToLower(name))
		}
		s.Formats = slices.DeleteFunc(s.Formats, func(f string) bool { return gone[f] })
		s.Lines[0] = strings.Join(append([]string{"m=" + s.Kind, s.Port, s.Protocol}, s.Formats...), " ")
		s.Lines = slices.DeleteFunc(s.Lines, func(line string) bool {
			for _, name := range []string{"a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"} {
				if rest, ok := strings.CutPrefix(line, name); ok {
					format, _, _ := strings.Cut(rest, " ")
					return gone[format]
				}
			}
			return false
		})
	}
}

// rename gives the codecs of a kind a name that is not registered.
func rename(all []Section, kind string) {
	for i := range all {
		if all[i].Kind != kind {
			continue
		}
		for j, line := range all[i].Lines {
			if format, codec, ok := strings.Cut(line, " "); ok && strings.HasPrefix(format, "a=rtpmap:") {
				_, rest, _ := strings.Cut(codec, "/")
				all[i].Lines[j] = format + " X-UNKNOWN/" + rest
			}
		}
	}
}

func unknownAttributes(all []Section) {
	for i := range all {
		all[i].Lines = append(all[i].Lines, "a=x-unknown", "a=x-unknown-value:1 2 3")
	}
	AddToMedia(all, "a=rtcp-fb:* x-unknown future")
}

func unknownCodec(all []Section) {
	for i := range all {
		if s := &all[i]; s.Kind == "audio" || s.Kind == "video" {
			s.Lines[0] += " 63"
			s.Lines = append(s.Lines, "a=rtpmap:63 X-FUTURE/90000", "a=fmtp:63 a=b;c")
		}
	}
}

func setup(all []Section, role string) {
	for i := range all {
		for j, line := range all[i].Lines {
			if strings.HasPrefix(line, "a=setup:") {
				all[i].Lines[j] = "a=setup:" + role
			}
		}
	}
}

// transportAttributes returns the attributes that are valid in the session part and in each section
// (RFC 8839 section 4.4.4, RFC 8842 section 5).
func transportAttributes() []string {
	return []string{"a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"}
}

func take(s *Section, prefixes []string) []string {
	var taken []string
	s.Lines = slices.DeleteFunc(s.Lines, func(line string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				taken = append(taken, line)
				return true
			}
		}
		return false
	})
	return taken
}

func sessionLevel(all []Section) {
	var taken []string
	for i := range all {
		for _, line := range take(&all[i], transportAttributes()) {
			if !slices.Contains(taken, line) {
				taken = append(taken, line)
			}
		}
	}
	all[0].Lines = append(all[0].Lines, taken...)
}

func mediaLevel(all []Section) {
	taken := take(&all[0], transportAttributes())
	for i := 1; i < len(all); i++ {
		all[i].Lines = append(all[i].Lines, taken...)
	}
}

// alterFingerprint changes the digits of fingerprints.
func alterFingerprint(all []Section, digits func(string) string) {
	for i := range all {
		for j, line := range all[i].Lines {
			if v, ok := strings.CutPrefix(line, "a=fingerprint:"); ok {
				hash, hex, _ := strings.Cut(v, " ")
				all[i].Lines[j] = "a=fingerprint:" + hash + " " + digits(hex)
			}
		}
	}
}

// wrongHex returns the digits of another certificate.
func wrongHex(hex string) string {
	if hex == "" {
		return hex
	}
	swapped := byte('0')
	if hex[0] == '0' {
		swapped = '1'
	}
	return string(swapped) + hex[1:]
}

// unknownHash adds a fingerprint of a hash that is not registered, before the valid one.
func unknownHash(all []Section) {
	for i := range all {
		for j, line := range all[i].Lines {
			if strings.HasPrefix(line, "a=fingerprint:") {
				all[i].Lines = slices.Insert(all[i].Lines, j, "a=fingerprint:x-future-1 00:11:22:33")
				break
			}
		}
	}
}

// legacySCTP rewrites the section of data to the form before RFC 8841.
func legacySCTP(all []Section) {
	for i := range all {
		if all[i].Kind == "application" {
			all[i].Lines[0] = "m=application 9 DTLS/SCTP 5000"
			take(&all[i], []string{"a=sctp-port:"})
			all[i].Lines = append(all[i].Lines, "a=sctpmap:5000 webrtc-datachannel 1024")
		}
	}
}
