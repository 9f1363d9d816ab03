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
// answered by a connection of its own, and the answers are put together again.

// divide writes the description as Pion takes it, in one part for each
// transport.
func (d *Description) divide(parsed *sdp.SessionDescription) (err error) {
	if d.sdp, err = partOf(parsed, d.Sections); err != nil {
		return fmt.Errorf("the description cannot be written back: %w", err)
	}
	groups := d.transports(parsed)
	if len(groups) == 1 {
		d.parts = []*Description{d}
		return nil
	}
	for _, indices := range groups {
		part := &Description{Parley: d.Parley, Trickle: d.Trickle, identity: d.identity}
		for _, i := range indices {
			part.Sections = append(part.Sections, d.Sections[i])
		}
		if part.sdp, err = partOf(parsed, part.Sections); err != nil {
			return fmt.Errorf("the description cannot be written back: %w", err)
		}
		d.parts = append(d.parts, part)
	}
	return nil
}

// transports are the indices of the sections that share a transport.
func (d *Description) transports(parsed *sdp.SessionDescription) [][]int {
	var groups [][]int
	done := map[int]bool{}
	for _, a := range parsed.Attributes {
		mids := strings.Fields(a.Value)
		if a.Key != "group" || len(mids) < 2 || mids[0] != "BUNDLE" {
			continue
		}
		var group []int
		for _, s := range d.Sections {
			if slices.Contains(mids[1:], s.Mid) && !done[s.Index] {
				group = append(group, s.Index)
				done[s.Index] = true
			}
		}
		groups = append(groups, group)
	}
	for _, s := range d.Sections {
		switch {
		case done[s.Index]:
		case s.Rejected && len(groups) > 0: // out of a bundle, and of use
			groups[0] = append(groups[0], s.Index)
		default:
			groups = append(groups, []int{s.Index})
		}
	}
	return slices.DeleteFunc(groups, func(g []int) bool { return len(g) == 0 })
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

// joined puts the answers to the parts of an offer together, in the order of
// its sections and with its bundles only.
func joined(d *Description, answers []string) string {
	if len(answers) == 1 {
		return answers[0]
	}
	sections := make([]string, len(d.Sections))
	for i, answer := range answers {
		for j, section := range strings.Split(answer, "\r\nm=")[1:] {
			if j < len(d.parts[i].Sections) {
				sections[d.parts[i].Sections[j].Index] = "m=" + strings.TrimSuffix(section, "\r\n") + "\r\n"
			}
		}
	}
	session, _, _ := strings.Cut(answers[0], "\r\nm=")
	var head strings.Builder
	for _, line := range strings.Split(session, "\r\n") {
		if !strings.HasPrefix(line, "a=group:BUNDLE") {
			head.WriteString(line + "\r\n")
		}
	}
	for _, part := range d.parts {
		if len(part.Sections) > 1 {
			head.WriteString("a=group:BUNDLE")
			for _, s := range part.Sections {
				head.WriteString(" " + s.Mid)
			}
			head.WriteString("\r\n")
		}
	}
	return head.String() + strings.Join(sections, "")
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
// state of a connection of those of its transports.
func (c *Call) overall() webrtc.PeerConnectionState {
	count := map[webrtc.PeerConnectionState]int{}
	for _, conn := range c.conns {
		count[conn.state]++
	}
	for _, s := range []webrtc.PeerConnectionState{
		webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected,
	} {
		if count[s] > 0 {
			return s
		}
	}
	switch {
	case count[webrtc.PeerConnectionStateConnected] == len(c.conns):
		return webrtc.PeerConnectionStateConnected
	case count[webrtc.PeerConnectionStateNew] == len(c.conns):
		return webrtc.PeerConnectionStateNew
	}
	return webrtc.PeerConnectionStateConnecting
}
