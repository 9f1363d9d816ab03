package peer

import (
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Our offers are bundled, but an answer need not be (RFC 9143 §7.3): GStreamer's
// webrtcbin splits the sections by default, and then expects each on a transport
// of its own. It makes no ICE restart, so it cannot be offered other transports. The
// first offer serves for all: each transport gets a connection of its own, with the
// ICE credentials, the certificate and the streams that were announced. Pion keeps
// to credentials that it was given, so ICE cannot be restarted from here later.

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
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(offer); err != nil {
		return err
	}
	c.session, c.made = parsed.Origin.SessionID, 0
	var conns []*connection
	c.talk = talk{label: c.talk.label, waiting: c.talk.waiting}
	for _, part := range d.parts {
		conn, err := c.separated(&cfg, old, part)
		if conn != nil {
			conns = append(conns, conn)
		}
		part.conn = conn
		if err != nil {
			for _, conn := range conns {
				conn.close()
			}
			return err
		}
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
	conn.sections, conn.fixed, conn.nth = part.Sections, true, c.made
	c.made++
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
	return conn, conn.takeAnswer(cfg, part)
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
			made, err := c.pc.AddTransceiverFromKind(t.Kind(), init)
			if err != nil {
				return err
			}
			return made.SetMid(mid)
		}
		if e := t.Sender().GetParameters().Encodings; len(e) > 0 {
			init.SendEncodings = []webrtc.RTPEncodingParameters{{RTPCodingParameters: webrtc.RTPCodingParameters{SSRC: e[0].SSRC}}}
		}
		return c.sendBy(out.current(), func(track webrtc.TrackLocal) (*webrtc.RTPSender, error) {
			t, err := c.pc.AddTransceiverFromTrack(track, init)
			if err != nil {
				return nil, err
			}
			return t.Sender(), t.SetMid(mid)
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

// attributeOf is the first value of an attribute in a description of ours.
func attributeOf(text, key string) string {
	_, rest, _ := strings.Cut(text, "\r\na="+key+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
