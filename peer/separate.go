package peer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"
)

// Our offers are bundled, but an answer need not be (RFC 9143 §7.3): GStreamer's
// webrtcbin splits the sections by default, and then expects each on a transport
// of its own. It makes no ICE restart and so takes no second offer. The first
// one serves for all: each transport gets a connection of its own, with the ICE
// credentials, the certificate and the streams that the offer announced.

// credentials are those of ICE that a connection has to take, "" for new ones.
type credentials struct{ ufrag, password string }

// separate replaces the connection of our offer by one for each transport of
// its answer.
func (c *Call) separate(d *Description) error {
	old := c.conns[0]
	cfg := c.cfg
	offer := old.pc.LocalDescription().SDP
	cfg.credentials = credentials{attributeOf(offer, "ice-ufrag"), attributeOf(offer, "ice-pwd")}
	cfg.Mux = nil // it tells connections apart by their credentials
	var conns []*connection
	c.talk = talk{label: c.talk.label, waiting: c.talk.waiting}
	for _, part := range d.parts {
		if part.rejected() {
			continue
		}
		conn, err := c.separated(&cfg, old, part)
		if conn != nil {
			conns = append(conns, conn)
		}
		if err != nil {
			for _, conn := range conns {
				conn.close()
			}
			return err
		}
	}
	if len(conns) == 0 {
		return errors.New("its answer takes nothing of our offer")
	}
	c.replace(conns)
	return nil
}

// separated is a connection for one part of the answer.
func (c *Call) separated(cfg *Config, old *connection, part *Description) (*connection, error) {
	conn, err := newConnection(cfg, c.box)
	if err != nil {
		return nil, err
	}
	conn.sections = part.Sections
	for _, s := range part.Sections {
		if s.Data {
			err = c.openChannels(conn, false)
			for _, w := range c.wanted {
				conn.openWanted(w)
			}
		} else {
			err = conn.adopt(old, s.Mid)
		}
		if err != nil {
			return conn, err
		}
	}
	if err := conn.preferCodecs(cfg.VideoCodecs); err != nil {
		return conn, err
	}
	if _, err := conn.offer(cfg, false); err != nil {
		return conn, err
	}
	return conn, conn.takeAnswer(cfg, part.renumbered())
}

// adopt makes a transceiver like that of mid in another connection: with its
// track and the SSRC that was announced for it.
func (c *connection) adopt(from *connection, mid string) error {
	for _, t := range from.pc.GetTransceivers() {
		if t.Mid() != mid {
			continue
		}
		init := webrtc.RTPTransceiverInit{Direction: t.Direction()}
		out := from.outgoingOf(t)
		if out == nil {
			_, err := c.pc.AddTransceiverFromKind(t.Kind(), init)
			return err
		}
		if e := t.Sender().GetParameters().Encodings; len(e) > 0 {
			init.SendEncodings = []webrtc.RTPEncodingParameters{{RTPCodingParameters: webrtc.RTPCodingParameters{SSRC: e[0].SSRC}}}
		}
		return c.sendBy(out.current(), func(track webrtc.TrackLocal) (*webrtc.RTPSender, error) {
			t, err := c.pc.AddTransceiverFromTrack(track, init)
			if err != nil {
				return nil, err
			}
			return t.Sender(), nil
		})
	}
	return fmt.Errorf("its answer has the section %.20q, which is not in our offer", mid)
}

// rejected tells if no section of the description is of use.
func (d *Description) rejected() bool {
	for _, s := range d.Sections {
		if !s.Rejected {
			return false
		}
	}
	return true
}

// renumbered is a part of a description for a connection that has no other
// sections, and so numbers them anew. The MIDs in the packets of the other side
// stay as they are, so they are not negotiated.
func (d *Description) renumbered() *Description {
	part := *d
	part.Sections = append([]Section(nil), d.Sections...)
	head, rest, _ := strings.Cut(d.sdp, "\r\nm=")
	sections := strings.Split(rest, "\r\nm=")
	group := "a=group:BUNDLE"
	for i := range part.Sections {
		s := &part.Sections[i]
		mid := fmt.Sprint(i)
		if i < len(sections) {
			sections[i] = withoutMIDs(strings.Replace(sections[i], "\r\na=mid:"+s.Mid+"\r\n", "\r\na=mid:"+mid+"\r\n", 1))
		}
		s.Mid, s.Index = mid, i
		if !s.Rejected {
			group += " " + mid
		}
	}
	if i := strings.Index(head, "a=group:BUNDLE"); i >= 0 {
		line, _, _ := strings.Cut(head[i:], "\r\n")
		head = strings.Replace(head, line, group, 1)
	}
	part.sdp = head + "\r\nm=" + strings.Join(sections, "\r\nm=")
	part.parts = []*Description{&part}
	return &part
}

// withoutMIDs is a section without the header extension for them (RFC 9143 §15).
func withoutMIDs(section string) string {
	lines := strings.SplitAfter(section, "\r\n")
	kept := lines[:0]
	for _, line := range lines {
		if !strings.Contains(line, "urn:ietf:params:rtp-hdrext:sdes:mid") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// attributeOf is the first value of an attribute in a description of ours.
func attributeOf(text, key string) string {
	_, rest, _ := strings.Cut(text, "\r\na="+key+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
