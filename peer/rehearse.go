package peer

import (
	"fmt"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// rehearse tries a later description on a connection that is thrown away: what
// Pion refuses half-way, it leaves in a state that nobody gets it out of, and the
// call could never be negotiated anew. The first description needs none, as a
// call without it is over anyway.
func (c *Call) rehearse(d *Description) error {
	if !c.conns[0].remoteSet {
		return nil
	}
	for _, part := range d.parts {
		if part.rejected() && len(d.parts) > 1 {
			continue // its connection will be closed
		}
		if err := rehearsed(&c.cfg, part.sdp); err != nil {
			return fmt.Errorf("its description was refused: %w", err)
		}
	}
	return nil
}

// rehearsed takes a description as an offer, for an answer has the same in it,
// and answers it.
func rehearsed(cfg *Config, text string) error {
	engine, err := cfg.engine()
	if err != nil {
		return err
	}
	settings := webrtc.SettingEngine{LoggerFactory: &pionLog{log: cfg.Logger}}
	settings.SetNet(cfg.Net)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{cfg.certificate}})
	if err != nil {
		return err
	}
	defer func() { _ = pc.GracefulClose() }()
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: asOffer(text)}
	if err := pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	_, err = pc.CreateAnswer(nil)
	return err
}

// asOffer is a description without addresses, which are not to be called, and
// with the DTLS role of an offer.
func asOffer(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "a=candidate:"):
		case strings.HasPrefix(line, "a=setup:"):
			kept.WriteString("a=setup:actpass\r\n")
		default:
			kept.WriteString(line)
		}
	}
	return kept.String()
}
