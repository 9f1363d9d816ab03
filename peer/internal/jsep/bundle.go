package jsep

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// A description may leave its sections unbundled (RFC 9143 section 7), as GStreamer's webrtcbin
// does by default: each has a transport of its own. Pion has one transport for a PeerConnection and
// would answer "port 0" to all (pion/webrtc#3522). So such a description is split into parts of one
// transport each, and what the PeerConnections describe is merged, see Layout.

// bundled reports whether there is a BUNDLE group.
func (d *Description) bundled() bool { return len(bundles(d.sdp)) > 0 }

// Transports returns the indices of the sections that share a transport, the one with the data
// channels first. Rejected sections are in none, unless there is but one.
func (d *Description) Transports() [][]int {
	groups := d.groups()
	if len(groups) <= 1 {
		return [][]int{d.all()}
	}
	data := func(group []int) int {
		if slices.ContainsFunc(group, func(i int) bool { return d.Sections[i].Data }) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(groups, func(a, b []int) int { return data(b) - data(a) })
	return groups
}

// groups returns the sections that are bundled, and each of the others that is in use.
func (d *Description) groups() [][]int {
	var groups [][]int
	done := map[int]bool{}
	for _, bundle := range bundles(d.sdp) {
		var group []int
		for _, s := range d.Sections {
			if slices.Contains(bundle, s.Mid) && !done[s.Index] {
				group = append(group, s.Index)
				done[s.Index] = true
			}
		}
		groups = append(groups, group)
	}
	for _, s := range d.Sections {
		if !done[s.Index] && !s.Rejected {
			groups = append(groups, []int{s.Index})
		}
	}
	return slices.DeleteFunc(groups, func(g []int) bool { return len(g) == 0 })
}

// Part returns the description with these of its sections alone, bundled.
func (d *Description) Part(indices []int) *Description {
	part, s := *d, *d.sdp
	s.Attributes = slices.DeleteFunc(slices.Clone(d.sdp.Attributes), isBundle)
	part.Sections, s.MediaDescriptions = nil, nil
	group := "BUNDLE"
	for _, i := range indices {
		part.Sections = append(part.Sections, d.Sections[i])
		s.MediaDescriptions = append(s.MediaDescriptions, d.sdp.MediaDescriptions[i])
		if !d.Sections[i].Rejected {
			group += " " + d.Sections[i].Mid
		}
	}
	s.Attributes = append(s.Attributes, sdp.NewAttribute("group", group))
	part.sdp = &s
	part.Setup, part.EndOfCandidates = SetupOf(&s), hasAttribute(&s, "end-of-candidates")
	return &part
}

// Whole returns the description as one part, all of it bundled.
func (d *Description) Whole() *Description { return d.Part(d.all()) }

func (d *Description) all() []int {
	all := make([]int, len(d.Sections))
	for i := range all {
		all[i] = i
	}
	return all
}

func isBundle(a sdp.Attribute) bool { return a.Key == "group" && strings.HasPrefix(a.Value, "BUNDLE") }

// bundles returns the mids of each BUNDLE group.
func bundles(d *sdp.SessionDescription) (all [][]string) {
	for _, a := range d.Attributes {
		if words := strings.Fields(a.Value); a.Key == "group" && len(words) > 1 && words[0] == "BUNDLE" {
			all = append(all, words[1:])
		}
	}
	return all
}

// editBundles replaces the mids of each BUNDLE group.
func editBundles(d *sdp.SessionDescription, edit func(mids []string) []string) {
	for i, a := range d.Attributes {
		if words := strings.Fields(a.Value); isBundle(a) && len(words) > 0 {
			d.Attributes[i].Value = strings.Join(append(words[:1:1], edit(words[1:])...), " ")
		}
	}
}
