package peer

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
	"parley/peer/internal/sender"
)

// trackBound tells that a track may send with codec, or why not.
type trackBound struct {
	track webrtc.TrackLocal
	codec webrtc.RTPCodecParameters
	err   error
}

// offerTracks gives the tracks and what is to be received to an offer.
func (c *connection) offerTracks(cfg *Config) error {
	for _, t := range cfg.Media.Tracks {
		if err := c.send(t); err != nil {
			return err
		}
	}
	for _, kind := range cfg.Media.Receive {
		if sends(cfg.Media.Tracks, kind) {
			continue // a track of ours makes its section sendrecv
		}
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
			return fmt.Errorf("failed to ask for %s: %w", kind, err)
		}
	}
	return c.preferCodecs(cfg.Media.VideoCodecs)
}

func sends(tracks []webrtc.TrackLocal, kind webrtc.RTPCodecType) bool {
	for _, t := range tracks {
		if t.Kind() == kind {
			return true
		}
	}
	return false
}

// answerTracks gives each track a place in an offer that came, and returns
// those for which there is none.
func (c *connection) answerTracks(cfg *Config, d *jsep.Description, tracks []webrtc.TrackLocal) ([]webrtc.TrackLocal, error) {
	room := map[webrtc.RTPCodecType]int{}
	unspoken := c.sectionsWithoutCodec()
	for _, s := range d.Sections {
		if !s.Rejected && s.Receives() && !unspoken[s.Mid] {
			room[s.Kind]++
		}
	}
	var left []webrtc.TrackLocal
	for _, t := range tracks {
		if room[t.Kind()] == 0 {
			left = append(left, t)
			continue
		}
		room[t.Kind()]--
		if err := c.send(t); err != nil {
			return nil, err
		}
	}
	return left, c.preferCodecs(cfg.Media.VideoCodecs)
}

// sectionsWithoutCodec are the sections of an offer that was set with no codec of ours. Pion rejects them, unless they have a track:
// then it makes no answer at all.
func (c *connection) sectionsWithoutCodec() map[string]bool {
	mids := map[string]bool{}
	for _, t := range c.pc.GetTransceivers() {
		mids[t.Mid()] = len(t.Receiver().GetParameters().Codecs) == 0
	}
	return mids
}

// send adds a track and reads its feedback until the connection is closed.
func (c *connection) send(t webrtc.TrackLocal) error { return c.sendWith(t, c.pc.AddTrack) }

// sendWith is send, with what gives the track a sender.
func (c *connection) sendWith(t webrtc.TrackLocal, add func(webrtc.TrackLocal) (*webrtc.RTPSender, error)) error {
	out := sender.New(t, c.streams.freeID(t), sender.Config{OnBound: c.bound, Held: c.held, Full: c.bw.CongestionWindowFull})
	rtpSender, err := add(out)
	if err != nil {
		return fmt.Errorf("failed to add the %s track: %w", t.Kind(), err)
	}
	for _, tr := range c.pc.GetTransceivers() {
		if tr.Sender() == rtpSender {
			out.SetTransceiver(tr)
		}
	}
	rate := c.bw.AddTrack(t)
	c.streams.sends(outStream{Track: out, rtp: rtpSender, rate: rate})
	for i, e := range out.Encodings() {
		read := rtpSender.ReadRTCP
		if rid := e.RID(); rid != "" {
			read = func() ([]rtcp.Packet, interceptor.Attributes, error) { return rtpSender.ReadSimulcastRTCP(rid) }
		}
		if i > 0 {
			if err := rtpSender.AddEncoding(e); err != nil {
				return fmt.Errorf("failed to add layer %s of the %s track: %w", e.RID(), t.Kind(), err)
			}
		}
		c.readers.Go(func() { e.ReadFeedback(read, func(bps float32) { c.bw.SetREMB(rate, bps) }) })
	}
	return nil
}

// bound posts that a track may send with codec, or why not.
func (c *connection) bound(t webrtc.TrackLocal, codec webrtc.RTPCodecParameters, err error) {
	c.post(trackBound{t, codec, err})
}

// preferCodecs moves the video codecs of these MIME types to the front.
func (c *connection) preferCodecs(mimes []string) error {
	for _, t := range c.pc.GetTransceivers() {
		if t.Kind() != webrtc.RTPCodecTypeVideo || len(mimes) == 0 {
			continue
		}
		if err := t.SetCodecPreferences(preferred(c.videoCodecs(t), mimes)); err != nil {
			return fmt.Errorf("failed to prefer %v: %w", mimes, err)
		}
	}
	return nil
}

// applyRemoteDirections keeps the tracks quiet that a description does not take, and lets those
// speak that it takes again. It returns those that fell silent.
func (c *connection) applyRemoteDirections(d *jsep.Description) []webrtc.TrackLocal {
	takes := map[string]bool{}
	for _, s := range d.Sections {
		takes[s.Mid] = !s.Rejected && s.Receives()
	}
	var silent []webrtc.TrackLocal
	for _, t := range c.pc.GetTransceivers() {
		out := c.localTrackOf(t)
		if out == nil {
			continue
		}
		if !takes[t.Mid()] && !out.Paused() && out.Local() != nil {
			silent = append(silent, out.Local())
		}
		out.SetPaused(!takes[t.Mid()] || c.onHold)
	}
	return silent
}

// localTrackOf returns the local track that a transceiver sends, nil for none.
func (c *connection) localTrackOf(t *webrtc.RTPTransceiver) *sender.Track {
	if s := t.Sender(); s != nil {
		out, _ := s.Track().(*sender.Track)
		return out
	}
	return nil
}

// trackReceived is the event for a track of the other side.
func (c *connection) trackReceived(a remoteTrack) TrackReceived {
	e := TrackReceived{Track: a.track, Receiver: a.receiver, RID: ridOf(a.track), WriteRTCP: c.pc.WriteRTCP}
	for _, t := range c.pc.GetTransceivers() {
		if t.Receiver() != a.receiver {
			continue
		}
		if c.isUnsignaled(t) {
			t = c.negotiatedTransceiver(t)
		}
		c.streams.receives(a.track, t.Mid())
		if out := c.localTrackOf(t); out != nil {
			e.Local = out.Local()
		}
	}
	return e
}

// ridOf is the RID by which the other side knows a track, "" for none.
func ridOf(t *webrtc.TrackRemote) string {
	if rid := t.RID(); rid != jsep.SyntheticRID {
		return rid
	}
	return ""
}
