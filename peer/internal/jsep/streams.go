package jsep

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/peer/internal/msection"
)

// A description need not say which SSRCs its media have (RFC 9429 has none in its examples): a
// packet belongs to the section whose MID it carries, else to the one that has its payload type
// (RFC 9143 section 9.2). Pion does so only for packets that carry a RID as well, as the layers of
// a simulcast do. So the description for Pion says that such a section has one layer, SyntheticRID,
// and the demultiplexer puts that RID into the packets. ToWire hides it from the peer.

// SyntheticRID is the RID of a section without declared SSRCs.
const SyntheticRID = "sole"

// syntheticRID says in a section of the peer that it has that layer.
func syntheticRID() sdp.Attribute { return sdp.NewAttribute("rid", SyntheticRID+" send") }

// StreamExtensions returns the header extensions by which Pion distinguishes streams.
func StreamExtensions() []string {
	return []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI}
}

// Synthetic is what ForPion has added to the sections of a PeerConnection, by their mids, and
// ToWire takes away again. The zero value is ready to use.
type Synthetic struct {
	named      map[string]bool            // sections with SyntheticRID
	extensions map[string][]sdp.Attribute // header extensions that the peer has not got
}

// name adds SyntheticRID and header extensions to the sections that need them.
func (y *Synthetic) name(d *sdp.SessionDescription, sections []Section) {
	if y.named == nil {
		y.named, y.extensions = map[string]bool{}, map[string][]sdp.Attribute{}
	}
	for i, s := range sections {
		m := d.MediaDescriptions[i]
		undeclared := y.undeclared(m, s)
		if undeclared {
			addSyntheticRID(m, s.Mid)
			y.named[s.Mid] = true // it stays so, for its receiver's sake
		}
		// Without RIDs Pion also drops what comes before the peer's description.
		early := msection.ExtensionID(m, sdp.SDESMidURI) != 0 && sessionExtensionID(d, sdp.SDESRTPStreamIDURI) == 0
		if undeclared || early {
			y.extensions[s.Mid] = addStreamExtensions(d, m)
		}
	}
}

// undeclared reports whether the streams of a section are distinguished by SyntheticRID.
func (y *Synthetic) undeclared(m *sdp.MediaDescription, s Section) bool {
	if s.Kind == 0 || s.Rejected {
		return false
	}
	_, declared := m.Attribute(sdp.AttrKeySSRC)
	_, layered := m.Attribute("rid")
	return !layered && (y.named[s.Mid] || !declared && s.Sends())
}

// addSyntheticRID gives a section the one layer. Pion wants a track with a name for that.
func addSyntheticRID(m *sdp.MediaDescription, mid string) {
	named := false
	msection.DropAttributes(m, func(a sdp.Attribute) bool {
		named = named || a.Key == sdp.AttrKeyMsid && len(strings.Split(a.Value, " ")) == 2
		return a.Key == sdp.AttrKeySSRC || a.Key == sdp.AttrKeySSRCGroup
	})
	if !named {
		m.WithValueAttribute(sdp.AttrKeyMsid, "- "+mid)
	}
	m.Attributes = append(m.Attributes, syntheticRID())
}

// addStreamExtensions gives a section the StreamExtensions that it does not have, and returns them.
func addStreamExtensions(d *sdp.SessionDescription, m *sdp.MediaDescription) (added []sdp.Attribute) {
	for _, uri := range StreamExtensions() {
		id := int(sessionExtensionID(d, uri))
		if id == 0 {
			for id = msection.MaxOneByteID; id > 0 && hasExtensionID(d, id); id-- {
			}
		}
		if id == 0 || msection.ExtensionID(m, uri) != 0 {
			continue
		}
		a := sdp.NewAttribute(sdp.AttrKeyExtMap, fmt.Sprint(id, " ", uri))
		m.Attributes, added = append(m.Attributes, a), append(added, a)
	}
	return added
}

// hide removes from a section of ours what ForPion has added to the peer's. Streams of audio are
// not distinguished on the wire.
func (y *Synthetic) hide(m *sdp.MediaDescription) {
	hidden := []sdp.Attribute{sdp.NewAttribute("rid", SyntheticRID+" recv"), sdp.NewAttribute("simulcast", "recv "+SyntheticRID)}
	if y != nil {
		hidden = append(hidden, y.extensions[msection.Mid(m)]...)
	}
	msection.DropAttributes(m, func(a sdp.Attribute) bool {
		_, uri, _ := strings.Cut(a.Value, " ")
		ofAudio := m.MediaName.Media == "audio" && a.Key == sdp.AttrKeyExtMap && slices.Contains(StreamExtensions(), uri)
		return ofAudio || slices.Contains(hidden, a)
	})
}

// Streams is what a demultiplexer needs to know of a description.
type Streams struct {
	// MID, RID and RepairedRID are the IDs of header extensions, 0 if the description has none.
	MID, RID, RepairedRID uint8
	Sections              []StreamSection
}

// StreamSection is an RTP section of the peer that is not rejected.
type StreamSection struct {
	Mid   string
	Sends bool
	Media *sdp.MediaDescription // as Pion gets it
}

func streamsOf(d *sdp.SessionDescription, sections []Section) Streams {
	r := Streams{
		MID: sessionExtensionID(d, sdp.SDESMidURI), RID: sessionExtensionID(d, sdp.SDESRTPStreamIDURI),
		RepairedRID: sessionExtensionID(d, sdp.SDESRepairRTPStreamIDURI),
	}
	for i, s := range sections {
		if s.Kind != 0 && !s.Rejected {
			r.Sections = append(r.Sections, StreamSection{Mid: s.Mid, Sends: s.Sends(), Media: d.MediaDescriptions[i]})
		}
	}
	return r
}

// sessionExtensionID returns the ID of a header extension in the first section that has it, 0 for
// none.
func sessionExtensionID(d *sdp.SessionDescription, uri string) uint8 {
	for _, m := range d.MediaDescriptions {
		if id := msection.ExtensionID(m, uri); id != 0 {
			return id
		}
	}
	return 0
}

// hasExtensionID reports whether a header extension has this ID.
func hasExtensionID(d *sdp.SessionDescription, id int) bool {
	return slices.ContainsFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool { return int(msection.ExtmapID(a)) == id })
	})
}
