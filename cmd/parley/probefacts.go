package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"parley/cmd/parley/internal/event"
	"parley/media"
	"parley/peer/stats"
)

// probeSorts are the keys that a scenario's expect and never know: those of
// --expect, and what only a probe looks at.
func probeSorts() map[string]event.Kind {
	sorts := expectKeys()
	maps.Copy(sorts, map[string]event.Kind{
		"answered": event.Flag, "reoffered": event.Flag, "signaling.leave": event.Flag, "state": event.Text, "failed": event.Flag, "disconnected": event.Flag, "setup.ms": event.Number, "rtt.ms": event.Number,
		"candidate": event.Text, "candidate.ours": event.Text, "candidate.mdns": event.Flag, "candidates.end": event.Flag,
		"pair": event.Text, "pair.protocol": event.Text, "relayed": event.Text, "warning": event.Text, "message": event.Text, "channel.closed": event.Text,
		"answer.sections": event.Number, "answer.bundled": event.Number, "answer.muxed": event.Number, "answer.mids": event.Text, "answer.order": event.Text,
		"answer.setup": event.Text, "answer.crypto": event.Flag, "answer.fingerprint": event.Text, "answer.ice": event.Text, "answer.trickle": event.Flag,
		"answer.max-message": event.Number, "answer.sctp": event.Text, "ufrags": event.Number, "answer.profile": event.Text,
		"answer.not-offered": event.Text, "answer.parley": event.Flag, "answer.number": event.Text, "answer.repeated": event.Text, "answer.rejection": event.Text, "answer.feedback": event.Text, "answer.origin": event.Text,
		"answer.rejected": event.Text, "answer.codec.audio": event.Text, "answer.codec.video": event.Text, "answer.direction.audio": event.Text, "answer.direction.video": event.Text,
		"muted": event.Text, "unmuted": event.Text, "crossed": event.Flag, "codes": event.Text, "remote.code": event.Text, "remote.state": event.Text, "remote.text": event.Text, "remote.channel": event.Text, "remote.track": event.Text,
		"remote.muted": event.Text, "remote.unmuted": event.Text, "remote.interruption": event.Text, "remote.role": event.Text, "remote.dtls": event.Text, "remote.tls": event.Text, "remote.video.size": event.Text,
		"dtls": event.Text, "tls": event.Text, "role": event.Text, "certificate": event.Text,
	})
	for _, kind := range media.Kinds() {
		for _, k := range []string{"level", "jitter", "keyframes", "corrupt-frames", "duplicates", "frame-ids", "frame-id", "idle.ms", "reported", "reported.lost", "nacks", "plis", "sent"} {
			sorts[kind+"."+k] = event.Number
		}
		for _, k := range []string{"packets", "lost", "frames"} {
			sorts["remote."+kind+"."+k] = event.Number
		}
		sorts["remote."+kind+".tone"], sorts[kind+".unreported-packets"] = event.Tone, event.Number
		sorts["sending."+kind], sorts["refused."+kind] = event.Text, event.Flag
	}
	return sorts
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// attributeOf is the first value of an attribute in a description, "" for none.
func attributeOf(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a="+name+":"); ok {
			return v
		}
	}
	return ""
}

// section is a media section of a description, as it is written.
type section struct {
	kind, port, proto string
	formats           []string
	lines             []string
}

// sectionsOf divides a description; the first is the session's part.
func sectionsOf(sdp string) []section {
	all := []section{{}}
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if m, ok := strings.CutPrefix(line, "m="); ok {
			s := section{}
			if f := strings.Fields(m); len(f) > 3 {
				s.kind, s.port, s.proto, s.formats = f[0], f[1], f[2], f[3:]
			}
			all = append(all, s)
		}
		last := &all[len(all)-1]
		last.lines = append(last.lines, line)
	}
	return all
}

// values are those of an attribute in a section.
func (s section) values(name string) []string {
	var all []string
	for _, line := range s.lines {
		if line == "a="+name {
			all = append(all, "")
		} else if v, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			all = append(all, v)
		}
	}
	return all
}

func (s section) has(name string) bool { return len(s.values(name)) > 0 }

