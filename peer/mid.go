package peer

import (
	"fmt"
	"strings"
)

// dataMid is the mid of the data channels in an offer of ours that comes first. A page that has
// offered nothing but a data channel at the same moment, and takes that back,
// has given it this number, and Chromium takes no other one from then on.
const dataMid = "0"

// nameSections gives the media sections of a first offer their names, a1, v1 and
// so on, so that none has dataMid. ("audio" and "video" would do for Pion and
// others as a sign of Plan B.)
func (c *connection) nameSections() error {
	count := map[string]int{}
	for _, t := range c.pc.GetTransceivers() {
		if t.Mid() != "" {
			continue
		}
		kind := t.Kind().String()[:1]
		count[kind]++
		if err := t.SetMid(fmt.Sprint(kind, count[kind])); err != nil {
			return fmt.Errorf("failed to name a media section: %w", err)
		}
	}
	return nil
}

// pionsDataMid is the mid that Pion gave the data channels in its description:
// their index, whatever others there are. "" if there are none.
func (c *connection) pionsDataMid() string {
	if d := c.pc.LocalDescription(); d != nil {
		_, rest, _ := strings.Cut(d.SDP, "\r\nm=application")
		return attributeOf(rest, "mid")
	}
	return ""
}

// renamedMid is a description in which the section of one mid has another. Pion
// lets nobody name its data section, so it is done on the wire.
func renamedMid(text, from, to string) string {
	if from == "" || to == "" || from == to {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		switch bare := strings.TrimRight(line, "\r\n"); {
		case bare == "a=mid:"+from:
			lines[i] = "a=mid:" + to + "\r\n"
		case strings.HasPrefix(bare, "a=group:BUNDLE"):
			mids := strings.Fields(bare)
			for j, mid := range mids {
				if mid == from {
					mids[j] = to
				}
			}
			lines[i] = strings.Join(mids, " ") + "\r\n"
		}
	}
	return strings.Join(lines, "")
}
