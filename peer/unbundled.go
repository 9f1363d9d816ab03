package peer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// An offer may leave its sections unbundled (RFC 9143 §7), as GStreamer's
// webrtcbin does by default: each has a transport of its own. Pion has one
// transport a connection and would answer "port 0" to all (pion/webrtc#3522).
// So such an offer is divided into descriptions of one transport each, each is
// answered by a connection of its own, and the answers are put together again;
// so are our offers from then on, see slots.go.

// divide writes the description as Pion takes it, in one part for each
// transport.
func (d *Description) divide(parsed *sdp.SessionDescription) (err error) {
	d.parsed = parsed
	if d.sdp, err = partOf(parsed, d.Sections); err != nil {
		return fmt.Errorf("the description cannot be written back: %w", err)
	}
	return d.divideBy(d.transports())
}

// divideBy makes a part of each of these groups of sections.
func (d *Description) divideBy(groups [][]int) (err error) {
	d.parts = nil
	if len(groups) == 1 && len(groups[0]) == len(d.Sections) {
		d.parts = []*Description{d}
		return nil
	}
	for _, indices := range groups {
		part := &Description{Parley: d.Parley, Trickle: d.Trickle, identity: d.identity}
		for _, i := range indices {
			part.Sections = append(part.Sections, d.Sections[i])
		}
		if part.sdp, err = partOf(d.parsed, part.Sections); err != nil {
			return fmt.Errorf("the description cannot be written back: %w", err)
		}
		d.parts = append(d.parts, part)
	}
	return nil
}

// transports are the indices of the sections that share a transport, the one with
// the data channels first. What is rejected is in none, unless there is but one.
func (d *Description) transports() [][]int {
	groups := d.groups()
	if len(groups) <= 1 {
		all := make([]int, len(d.Sections))
		for i := range all {
			all[i] = i
		}
		return [][]int{all}
	}
	slices.SortStableFunc(groups, func(a, b []int) int { return d.dataFirst(b) - d.dataFirst(a) })
	return groups
}

// groups are the sections that are bundled, and each of the others that is in use.
func (d *Description) groups() [][]int {
	var groups [][]int
	done := map[int]bool{}
	for _, bundle := range bundles(d.parsed) {
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

// dataFirst is 1 for a group with the data channels, else 0.
func (d *Description) dataFirst(group []int) int {
	if slices.ContainsFunc(group, func(i int) bool { return d.Sections[i].Data }) {
		return 1
	}
	return 0
}

// bundles are the mids of each BUNDLE group.
func bundles(parsed *sdp.SessionDescription) (all [][]string) {
	for _, a := range parsed.Attributes {
		if words := strings.Fields(a.Value); a.Key == "group" && len(words) > 1 && words[0] == "BUNDLE" {
			all = append(all, words[1:])
		}
	}
	return all
}

// partOf is the description with these sections alone, bundled.
func partOf(parsed *sdp.SessionDescription, sections []Section) (string, error) {
	part := *parsed
	part.Attributes = slices.Clone(parsed.Attributes)
	part.Attributes = slices.DeleteFunc(part.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "group" && strings.HasPrefix(a.Value, "BUNDLE")
	})
	part.MediaDescriptions = nil
	group := "BUNDLE"
	for _, s := range sections {
		part.MediaDescriptions = append(part.MediaDescriptions, parsed.MediaDescriptions[s.Index])
		if !s.Rejected {
			group += " " + s.Mid
		}
	}
	part.Attributes = append(part.Attributes, sdp.Attribute{Key: "group", Value: group})
	text, err := part.Marshal()
	return string(text), err
}

// connectionFor is the connection that a candidate of the other side is for.
func (c *Call) connectionFor(init webrtc.ICECandidateInit) *connection {
	for _, conn := range c.conns {
		for _, s := range conn.sections {
			if init.SDPMid != nil && *init.SDPMid != "" {
				if s.Mid == *init.SDPMid {
					return conn
				}
			} else if init.SDPMLineIndex != nil && s.Index == int(*init.SDPMLineIndex) {
				return conn
			}
		}
	}
	return c.conns[0]
}

// overall is the state of a call by those of its connections, as W3C makes the
// state of a connection of those of its transports. One that is added to a call
// that is up counts once it has been connected, and so does one of which nobody has
// a use: webrtcbin leaves those without DTLS.
func (c *Call) overall() webrtc.PeerConnectionState {
	count, all := map[webrtc.PeerConnectionState]int{}, 0
	for _, conn := range c.conns {
		if len(c.conns) == 1 || conn.progress.wasConnected || !c.up && !conn.idle() {
			count[conn.state]++
			all++
		}
	}
	for _, s := range []webrtc.PeerConnectionState{
		webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected,
	} {
		if count[s] > 0 {
			return s
		}
	}
	switch {
	case count[webrtc.PeerConnectionStateConnected] == all:
		return webrtc.PeerConnectionStateConnected
	case count[webrtc.PeerConnectionStateNew] == all:
		return webrtc.PeerConnectionStateNew
	}
	return webrtc.PeerConnectionStateConnecting
}

// idle tells if the other side neither sends nor takes anything by a connection.
func (c *connection) idle() bool {
	return len(c.theirs) > 0 && !slices.ContainsFunc(c.theirs, func(s Section) bool {
		return !s.Rejected && (s.Data || s.Kind != 0 && (s.Sends() || s.Takes()))
	})
}
