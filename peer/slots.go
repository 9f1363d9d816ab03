package peer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// A call whose sections are not bundled has a connection for each transport, and
// yet one description of all: the sections stay in their order (RFC 9429 §5.2.2),
// each is described by the connection that it belongs to, and each description of
// the other side is divided in the same way. What is new gets a connection of its
// own, unless the other side bundles it with what is there.

// slot is a section of the call's descriptions.
type slot struct {
	mid   string                // on the wire
	conn  *connection           // nil for a section that is rejected
	asked *sdp.MediaDescription // as it was described last
}

// arrange divides a description as the call is divided: each part has the
// connection that it is for, or none if that is to be made.
func (c *Call) arrange(d *Description, answer bool) error {
	switch {
	case c.unbundled:
		return c.divideAgain(d)
	case !c.conns[0].remoteSet:
	case answer:
		d.parts = []*Description{d}
	case len(d.parts) > 1:
		return c.divideAgain(d)
	}
	d.parts[0].conn = c.conns[0]
	return nil
}

func (c *Call) divideAgain(d *Description) error {
	var conns []*connection
	var groups [][]int
	owner := map[int]int{} // of a section: the index of its connection in conns
	for _, s := range d.Sections {
		at := slices.IndexFunc(c.slots, func(have slot) bool { return have.mid == s.Mid && have.conn != nil })
		if at < 0 {
			continue
		}
		n := slices.Index(conns, c.slots[at].conn)
		if n < 0 {
			n = len(conns)
			conns, groups = append(conns, c.slots[at].conn), append(groups, nil)
		}
		groups[n], owner[s.Index] = append(groups[n], s.Index), n
	}
	for _, have := range c.slots {
		if have.conn != nil && !slices.Contains(conns, have.conn) {
			return fmt.Errorf("it leaves out the section %.20q, which is there until it is rejected (RFC 3264 §8)", have.mid)
		}
	}
	for _, group := range d.groups() {
		groups = c.divideNew(d, group, groups, owner)
	}
	for _, g := range groups {
		slices.Sort(g)
	}
	if err := d.divideBy(groups); err != nil {
		return err
	}
	for i, conn := range conns {
		d.parts[i].conn = conn
	}
	return nil
}

// divideNew adds the sections of a transport that belong to no connection yet:
// to that of the others, if it is one, or to a new one.
func (c *Call) divideNew(d *Description, transport []int, groups [][]int, owner map[int]int) [][]int {
	var added, owners []int
	for _, i := range transport {
		if n, ok := owner[i]; ok {
			owners = append(owners, n)
		} else if !d.Sections[i].Rejected {
			added = append(added, i)
		}
	}
	owners = slices.Compact(slices.Sorted(slices.Values(owners)))
	switch {
	case len(added) == 0:
	case len(owners) == 1 && len(transport) > 1:
		groups[owners[0]] = append(groups[owners[0]], added...)
	case len(owners) == 0 && len(bundles(d.parsed)) > 0:
		groups = append(groups, added)
	default: // it would bundle what is on several transports, and is answered without that
		for _, i := range added {
			groups = append(groups, []int{i})
		}
	}
	return groups
}

// lay notes which connection each section of a description belongs to that was
// taken.
func (c *Call) lay(d *Description) {
	if c.slots == nil {
		c.unbundled = len(bundles(d.parsed)) == 0
	}
	c.unbundled = c.unbundled || len(d.parts) > 1
	c.slots = make([]slot, len(d.Sections))
	for i, s := range d.Sections {
		c.slots[i] = slot{mid: s.Mid, asked: d.parsed.MediaDescriptions[i]}
	}
	for _, part := range d.parts {
		for _, s := range part.Sections {
			c.slots[s.Index].conn = part.conn
		}
	}
}

// together is one description of those of the connections, as they go over the
// wire.
func (c *Call) together(describe func(*connection) (string, error)) (string, error) {
	if !c.unbundled {
		return describe(c.conns[0])
	}
	texts := map[*connection]*sdp.SessionDescription{}
	for _, conn := range c.conns {
		text, err := describe(conn)
		switch {
		case err != nil:
			return "", err
		case text == "": // it has none
			continue
		}
		texts[conn] = &sdp.SessionDescription{}
		if err := texts[conn].UnmarshalString(text); err != nil {
			return "", err
		}
		c.note(conn, texts[conn])
	}
	return assembled(c.slots, texts, &c.session)
}

// note gives the sections of a connection that are new a slot.
func (c *Call) note(conn *connection, described *sdp.SessionDescription) {
	for _, m := range described.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		if !slices.ContainsFunc(c.slots, func(s slot) bool { return s.mid == mid }) {
			for i := range conn.sections {
				if conn.sections[i].Mid == mid {
					conn.sections[i].Index = len(c.slots)
				}
			}
			c.slots = append(c.slots, slot{mid: mid, conn: conn, asked: m})
		}
	}
}

