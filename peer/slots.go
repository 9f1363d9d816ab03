package peer

import (
	"fmt"
	"slices"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// A call whose sections are not bundled has a connection for each transport, see
// jsep.Layout.

// part is what a description says of one transport; it has the connection that it is
// for, or none if that is to be made.
type part = jsep.Part[*connection]

// assignTransports divides a description as the call is divided.
func (c *Call) assignTransports(d *jsep.Description, answer bool) ([]part, error) {
	first := !c.conns[0].remoteSet
	transports := d.Transports()
	switch {
	case c.layout.Unbundled, !first && !answer && len(transports) > 1:
		return c.layout.Assign(d)
	case first:
		parts := make([]part, len(transports))
		for i, sections := range transports {
			parts[i].Description = d.Part(sections)
		}
		parts[0].Transport = c.conns[0]
		return parts, nil
	}
	return []part{{Description: d.Whole(), Transport: c.conns[0]}}, nil
}

// mergeDescriptions is one description of those of the connections, as they go over the
// wire. describe may return nil for a connection that has none.
func (c *Call) mergeDescriptions(describe func(*connection) (*sdp.SessionDescription, error)) (string, error) {
	var locals []jsep.Local[*connection]
	for _, conn := range c.conns {
		d, err := describe(conn)
		switch {
		case err != nil:
			return "", err
		case d != nil:
			locals = append(locals, jsep.Local[*connection]{Transport: conn, SDP: d})
		}
	}
	d, err := c.merge(locals)
	if d == nil || err != nil {
		return "", err
	}
	return jsep.Marshal(d)
}

// merge is one description of several; nil if there is none.
func (c *Call) merge(locals []jsep.Local[*connection]) (*sdp.SessionDescription, error) {
	switch {
	case c.layout.Unbundled:
		d, err := c.layout.Merge(locals)
		for _, conn := range c.conns {
			for i := range conn.sections {
				if n := c.layout.Index(conn.sections[i].Mid); n >= 0 {
					conn.sections[i].Index = n
				}
			}
		}
		return d, err
	case len(locals) > 0:
		c.layout.Complete(locals[0].SDP)
		return locals[0].SDP, nil
	}
	return nil, nil
}

// addRemoteTransport makes a connection for a transport that the other side adds.
func (c *Call) addRemoteTransport(p *part) (err error) {
	held := c.established && c.conns[0].onHold
	if p.Transport, err = c.newTransport(); err == nil {
		p.Transport.onHold = held
	}
	return err
}

// addLocalTransport makes a connection for something new of ours in a call that is up.
func (c *Call) addLocalTransport() (*connection, error) {
	conn, err := c.newTransport()
	if err == nil {
		conn.onHold = c.conns[0].onHold
	}
	return conn, err
}

// addTrack sends one more track by the connection that has room for it, or by one
// of its own.
func (c *Call) addTrack(t webrtc.TrackLocal) error {
	if !c.layout.Unbundled {
		return c.conns[0].addTrack(&c.cfg, t)
	}
	for _, conn := range c.conns {
		if conn.reusableSender(t) != nil || conn.hasFreeSection(t.Kind(), conn.remoteSections) {
			return conn.addTrack(&c.cfg, t)
		}
	}
	conn, err := c.addLocalTransport()
	if err != nil {
		return err
	}
	mid := c.freeMid(t.Kind().String()[:1])
	conn.sections = []jsep.Section{{Kind: t.Kind(), Mid: mid}}
	if err := conn.sendAs(mid, t); err != nil {
		c.closeTransport(conn, err.Error())
		return err
	}
	return conn.preferCodecs(c.cfg.Media.VideoCodecs)
}

// sendAs sends a track in a section of this name.
func (c *connection) sendAs(mid string, t webrtc.TrackLocal) error {
	if err := c.sendWith(t, c.newSection); err != nil {
		return err
	}
	for _, t := range c.pc.GetTransceivers() {
		if err := t.SetMid(mid); err != nil {
			return fmt.Errorf("failed to name a media section: %w", err)
		}
	}
	return nil
}

// freeMid is a name that no section has.
func (c *Call) freeMid(prefix string) string {
	for n := 1; ; n++ {
		mid := fmt.Sprint(prefix, n)
		taken := func(s jsep.Section) bool { return s.Mid == mid }
		if c.layout.Index(mid) < 0 &&
			!slices.ContainsFunc(c.conns, func(conn *connection) bool { return slices.ContainsFunc(conn.sections, taken) }) {
			return mid
		}
	}
}

// closeRejectedTransports closes the connections of which a description that is about to be taken
// leaves nothing, while others go on. It returns the parts that are left.
func (c *Call) closeRejectedTransports(parts []part) []part {
	left := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.Rejected() })
	if len(left) == 0 {
		return parts
	}
	for _, p := range parts {
		if p.Rejected() {
			c.closeTransport(p.Transport, "the other side has no section for it any more")
		}
	}
	return left
}

// closeTransport closes a connection of several.
func (c *Call) closeTransport(conn *connection, why string) {
	c.conns = slices.DeleteFunc(c.conns, func(have *connection) bool { return have == conn })
	c.mu.Lock()
	c.live = slices.Clone(c.conns)
	c.mu.Unlock()
	conn.close()
	c.layout.Release(conn)
	sent, _ := conn.streams.all(conn.pc)
	for _, out := range sent {
		if t := out.Local(); t != nil {
			c.cfg.OnEvent(TrackRejected{t, why})
		}
	}
}
