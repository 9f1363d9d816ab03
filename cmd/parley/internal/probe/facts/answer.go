package facts

import (
	"slices"
	"strconv"
	"strings"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/probe/sdptext"
)

// OfAnswer returns the facts of an answer to an offer.
func OfAnswer(offer, answer string) []Fact {
	theirs, ours := sdptext.Parse(answer), sdptext.Parse(offer)
	var facts []Fact
	add := func(key, value string) { facts = append(facts, Fact{key, event.TextOf(value)}) }
	count := func(key string, n int) { facts = append(facts, Fact{key, event.NumberOf(n)}) }
	count("answer.sections", len(theirs)-1)
	group := ""
	for _, g := range theirs[0].Values("group") {
		if rest, ok := strings.CutPrefix(g, "BUNDLE"); ok {
			group = rest
		}
	}
	bundled := strings.Fields(group)
	count("answer.bundled", len(bundled))
	add("answer.mids", sameOrNot(theirs, ours, func(s sdptext.Section) string { return strings.Join(s.Values("mid"), " ") }))
	add("answer.order", sameOrNot(theirs, ours, func(s sdptext.Section) string { return s.Kind }))
	muxed, unbundled := 0, 0
	for i, s := range theirs {
		for _, v := range s.Values("setup") {
			add("answer.setup", v)
		}
		for _, v := range s.Values("fingerprint") {
			add("answer.fingerprint", strings.ToLower(strings.SplitN(v, " ", 2)[0]))
		}
		if s.Has("crypto") {
			add("answer.crypto", "true")
		}
		for _, v := range s.Values("ice-options") {
			if slices.Contains(strings.Fields(v), "trickle") {
				add("answer.trickle", "true")
			}
		}
		if i == 0 {
			add("answer.origin", originForm(s))
			continue
		}
		if s.Has("rtcp-mux") {
			muxed++
		}
		if s.Port != "0" && !slices.Contains(bundled, strings.Join(s.Values("mid"), " ")) {
			unbundled++
		}
		facts = append(facts, sectionFacts(s, counterpart(ours, i))...)
	}
	count("answer.muxed", muxed)
	count("answer.unbundled", unbundled)
	ice := "short"
	if len(sdptext.Attribute(answer, "ice-ufrag")) >= 4 && len(sdptext.Attribute(answer, "ice-pwd")) >= 22 {
		ice = "ok"
	}
	add("answer.ice", ice)
	return facts
}

// originForm returns "ok" if the o= line has the form of RFC 8866 section 5.2, or else "bad".
func originForm(s sdptext.Section) string {
	for _, line := range s.Lines {
		if o, ok := strings.CutPrefix(line, "o="); ok {
			if f := strings.Fields(o); len(f) == 6 {
				if _, err := strconv.ParseUint(f[1], 10, 63); err == nil {
					return "ok"
				}
			}
		}
	}
	return "bad"
}

// counterpart returns the section of an offer that a section of the answer belongs to, the zero
// Section for none.
func counterpart(ours []sdptext.Section, i int) sdptext.Section {
	if i < len(ours) {
		return ours[i]
	}
	return sdptext.Section{}
}

// sameOrNot returns "same" if a property of the media sections of two descriptions is the same, or
// else "other".
func sameOrNot(a, b []sdptext.Section, of func(sdptext.Section) string) string {
	if len(a) != len(b) {
		return "other"
	}
	for i := range a {
		if i > 0 && of(a[i]) != of(b[i]) {
			return "other"
		}
	}
	return "same"
}

// sectionFacts returns the facts of a section of an answer.
func sectionFacts(s, offered sdptext.Section) []Fact {
	var facts []Fact
	add := func(key, value string) { facts = append(facts, Fact{key, event.TextOf(value)}) }
	if s.Port == "0" {
		add("answer.rejected", s.Kind)
		return facts
	}
	add("answer.profile", s.Protocol)
	for _, u := range notOffered(s, offered) {
		add("answer.not-offered", u)
	}
	if s.Kind == "application" {
		add("answer.sctp", s.Protocol+" "+strings.Join(s.Formats, " "))
		most := event.NumberOf(65536) // RFC 8841 §6.1
		if v := s.Values("max-message-size"); len(v) > 0 {
			most = event.TextOf(v[0])
			if n, err := strconv.ParseFloat(v[0], 64); err == nil {
				most = event.NumberOf(n)
			}
		}
		return append(facts, Fact{"answer.max-message", most})
	}
	direction := "sendrecv"
	for _, d := range []string{"sendonly", "recvonly", "inactive"} {
		if s.Has(d) {
			direction = d
		}
	}
	add("answer.direction."+s.Kind, direction)
	for _, m := range s.Values("rtpmap") {
		_, codec, _ := strings.Cut(m, " ")
		name, _, _ := strings.Cut(codec, "/")
		add("answer.codec."+s.Kind, strings.ToUpper(name))
	}
	if slices.Contains(s.Formats, "0") {
		add("answer.codec."+s.Kind, "PCMU") // a static type needs no rtpmap (RFC 3551 §6)
	}
	for _, f := range s.Values("rtcp-fb") {
		_, what, _ := strings.Cut(f, " ")
		add("answer.feedback", s.Kind+" "+what)
	}
	return facts
}

// notOffered returns the codecs and header extensions of an answer that were not offered, which is
// an error (RFC 3264 section 6.1, RFC 8285 section 6).
func notOffered(s, offered sdptext.Section) []string {
	var all []string
	names := func(s sdptext.Section) (codecs, extensions []string) {
		for _, m := range s.Values("rtpmap") {
			_, codec, _ := strings.Cut(m, " ")
			codecs = append(codecs, strings.ToLower(strings.TrimSuffix(codec, "/1")))
		}
		for _, e := range s.Values("extmap") {
			if f := strings.Fields(e); len(f) > 1 {
				extensions = append(extensions, f[1])
			}
		}
		return codecs, extensions
	}
	codecs, extensions := names(s)
	theirs, exts := names(offered)
	for _, c := range codecs {
		if !slices.Contains(theirs, c) {
			all = append(all, "codec "+c)
		}
	}
	for _, e := range extensions {
		if !slices.Contains(exts, e) {
			all = append(all, "extension "+e)
		}
	}
	return all
}
