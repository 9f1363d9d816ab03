package peer

import (
	"slices"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/jsep"
)

// remoteMedia is the media that the peer has described on one connection. remoteMedia is used by
// the goroutine of Run.
type remoteMedia struct {
	demuxer   *demux.Demuxer
	sections  []jsep.Section  // of the description that was applied last
	described map[string]bool // mids that the peer has described
	muted     map[string]bool // mids of sections that sent before and do not now
	synthetic jsep.Synthetic  // attributes added for Pion
}

// isUnused reports whether the peer neither sends nor receives on the connection.
func (r *remoteMedia) isUnused() bool {
	return len(r.sections) > 0 && !slices.ContainsFunc(r.sections, func(s jsep.Section) bool {
		return !s.Rejected && (s.Data || s.Kind != 0 && (s.Sends() || s.Receives()))
	})
}

// isClosed reports whether the peer has rejected an m-section (port 0), which is final.
func (r *remoteMedia) isClosed(mid string) bool {
	return slices.ContainsFunc(r.sections, func(s jsep.Section) bool { return s.Mid == mid && s.Rejected })
}

// replaced reports whether the peer has reused a rejected m-section for another one.
func (r *remoteMedia) replaced(mid string) bool {
	return r.described[mid] && !slices.ContainsFunc(r.sections, func(s jsep.Section) bool { return s.Mid == mid })
}

// forPion returns a description of the peer as Pion is to apply it. Received packets are assigned
// to its m-sections from now on.
func (r *remoteMedia) forPion(d *jsep.Description, o jsep.PionOptions) (string, error) {
	o.Synthetic = &r.synthetic
	text, streams, err := d.ForPion(o)
	if err == nil {
		r.updateDemuxer(streams)
	}
	return text, err
}

// updateDemuxer updates the demuxer, before Pion applies the description.
func (r *remoteMedia) updateDemuxer(s jsep.Streams) {
	var sections []demux.Section
	for _, section := range s.Sections {
		sections = append(sections, demux.Section{MID: section.Mid, Sends: section.Sends, Media: section.Media})
	}
	r.demuxer.Update(demux.HeaderExtensions{MID: s.MID, RID: s.RID, RepairedRID: s.RepairedRID}, sections)
}

// trackReceived returns the event for a track of the peer.
func (c *connection) trackReceived(a remoteTrack) TrackReceived {
	e := TrackReceived{Track: a.track, Receiver: a.receiver, RID: ridOf(a.track), WriteRTCP: c.pc.WriteRTCP}
	for _, t := range c.pc.GetTransceivers() {
		if t.Receiver() != a.receiver {
			continue
		}
		if c.senders.isUnsignaled(t) {
			t = c.negotiatedTransceiver(t)
		}
		c.streams.receives(a.track, t.Mid())
		e.Mid = t.Mid()
		if out := c.senders.localTrackOf(t); out != nil {
			e.Local = out.Local()
		}
	}
	return e
}

// ridOf returns the RID that the peer has given a track, "" for none.
func ridOf(t *webrtc.TrackRemote) string {
	if rid := t.RID(); rid != jsep.SyntheticRID {
		return rid
	}
	return ""
}

// negotiatedTransceiver returns the transceiver of the m-section whose track an unsignaled
// transceiver receives.
func (c *connection) negotiatedTransceiver(unsignaled *webrtc.RTPTransceiver) *webrtc.RTPTransceiver {
	sends := func(mid string) bool {
		return slices.ContainsFunc(c.remote.sections, func(s jsep.Section) bool { return s.Mid == mid && !s.Rejected && s.Sends() })
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Kind() == unsignaled.Kind() && !c.senders.isUnsignaled(t) && sends(t.Mid()) && t.Receiver().Track() == nil {
			return t
		}
	}
	return unsignaled
}