// answerFacts is what a probe looks at in an answer to an offer.
func answerFacts(offer, answer string) []fact {
	theirs, ours := sectionsOf(answer), sectionsOf(offer)
	var facts []fact
	add := func(key, value string) { facts = append(facts, fact{key, event.TextOf(value)}) }
	count := func(key string, n int) { facts = append(facts, fact{key, event.NumberOf(n)}) }
	count("answer.sections", len(theirs)-1)
	group := ""
	for _, g := range theirs[0].values("group") {
		if rest, ok := strings.CutPrefix(g, "BUNDLE"); ok {
			group = rest
		}
	}
	count("answer.bundled", len(strings.Fields(group)))
	add("answer.mids", sameOrNot(theirs, ours, func(s section) string { return strings.Join(s.values("mid"), " ") }))
	add("answer.order", sameOrNot(theirs, ours, func(s section) string { return s.kind }))
	muxed := 0
	for i, s := range theirs {
		for _, v := range s.values("setup") {
			add("answer.setup", v)
		}
		for _, v := range s.values("fingerprint") {
			add("answer.fingerprint", strings.ToLower(strings.SplitN(v, " ", 2)[0]))
		}
		if s.has("crypto") {
			add("answer.crypto", "true")
		}
		for _, v := range s.values("ice-options") {
			if slices.Contains(strings.Fields(v), "trickle") {
				add("answer.trickle", "true")
			}
		}
		if i == 0 {
			add("answer.origin", originForm(s))
			continue
		}
		if s.has("rtcp-mux") {
			muxed++
		}
		facts = append(facts, sectionFacts(s, counterpart(ours, i))...)
	}
	count("answer.muxed", muxed)
	ice := "short"
	if len(attributeOf(answer, "ice-ufrag")) >= 4 && len(attributeOf(answer, "ice-pwd")) >= 22 {
		ice = "ok"
	}
	add("answer.ice", ice)
	return facts
}

// originForm reports whether the o= line has the form of RFC 8866 §5.2.
func originForm(s section) string {
	for _, line := range s.lines {
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

func counterpart(ours []section, i int) section {
	if i < len(ours) {
		return ours[i]
	}
	return section{}
}

func sameOrNot(a, b []section, of func(section) string) string {
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

// sectionFacts is what a probe looks at in one section of an answer.
func sectionFacts(s, offered section) []fact {
	var facts []fact
	add := func(key, value string) { facts = append(facts, fact{key, event.TextOf(value)}) }
	if s.port == "0" {
		add("answer.rejected", s.kind)
		return facts
	}
	add("answer.profile", s.proto)
	for _, u := range foreign(s, offered) {
		add("answer.not-offered", u)
	}
	if s.kind == "application" {
		add("answer.sctp", s.proto+" "+strings.Join(s.formats, " "))
		most := event.NumberOf(65536) // RFC 8841 §6.1
		if v := s.values("max-message-size"); len(v) > 0 {
			most = event.TextOf(v[0])
			if n, err := strconv.ParseFloat(v[0], 64); err == nil {
				most = event.NumberOf(n)
			}
		}
		return append(facts, fact{"answer.max-message", most})
	}
	direction := "sendrecv"
	for _, d := range []string{"sendonly", "recvonly", "inactive"} {
		if s.has(d) {
			direction = d
		}
	}
	add("answer.direction."+s.kind, direction)
	for _, m := range s.values("rtpmap") {
		_, codec, _ := strings.Cut(m, " ")
		name, _, _ := strings.Cut(codec, "/")
		add("answer.codec."+s.kind, strings.ToUpper(name))
	}
	if slices.Contains(s.formats, "0") {
		add("answer.codec."+s.kind, "PCMU") // a static type needs no rtpmap (RFC 3551 §6)
	}
	for _, f := range s.values("rtcp-fb") {
		_, what, _ := strings.Cut(f, " ")
		add("answer.feedback", s.kind+" "+what)
	}
	return facts
}

// foreign is what an answer has that was not offered: it may only take away
// (RFC 3264 §6.1, RFC 8285 §6).
func foreign(s, offered section) []string {
	var all []string
	names := func(s section) (codecs, extensions []string) {
		for _, m := range s.values("rtpmap") {
			_, codec, _ := strings.Cut(m, " ")
			codecs = append(codecs, strings.ToLower(strings.TrimSuffix(codec, "/1")))
		}
		for _, e := range s.values("extmap") {
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

// reportFacts is what a probe looks at in the statistics.
func reportFacts(r stats.Report) []fact {
	var facts []fact
	for _, o := range r {
		put := func(key, member string) {
			if v, ok := o[member]; ok {
				facts = append(facts, fact{key, event.ValueOf(v)})
			}
		}
		kind := fmt.Sprint(o["kind"])
		switch o["type"] {
		case "transport":
			put("dtls", "dtlsState")
			put("tls", "tlsVersion")
			put("role", "iceRole")
		case "certificate":
			put("certificate", "fingerprintAlgorithm")
		case "outbound-rtp":
			put(kind+".sent", "packetsSent")
			put(kind+".nacks", "nackCount")
			put(kind+".plis", "pliCount")
		case "remote-inbound-rtp":
			facts = append(facts, fact{kind + ".reported", event.NumberOf(1)})
			put(kind+".reported.lost", "packetsLost")
		}
	}
	return facts
}
