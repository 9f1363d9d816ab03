package peer

import (
	"fmt"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// Our offers are bundled, but an answer need not be (RFC 9143 §7.3): GStreamer's
// webrtcbin splits the sections by default, and then expects each on a transport
// of its own. All would have the ICE credentials of our one offer, and Pion keeps
// those that it is given for good, where a restart needs new ones (RFC 8839
// §4.4.1.1.1). So such an answer is only looked at: each transport gets a connection
// with credentials of its own, and the offer is made anew, of them all. To the other
// side that is an ICE restart, before anything is connected.

// fresh tells if no description of the other side has told anything yet.
func (c *Call) fresh() bool { return !c.layout.Unbundled && !c.conns[0].remoteSet }

// splitsTransports tells if the answer to our first offer divides it.
func (c *Call) splitsTransports(d *jsep.Description) bool {
	return c.fresh() && len(d.Transports()) > 1
}

// splitTransports replaces the connection of our offer by one for each transport of
// its answer.
func (c *Call) splitTransports(d *jsep.Description) error {
	parts, err := c.acceptable(d, true)
	if err != nil {
		return err
	}
	old := c.conns[0]
	offer, err := jsep.Unmarshal(textOf(old.pc.LocalDescription()))
	if err != nil {
		return err
	}
	c.text = textChannels{label: c.text.label, waiting: c.text.waiting}
	c.layout.Continue(offer)
	c.made = 0
	var conns []*connection
	for i, p := range parts {
		conn, err := c.newSplitTransport(old, p.Description)
		if conn != nil {
			conns = append(conns, conn)
		}
		parts[i].Transport = conn
		if err != nil {
			for _, conn := range conns {
				conn.close()
			}
			return err
		}
	}
	c.layout.Record(d, parts)
	c.replace(conns)
	c.restoreMuted()
	return nil
}

// newSplitTransport is a connection for one part of the answer.
func (c *Call) newSplitTransport(old *connection, part *jsep.Description) (*connection, error) {
	conn, err := newConnection(&c.cfg, c.box)
	if err != nil {
		return nil, err
	}
	conn.sections, conn.index = part.Sections, c.made
	conn.progress.split = true
	c.made++
	for _, s := range part.Sections {
		if s.Data {
			err = c.openChannels(conn, false)
			for _, w := range c.requested {
				conn.openWanted(w)
			}
		} else {
			err = conn.moveTransceiver(old, s.Mid)
		}
		if err != nil {
			return conn, err
		}
	}
	return conn, conn.preferCodecs(c.cfg.Media.VideoCodecs)
}

// moveTransceiver makes a transceiver like that of mid in another connection: with its
// track and the SSRC that was announced for it.
func (c *connection) moveTransceiver(from *connection, mid string) error {
	for _, t := range from.pc.GetTransceivers() {
		if t.Mid() != mid {
			continue
		}
		init := webrtc.RTPTransceiverInit{Direction: t.Direction()}
		out := from.localTrackOf(t)
		if out == nil {
			made, err := c.pc.AddTransceiverFromKind(t.Kind(), init)
			if err != nil {
				return err
			}
			return made.SetMid(mid)
		}
		if e := t.Sender().GetParameters().Encodings; len(e) > 0 {
			init.SendEncodings = []webrtc.RTPEncodingParameters{{RTPCodingParameters: webrtc.RTPCodingParameters{SSRC: e[0].SSRC}}}
		}
		return c.sendWith(out.Local(), func(track webrtc.TrackLocal) (*webrtc.RTPSender, error) {
			t, err := c.pc.AddTransceiverFromTrack(track, init)
			if err != nil {
				return nil, err
			}
			return t.Sender(), t.SetMid(mid)
		})
	}
	return fmt.Errorf("its answer has the section %.20q, which is not in our offer", mid)
}
