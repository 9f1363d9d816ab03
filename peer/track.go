package peer

import (
	"fmt"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// trackBound tells that a track may send with codec, or why not.
type trackBound struct {
	track webrtc.TrackLocal
	codec webrtc.RTPCodecParameters
	err   error
}

// readFeedback reads the RTCP of a sender until it ends, which the interceptors
// need in any case, and passes requests for key frames on (RFC 8834 §5.1.1).
func (c *connection) readFeedback(read rtcpReader, out *outgoing) {
	var asked time.Time                         // of the latest request that was granted, or will be
	later := time.AfterFunc(time.Hour, out.ask) // who is denied a key frame may not ask again for seconds
	later.Stop()
	defer later.Stop()
	for {
		packets, _, err := read()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				switch now := time.Now(); {
				case now.Before(asked): // it is to come
				case now.Before(asked.Add(keyFrameInterval)):
					asked = asked.Add(keyFrameInterval)
					later.Reset(asked.Sub(now))
				default:
					asked = now
					out.ask()
				}
			case *rtcp.ReceiverReport:
				out.lost(p.Reports)
			case *rtcp.SenderReport:
				out.lost(p.Reports)
			case *rtcp.ReceiverEstimatedMaximumBitrate:
				c.bw.SetREMB(out.rate, p.Bitrate)
			}
		}
	}
}

// keyFrameInterval is the least time between two key frames that the other side
// asks for: each is many times as large as other frames. It is libwebrtc's, which
// forgets the request; here it is granted when the time has passed.
const keyFrameInterval = 300 * time.Millisecond

// offerTracks gives the tracks and what is to be received to an offer.
func (c *connection) offerTracks(cfg *Config) error {
	for _, t := range cfg.Tracks {
		if err := c.send(t); err != nil {
			return err
		}
	}
	for _, kind := range cfg.Receive {
		if sends(cfg.Tracks, kind) {
			continue // a track of ours makes its section sendrecv
		}
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
			return fmt.Errorf("failed to ask for %s: %w", kind, err)
		}
	}
	return c.preferCodecs(cfg.VideoCodecs)
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
func (c *connection) answerTracks(cfg *Config, d *Description, tracks []webrtc.TrackLocal) ([]webrtc.TrackLocal, error) {
	room := map[webrtc.RTPCodecType]int{}
	unspoken := c.unspoken()
	for _, s := range d.Sections {
		if !s.Rejected && s.Takes() && !unspoken[s.Mid] {
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
	return left, c.preferCodecs(cfg.VideoCodecs)
}

// send adds a track and reads its feedback until the connection is closed.
func (c *connection) send(t webrtc.TrackLocal) error { return c.sendBy(t, c.pc.AddTrack) }

// sendBy is send, with what gives the track a sender.
func (c *connection) sendBy(t webrtc.TrackLocal, add func(webrtc.TrackLocal) (*webrtc.RTPSender, error)) error {
	out := newOutgoing(t, c.post, c.held, c.bw.CongestionWindowFull)
	layers := layersOf(t)
	if len(layers) > 0 {
		out = newOutgoing(layers[0], c.post, c.held, c.bw.CongestionWindowFull)
		out.layer = &layer{of: t}
	}
	out.id = c.streams.freeID(out)
	sender, err := add(out)
	if err != nil {
		return fmt.Errorf("failed to add the %s track: %w", t.Kind(), err)
	}
	c.streams.sends(out, sender)
	out.rate = c.bw.AddTrack(t)
	if len(layers) > 0 {
		return c.sendLayers(out, sender, layers)
	}
	c.listen(sender.ReadRTCP, out)
	return nil
}

// listen reads the feedback of a track until it ends.
func (c *connection) listen(read rtcpReader, out *outgoing) {
	c.readers.Add(1)
	go func() {
		defer c.readers.Done()
		c.readFeedback(read, out)
	}()
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

// heed keeps the tracks quiet that a description does not take, and lets those
// speak that it takes again. It returns those that fell silent.
func (c *connection) heed(d *Description) []webrtc.TrackLocal {
	takes := map[string]bool{}
	for _, s := range d.Sections {
		takes[s.Mid] = !s.Rejected && s.Takes()
	}
	var silent []webrtc.TrackLocal
	for _, t := range c.pc.GetTransceivers() {
		out := c.outgoingOf(t)
		if out == nil {
			continue
		}
		if !takes[t.Mid()] && !out.paused.Load() && out.current() != nil {
			silent = append(silent, out.current())
		}
		out.pause(!takes[t.Mid()] || c.onHold)
	}
	return silent
}

func (c *connection) outgoingOf(t *webrtc.RTPTransceiver) *outgoing {
	if sender := t.Sender(); sender != nil {
		out, _ := sender.Track().(*outgoing)
		return out
	}
	return nil
}

// received is the event for a track of the other side.
func (c *connection) received(a trackArrived) TrackReceived {
	e := TrackReceived{Track: a.track, Receiver: a.receiver, RID: ridOf(a.track), WriteRTCP: c.pc.WriteRTCP}
	for _, t := range c.pc.GetTransceivers() {
		if t.Receiver() != a.receiver {
			continue
		}
		if c.phantom(t) {
			t = c.embodied(t)
		}
		c.streams.receives(a.track, t.Mid())
		if out := c.outgoingOf(t); out != nil {
			e.Local = out.current()
		}
	}
	return e
}
