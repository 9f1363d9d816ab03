package peer

import (
	"cmp"
	"strings"
)

// unspoken are the sections of an offer that was set with no codec of ours. Pion rejects them, unless they have a track:
// then it makes no answer at all.
func (c *connection) unspoken() map[string]bool {
	mids := map[string]bool{}
	for _, t := range c.pc.GetTransceivers() {
		mids[t.Mid()] = len(t.Receiver().GetParameters().Codecs) == 0
	}
	return mids
}

// rejecting is our answer with the mid and the formats of the offer in the sections that it rejects, as RFC 9429 §5.3.1
// has it, and with their candidates in the first one that it does not: Pion puts all into the first.
func rejecting(answer, offer string) string {
	sections, asked := split(answer), split(offer)
	var candidates []string
	first := 0
	for i := 1; i < len(sections) && i < len(asked); i++ {
		ours, theirs := strings.Fields(sections[i][0]), strings.Fields(asked[i][0])
		if len(ours) < 2 || len(theirs) < 2 || ours[0] == "application" && ours[1] == "0" {
			continue
		}
		if ours[1] != "0" {
			first = cmp.Or(first, i)
			continue
		}
		theirs[1] = "0"
		kept := []string{strings.Join(theirs, " "), "c=IN IP4 0.0.0.0"}
		for _, line := range sections[i] {
			if strings.HasPrefix(line, "a=candidate:") || line == "a=end-of-candidates" {
				candidates = append(candidates, line)
			}
		}
		for _, line := range asked[i] {
			if strings.HasPrefix(line, "a=mid:") || strings.HasPrefix(line, "a=rtpmap:") || strings.HasPrefix(line, "a=fmtp:") {
				kept = append(kept, line)
			}
		}
		sections[i] = kept
	}
	if first > 0 {
		sections[first] = append(sections[first], candidates...)
	}
	var text []string
	for _, lines := range sections {
		text = append(text, strings.Join(lines, "\r\n"))
	}
	return strings.Join(text, "\r\nm=") + "\r\n"
}

// split is a description by its sections and their lines, without the m= that each begins with.
func split(text string) (sections [][]string) {
	for section := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\nm=") {
		sections = append(sections, strings.Split(section, "\r\n"))
	}
	return sections
}
