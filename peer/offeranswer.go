package peer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// localOffer is an offer that was created and sent but not applied yet, see negotiator.
type localOffer struct {
	description webrtc.SessionDescription
	// ICE credentials of an offer that restarts ICE while the current path may still work, else
	// empty.
	ufrag, pwd string
}

// offer creates an offer and returns it as it is sent. restart begins a new ICE session
// (RFC 8445 section 9). The old path stays in use until the offer is answered, unless it is lost.
func (c *connection) offer(restart bool) (*sdp.SessionDescription, error) {
	if !c.remoteSet && c.dataMid == "" {
		c.dataMid = dataMid
	}
	c.pending = nil
	now := restart && c.lost
	if now {
		c.refreshNetwork()
	}
	offer, err := c.createOffer(now)
	if err != nil {
		return nil, err
	}
	if !c.remoteSet && !c.cfg.ICE.GatherAfterAnswer {
		if err := c.pc.SetLocalDescription(offer); err != nil {
			return nil, fmt.Errorf("failed to apply our offer: %w", err)
		}
		return c.offerToWire(offer.SDP)
	}
	c.pending = &localOffer{description: offer} // applied when its answer has come
	d, err := c.offerToWire(offer.SDP)
	if err == nil && restart && !now {
		c.pending.ufrag, c.pending.pwd = newICECredentials()
		jsep.SetICECredentials(d, c.pending.ufrag, c.pending.pwd)
	}
	return d, err
}

// createOffer creates an offer. restart restarts ICE in Pion at once.
func (c *connection) createOffer(restart bool) (webrtc.SessionDescription, error) {
	offer, err := c.pc.CreateOffer(&webrtc.OfferOptions{
		OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true}, ICERestart: restart,
	})
	if err != nil {
		return offer, fmt.Errorf("failed to create an offer: %w", err)
	}
	return offer, nil
}

// nameSections sets the mids of new m-sections: a1, v1 and so on, of a polite peer A1, V1 and so
// on. None is dataMid, and none is a mid of the peer in an offer that crosses this one. ("audio"
// and "video" are taken for Plan B by Pion and others.) With NoRenegotiation no offer crosses, and
// the mids are 0, 1 and so on: MediaMTX refuses candidates of others.
func (c *connection) nameSections(polite bool) error {
	taken := map[string]bool{}
	if len(c.cfg.Channels) > 0 {
		taken[dataMid] = true
	}
	for _, s := range slices.Concat(c.remote.sections, c.sections) {
		taken[s.Mid] = true
	}
	transceivers := c.pc.GetTransceivers()
	for _, t := range transceivers {
		taken[t.Mid()] = true
	}
	for _, t := range transceivers {
		if t.Mid() != "" || c.senders.isUnsignaled(t) {
			continue
		}
		kind := t.Kind().String()[:1]
		if polite {
			kind = strings.ToUpper(kind)
		}
		first := 1
		if c.cfg.NoRenegotiation {
			kind, first = "", 0
		}
		mid := ""
		for n := first; mid == "" || taken[mid]; n++ {
			mid = fmt.Sprint(kind, n)
		}
		taken[mid] = true
		if err := t.SetMid(mid); err != nil {
			return fmt.Errorf("failed to name a media section: %w", err)
		}
	}
	return nil
}

// dataMid is the mid of the data channels in a first offer of ours. A page whose own offer of a
// data channel alone crossed it and was rolled back has used this mid, and Chromium accepts no
// other one from then on.
const dataMid = "0"

// offerToWire returns an offer of Pion as it is sent.
func (c *connection) offerToWire(offer string) (*sdp.SessionDescription, error) {
	return jsep.ToWire(offer, c.wireOptions())
}

// wireOptions returns how our descriptions differ from those of Pion, which has neither removed nor
// paused tracks.
func (c *connection) wireOptions() jsep.WireOptions {
	o := jsep.WireOptions{
		OnHold: c.senders.onHold, DataMid: c.dataMid, Synthetic: &c.remote.synthetic,
		SendOnly: c.cfg.Media.SendOnly, Paused: map[string]bool{}, Removed: map[string]bool{}, Hidden: map[string]bool{},
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Mid() == "" {
			continue
		}
		out := c.senders.localTrackOf(t)
		o.Hidden[t.Mid()] = c.senders.isUnsignaled(t) || c.remote.replaced(t.Mid())
		o.Removed[t.Mid()] = out != nil && out.Local() == nil
		o.Paused[t.Mid()] = out != nil && out.SourcePaused()
	}
	return o
}

// forgetOffer forgets the offer that is out.
func (c *connection) forgetOffer() { c.pending = nil }

// setOffer applies the offer that is out, because its answer has come.
func (c *connection) setOffer() error {
	p := c.pending
	if p == nil {
		return nil // the first offer was applied when it was created
	}
	if !c.remoteSet {
		c.refreshNetwork()
	}
	if err := c.beginRestart(); err != nil {
		return err
	}
	c.pending = nil
	if err := c.pc.SetLocalDescription(p.description); err != nil {
		return fmt.Errorf("failed to apply our offer: %w", err)
	}
	return nil
}

// beginRestart restarts ICE in Pion, which closes the current path, if the offer that is out
// restarts ICE and that has not been done yet.
func (c *connection) beginRestart() error {
	p := c.pending
	if p == nil || p.ufrag == "" {
		return nil
	}
	c.refreshNetwork()
	c.settings.SetICECredentials(p.ufrag, p.pwd)
	offer, err := c.createOffer(true)
	c.settings.SetICECredentials("", "") // for the next restart Pion chooses its own
	if err == nil {
		p.description, p.ufrag = offer, ""
	}
	return err
}