// session is that of the descriptions of several connections, 0 before the first:
// each has a higher version than the one before (RFC 3264 §8).
type session struct{ id, version uint64 }

// assembled is a description of sections that several descriptions have, with
// their bundles only, in the session.
func assembled(slots []slot, texts map[*connection]*sdp.SessionDescription, s *session) (string, error) {
	var whole *sdp.SessionDescription
	groups := map[*connection]string{}
	var order []*connection
	var sections []*sdp.MediaDescription
	for _, at := range slots {
		section := sectionOf(texts[at.conn], at.mid)
		if section == nil {
			sections = append(sections, rejected(at.asked, at.mid))
			continue
		}
		if whole == nil {
			whole = texts[at.conn]
		}
		if sections = append(sections, section); section.MediaName.Port.Value != 0 {
			if groups[at.conn] == "" {
				order = append(order, at.conn)
			}
			groups[at.conn] += " " + at.mid
		}
	}
	if whole == nil {
		return "", errors.New("nothing is left of the call")
	}
	*s = session{cmp.Or(s.id, whole.Origin.SessionID), max(s.version+1, whole.Origin.SessionVersion)}
	whole.Origin.SessionID, whole.Origin.SessionVersion = s.id, s.version
	whole.MediaDescriptions = sections
	whole.Attributes = slices.DeleteFunc(whole.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" })
	for _, conn := range order {
		if mids := groups[conn]; slices.Contains([]byte(mids[1:]), ' ') {
			whole.WithValueAttribute("group", "BUNDLE"+mids)
		}
	}
	text, err := whole.Marshal()
	return string(text), err
}

// sectionOf is the section of a mid, nil if there is none.
func sectionOf(parsed *sdp.SessionDescription, mid string) *sdp.MediaDescription {
	if parsed == nil {
		return nil
	}
	for _, m := range parsed.MediaDescriptions {
		if have, _ := m.Attribute("mid"); have == mid {
			return m
		}
	}
	return nil
}

// joins makes a connection for a transport that the other side adds.
func (c *Call) joins(part *Description) (err error) {
	held := c.up && c.conns[0].onHold
	if part.conn, err = c.connect(); err == nil {
		part.conn.onHold = held
	}
	return err
}

// extend makes a connection for something new of ours in a call that is up.
func (c *Call) extend() (*connection, error) {
	if c.state.yields() {
		return nil, errNotBundled
	}
	conn, err := c.connect()
	if err == nil {
		conn.onHold = c.conns[0].onHold
	}
	return conn, err
}

// addTrack sends one more track by the connection that has room for it, or by one
// of its own.
func (c *Call) addTrack(t webrtc.TrackLocal) error {
	if !c.unbundled {
		return c.conns[0].addTrack(&c.cfg, t, c.state.yields())
	}
	for _, conn := range c.conns {
		if conn.vacated(t) != nil || conn.hasRoom(t.Kind(), conn.theirs) {
			return conn.addTrack(&c.cfg, t, false)
		}
	}
	conn, err := c.extend()
	if err != nil {
		return err
	}
	mid := c.freeMid(t.Kind().String()[:1])
	conn.sections = []Section{{Kind: t.Kind(), Mid: mid}}
	if err := conn.sendAs(mid, t); err != nil {
		c.discard(conn, err.Error())
		return err
	}
	return conn.preferCodecs(c.cfg.VideoCodecs)
}

// sendAs sends a track in a section of this name.
func (c *connection) sendAs(mid string, t webrtc.TrackLocal) error {
	if err := c.sendBy(t, c.newSection); err != nil {
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
		taken := func(s Section) bool { return s.Mid == mid }
		if !slices.ContainsFunc(c.slots, func(s slot) bool { return s.mid == mid }) &&
			!slices.ContainsFunc(c.conns, func(conn *connection) bool { return slices.ContainsFunc(conn.sections, taken) }) {
			return mid
		}
	}
}

// retire closes the connections of which a description that is about to be taken
// leaves nothing, while others go on.
func (c *Call) retire(d *Description) {
	left := slices.DeleteFunc(slices.Clone(d.parts), (*Description).rejected)
	if len(left) == 0 {
		return
	}
	for _, part := range d.parts {
		if part.rejected() {
			c.discard(part.conn, "the other side has no section for it any more")
		}
	}
	d.parts = left
}

// discard closes a connection of several.
func (c *Call) discard(conn *connection, why string) {
	c.conns = slices.DeleteFunc(c.conns, func(have *connection) bool { return have == conn })
	c.mu.Lock()
	c.live = slices.Clone(c.conns)
	c.mu.Unlock()
	conn.close()
	for i := range c.slots {
		if c.slots[i].conn == conn {
			c.slots[i].conn = nil
		}
	}
	sent, _ := conn.streams.all(conn.pc)
	for _, out := range sent {
		if t := out.Local(); t != nil {
			c.cfg.OnEvent(TrackRefused{t, why})
		}
	}
}
