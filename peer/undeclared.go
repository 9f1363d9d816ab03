package peer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/demux"
)

// A description need not say which SSRCs its media will have (RFC 9429 has none
// in its examples): what comes belongs to the section whose MID it carries, else
// to the one that has its payload type (RFC 9143 §9.2). Pion does so only for what
// has a RID as well, as the sizes of a simulcast do. So it is told that such a
// section has one size, and interceptors/demux gives what comes the RID of it. The other
// side hears nothing of that: see plain.

// soleRID is the name of that one size.
const soleRID = "sole"

// soleLine says so in a section of the other side.
const soleLine = "a=rid:" + soleRID + " send"

// soles are what Pion alone knows of a connection's sections, by their MIDs.
type soles struct {
	named      map[string]bool     // with one size
	extensions map[string][]string // lines for header extensions that are not in force
}

// forPion is a description of the other side as Pion is to get it. The names of
// what comes are looked for by it from now on.
func (c *connection) forPion(d *Description) (string, error) {
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(d.sdp); err != nil {
		return "", fmt.Errorf("the description cannot be read back: %w", err)
	}
	changed := false
	for i, s := range d.Sections {
		m := parsed.MediaDescriptions[i]
		sole := c.sole(m, s)
		// Without RIDs Pion drops what comes before its description as well.
		if !sole && (extensionID(parsed.MediaDescriptions[i:i+1], sdp.SDESMidURI) == 0 || extensionID(parsed.MediaDescriptions, sdp.SDESRTPStreamIDURI) != 0) {
			continue
		}
		if sole {
			name(m, s.Mid)
			c.soles.named[s.Mid] = true // it stays so, for its receiver's sake
		}
		c.soles.extensions[s.Mid], changed = extend(parsed, m), true
	}
	c.updateDemuxer(parsed, d.Sections)
	if !changed {
		return d.sdp, nil
	}
	text, err := parsed.Marshal()
	return string(text), err
}

// updateDemuxer gives the demuxer the peer's description, before Pion gets it.
func (c *connection) updateDemuxer(parsed *sdp.SessionDescription, sections []Section) {
	extension := func(uri string) uint8 { return extensionID(parsed.MediaDescriptions, uri) }
	var media []demux.Section
	for i, s := range sections {
		if s.Kind != 0 && !s.Rejected {
			media = append(media, demux.Section{MID: s.Mid, Sends: s.Sends(), Media: parsed.MediaDescriptions[i]})
		}
	}
	c.demuxer.Update(demux.HeaderExtensions{
		MID: extension(sdp.SDESMidURI), RID: extension(sdp.SDESRTPStreamIDURI), RepairedRID: extension(sdp.SDESRepairRTPStreamIDURI),
	}, media)
}

// sole tells if a section is one whose streams are to be told apart here.
func (c *connection) sole(m *sdp.MediaDescription, s Section) bool {
	if s.Kind == 0 || s.Rejected {
		return false
	}
	_, declared := m.Attribute(sdp.AttrKeySSRC)
	_, layered := m.Attribute("rid")
	return !layered && (c.soles.named[s.Mid] || !declared && s.Sends())
}

// name gives a section the one size. Pion wants a track by its name for that.
func name(m *sdp.MediaDescription, mid string) {
	named := false
	m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
		named = named || a.Key == sdp.AttrKeyMsid && len(strings.Split(a.Value, " ")) == 2
		return a.Key == sdp.AttrKeySSRC || a.Key == sdp.AttrKeySSRCGroup
	})
	if !named {
		m.WithValueAttribute(sdp.AttrKeyMsid, "- "+mid)
	}
	m.WithValueAttribute("rid", soleRID+" send")
}

// namedBy are the header extensions that Pion tells streams apart by.
func namedBy() []string {
	return []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI}
}

// extend gives a section those that it does not have, and returns them as lines.
func extend(parsed *sdp.SessionDescription, m *sdp.MediaDescription) (lines []string) {
	for _, uri := range namedBy() {
		id := int(extensionID(parsed.MediaDescriptions, uri))
		if id == 0 {
			for id = maxExtension; id > 0 && numbered(parsed, id); id-- {
			}
		}
		if id == 0 || extensionID([]*sdp.MediaDescription{m}, uri) != 0 {
			continue
		}
		value := fmt.Sprint(id, " ", uri)
		m.WithValueAttribute(sdp.AttrKeyExtMap, value)
		lines = append(lines, "a=extmap:"+value)
	}
	return lines
}

// ridOf is the RID by which the other side knows a track, "" for none.
func ridOf(t *webrtc.TrackRemote) string {
	if rid := t.RID(); rid != soleRID {
		return rid
	}
	return ""
}

// plain is a description of ours without what Pion alone is to know. Of sound no
// streams are told apart on the wire.
func (c *connection) plain(text string) string {
	sections := strings.SplitAfter(c.withoutPhantoms(text), "\r\nm=")
	for i := 1; i < len(sections); i++ {
		hidden := append([]string{"a=rid:" + soleRID + " recv", "a=simulcast:recv " + soleRID}, c.soles.extensions[attributeOf(sections[i], "mid")]...)
		sound := strings.HasPrefix(sections[i], "audio")
		var kept strings.Builder
		for line := range strings.Lines(sections[i]) {
			bare := strings.TrimRight(line, "\r\n")
			extension, uri, _ := strings.Cut(bare, " ")
			extra := sound && strings.HasPrefix(extension, "a=extmap:") && slices.Contains(namedBy(), uri)
			if !extra && !slices.Contains(hidden, bare) {
				kept.WriteString(line)
			}
		}
		sections[i] = kept.String()
	}
	return strings.Join(sections, "")
}

// extensionID is the number of a header extension in sections, 0 for none.
func extensionID(sections []*sdp.MediaDescription, uri string) uint8 {
	for _, m := range sections {
		for _, a := range m.Attributes {
			if id := numberOf(a); id != 0 && strings.HasSuffix(a.Value, " "+uri) {
				return id
			}
		}
	}
	return 0
}

// numbered tells if a header extension has this number.
func numbered(parsed *sdp.SessionDescription, id int) bool {
	return slices.ContainsFunc(parsed.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool { return int(numberOf(a)) == id })
	})
}

// numberOf is the number in an extmap attribute (RFC 8285 §5), 0 for none.
func numberOf(a sdp.Attribute) uint8 {
	number, _, _ := strings.Cut(a.Value, " ")
	number, _, _ = strings.Cut(number, "/")
	if id, err := strconv.ParseUint(number, 10, 8); err == nil && a.Key == sdp.AttrKeyExtMap {
		return uint8(id)
	}
	return 0
}