// applyAnswer applies our offer and then the peer's answer.
func (c *connection) applyAnswer(d *jsep.Description) error {
	if err := c.setOffer(); err != nil {
		return err
	}
	paused := c.senders.applyRemoteDirections(d)
	if !c.remoteSet {
		for _, t := range paused {
			c.cfg.OnEvent(TrackRejected{t, fmt.Sprintf("the answer accepts no %s", t.Kind())})
		}
	}
	text, err := c.remote.forPion(d, jsep.PionOptions{Later: c.remoteSet, WireDataMid: c.dataMid, PionDataMid: c.pionDataMid()})
	if err != nil {
		return err
	}
	answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}
	if err := c.pc.SetRemoteDescription(answer); err != nil {
		return fmt.Errorf("failed to apply the peer's answer: %w", err)
	}
	if c.setup == "" {
		c.setup = jsep.OppositeSetup(d.Setup)
		c.stats.transport.SetDTLSRole(c.setup)
	}
	c.remoteApplied(d)
	return nil
}

// pionDataMid returns the mid of the data channels in Pion's description, which is their index; ""
// if there are none.
func (c *connection) pionDataMid() string {
	d, err := jsep.Unmarshal(textOf(c.pc.LocalDescription()))
	if err != nil {
		return ""
	}
	return jsep.DataMid(d)
}

// applyOffer applies an offer of the peer and then our answer. With the first offer it adds as many
// of the tracks as the offer has m-sections for, and returns the others.
func (c *connection) applyOffer(d *jsep.Description, tracks []webrtc.TrackLocal) ([]webrtc.TrackLocal, error) {
	later := c.remoteSet
	c.offered, c.pending = d, nil
	text, err := c.remote.forPion(d, jsep.PionOptions{Later: later})
	if err != nil {
		return nil, err
	}
	if later {
		c.refreshNetwork()
	}
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: text}
	if err := c.pc.SetRemoteDescription(offer); err != nil {
		return nil, fmt.Errorf("failed to apply the peer's offer: %w", err)
	}
	var left []webrtc.TrackLocal
	if later {
		err = c.senders.reassignTracks(d)
	} else {
		left, err = c.senders.answerTracks(d, tracks)
	}
	if err != nil {
		return nil, err
	}
	options := &webrtc.AnswerOptions{OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true}}
	answer, err := c.pc.CreateAnswer(options)
	if err != nil {
		return nil, fmt.Errorf("failed to answer the peer's offer: %w", err)
	}
	if !d.Trickle && c.pc.ICEGatheringState() != webrtc.ICEGatheringStateComplete {
		c.holdAnswer()
	}
	if err := c.pc.SetLocalDescription(answer); err != nil {
		return nil, fmt.Errorf("failed to apply our answer: %w", err)
	}
	if ours, err := jsep.Unmarshal(answer.SDP); err == nil && c.setup == "" {
		c.setup = jsep.SetupOf(ours)
		c.stats.transport.SetDTLSRole(c.setup)
	}
	c.senders.applyRemoteDirections(d)
	c.sections = d.Sections
	if d.HasData() {
		c.dataMid = "" // Pion uses the mid of an offer
	}
	c.remoteApplied(d)
	return left, nil
}

// answerToWire returns our answer to the offer that was applied last as it is sent, nil for none.
func (c *connection) answerToWire() (*sdp.SessionDescription, error) {
	if c.offered == nil {
		return nil, nil
	}
	o := c.wireOptions()
	o.Offer, o.Setup = c.offered, c.setup
	return jsep.ToWire(textOf(c.pc.LocalDescription()), o)
}

// remoteApplied records a description of the peer that was applied, and reports the tracks that the
// peer has stopped or resumed.
func (c *connection) remoteApplied(d *jsep.Description) {
	sent := map[string]bool{}
	for _, s := range c.remote.sections {
		sent[s.Mid] = s.Sends()
	}
	for _, s := range d.Sections {
		c.remote.described[s.Mid] = true
		stopped, resumed := sent[s.Mid] && !s.Sends(), c.remote.muted[s.Mid] && s.Sends()
		if s.Kind == 0 || s.Rejected || !stopped && !resumed {
			continue
		}
		c.remote.muted[s.Mid] = stopped
		c.cfg.OnEvent(TrackMuted{s.Kind, s.Mid, stopped})
	}
	c.progress.answered, c.remoteSet, c.remote.sections = true, true, d.Sections
}

// maxAnswerHold bounds how long an answer is held for candidates. STUN and TURN servers that can be
// reached respond sooner; Pion tries others for 8 s.
const maxAnswerHold = 800 * time.Millisecond

// holdAnswer holds the answer until it has all candidates or maxAnswerHold is over, for a peer
// without trickle ICE (RFC 8838 section 16).
func (c *connection) holdAnswer() {
	c.answerHeld, c.holdExpired = true, false
	complete := webrtc.GatheringCompletePromise(c.pc)
	c.readers.Add(1)
	go func() {
		defer c.readers.Done()
		limit := time.NewTimer(maxAnswerHold)
		defer limit.Stop()
		for {
			select {
			case <-complete:
				c.post(gathered{})
				return
			case <-limit.C:
				c.post(holdExpired{})
			case <-c.closing.Done():
				return
			case <-c.box.done:
				return
			}
		}
	}()
}
