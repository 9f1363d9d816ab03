package peer

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/jsep"
	"parley/peer/internal/sender"
	"parley/peer/track"
)

// senders add, replace and pause the tracks that a connection sends. They are used by the goroutine
// of Run.
type senders struct {
	pc      *webrtc.PeerConnection
	cfg     *callConfig
	post    func(any)
	readers *sync.WaitGroup // goroutines that read feedback
	remote  *remoteMedia
	streams *streams
	bw      *bwe.Controller
	bursts  track.BurstWriter // nil with Config.Net
	onHold  bool              // neither send nor receive media
}

// offerTracks adds the tracks of the config, and transceivers for the kinds to receive, to the
// first offer.
func (s *senders) offerTracks() error {
	for _, t := range s.cfg.Media.Tracks {
		if err := s.send(t); err != nil {
			return err
		}
	}
	for _, kind := range s.cfg.Media.Receive {
		if slices.ContainsFunc(s.cfg.Media.Tracks, func(t webrtc.TrackLocal) bool { return t.Kind() == kind }) {
			continue // the m-section of the track is sendrecv
		}
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := s.pc.AddTransceiverFromKind(kind, init); err != nil {
			return fmt.Errorf("failed to add a transceiver to receive %s: %w", kind, err)
		}
	}
	return s.preferCodecs()
}

// answerTracks adds as many tracks as the peer's offer has m-sections for, and returns the others.
func (s *senders) answerTracks(d *jsep.Description, tracks []webrtc.TrackLocal) ([]webrtc.TrackLocal, error) {
	room := map[webrtc.RTPCodecType]int{}
	noCodec := s.sectionsWithoutCodec()
	for _, s := range d.Sections {
		if !s.Rejected && s.Receives() && !noCodec[s.Mid] {
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
		if err := s.send(t); err != nil {
			return nil, err
		}
	}
	return left, s.preferCodecs()
}

// sectionsWithoutCodec returns the mids of the applied offer that have no codec of ours. Pion
// rejects them, or creates no answer at all if they have a track.
func (s *senders) sectionsWithoutCodec() map[string]bool {
	mids := map[string]bool{}
	for _, t := range s.pc.GetTransceivers() {
		mids[t.Mid()] = len(t.Receiver().GetParameters().Codecs) == 0
	}
	return mids
}

// send adds a track and reads its feedback until the connection is closed.
func (s *senders) send(t webrtc.TrackLocal) error { return s.sendWith(t, s.pc.AddTrack) }

// sendWith is like send. add adds the track to the PeerConnection.
func (s *senders) sendWith(t webrtc.TrackLocal, add func(webrtc.TrackLocal) (*webrtc.RTPSender, error)) error {
	out := sender.New(t, s.streams.freeID(t), sender.Config{
		OnBound: s.bound, Held: &s.cfg.gate.closed, Full: s.bw.CongestionWindowFull, Bursts: s.bursts,
	})
	rtpSender, err := add(out)
	if err != nil {
		return fmt.Errorf("failed to add the %s track: %w", t.Kind(), err)
	}
	for _, tr := range s.pc.GetTransceivers() {
		if tr.Sender() == rtpSender {
			out.SetTransceiver(tr)
		}
	}
	rate := s.bw.AddTrack(t)
	s.streams.sends(outStream{Track: out, rtp: rtpSender, rate: rate})
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
		s.readers.Go(func() { e.ReadFeedback(read, func(bps float32) { s.bw.SetREMB(rate, bps) }) })
	}
	return nil
}

// sendAs sends a track in an m-section with this mid.
func (s *senders) sendAs(mid string, t webrtc.TrackLocal) error {
	if err := s.sendWith(t, s.newSection); err != nil {
		return err
	}
	for _, t := range s.pc.GetTransceivers() {
		if err := t.SetMid(mid); err != nil {
			return fmt.Errorf("failed to name a media section: %w", err)
		}
	}
	return nil
}

// newSection adds a transceiver with an m-section of its own for a track.
func (s *senders) newSection(t webrtc.TrackLocal) (*webrtc.RTPSender, error) {
	transceiver, err := s.pc.AddTransceiverFromTrack(t)
	if err != nil {
		return nil, err
	}
	return transceiver.Sender(), nil
}

// bound posts a trackBound.
func (s *senders) bound(t webrtc.TrackLocal, codec webrtc.RTPCodecParameters, err error) {
	s.post(trackBound{t, codec, err})
}

// trackBound reports that a track may be sent with codec, or why not.
type trackBound struct {
	track webrtc.TrackLocal
	codec webrtc.RTPCodecParameters
	err   error
}

// preferCodecs moves the codecs of MediaConfig.VideoCodecs to the front.
func (s *senders) preferCodecs() error {
	mimes := s.cfg.Media.VideoCodecs
	for _, t := range s.pc.GetTransceivers() {
		if t.Kind() != webrtc.RTPCodecTypeVideo || len(mimes) == 0 {
			continue
		}
		if err := t.SetCodecPreferences(preferred(t.Receiver().GetParameters().Codecs, mimes)); err != nil {
			return fmt.Errorf("failed to prefer %v: %w", mimes, err)
		}
	}
	return nil
}

// preferred returns codecs with those of mimes first, in the order of mimes.
func preferred(codecs []webrtc.RTPCodecParameters, mimes []string) []webrtc.RTPCodecParameters {
	var first, rest []webrtc.RTPCodecParameters
	rest = codecs
	for _, mime := range mimes {
		var others []webrtc.RTPCodecParameters
		for _, codec := range rest {
			if strings.EqualFold(codec.MimeType, mime) {
				first = append(first, codec)
			} else {
				others = append(others, codec)
			}
		}
		rest = others
	}
	return append(first, rest...)
}

// add sends a track in the m-section of one that was removed, if it fits, or as a new one.
func (s *senders) add(t webrtc.TrackLocal) error {
	if out := s.reusableSender(t); out != nil {
		out.SetMuted(false)
		return s.replaceTrack(out, t)
	}
	if err := s.send(t); err != nil {
		return err
	}
	return s.preferCodecs()
}

// reusableSender returns the stream of a track that was removed and that t can replace, nil for
// none.
func (s *senders) reusableSender(t webrtc.TrackLocal) *outStream {
	sent, _ := s.streams.all(s.pc)
	slices.SortStableFunc(sent, func(a, b outStream) int { return strings.Compare(b.mid, a.mid) }) // without a section last
	for _, out := range sent {
		if out.Kind() == t.Kind() && out.Local() == nil && out.CanReplace(t) && !s.remote.isClosed(out.mid) {
			return &out
		}
	}
	return nil
}

// hasFreeSection reports whether the peer would receive a kind in an m-section that has no track.
func (s *senders) hasFreeSection(kind webrtc.RTPCodecType, theirs []jsep.Section) bool {
	receives := map[string]bool{}
	for _, s := range theirs {
		receives[s.Mid] = !s.Rejected && s.Receives()
	}
	for _, t := range s.pc.GetTransceivers() {
		if t.Kind() == kind && t.Sender() == nil && receives[t.Mid()] {
			return true
		}
	}
	return false
}

// reassignTracks moves the tracks that wait for an m-section of their own to those that an offer
// has for them.
func (s *senders) reassignTracks(d *jsep.Description) error {
	sent, _ := s.streams.all(s.pc)
	for _, out := range sent {
		t := out.Local()
		if out.mid != "" || t == nil || !s.hasFreeSection(out.Kind(), d.Sections) {
			continue
		}
		if err := s.replaceTrack(&out, nil); err != nil {
			return err
		}
		if err := s.send(t); err != nil {
			return err
		}
	}
	return nil
}

// replaceTrack sends a track, or nothing, in place of the present one.
func (s *senders) replaceTrack(out *outStream, t webrtc.TrackLocal) error {
	if err := out.Replace(t); err != nil {
		return err
	}
	s.bw.ReplaceTrack(out.rate, t)
	return nil
}

// restoreTrack undoes replaceTrack.
func (s *senders) restoreTrack(out *outStream, t webrtc.TrackLocal) {
	if err := s.replaceTrack(out, t); err != nil {
		s.cfg.Logger.Debug("track not restored", "error", err)
	}
}

// moveTransceiver adds a transceiver like that of mid in another connection, with its track and the
// SSRC that was announced for it.
func (s *senders) moveTransceiver(from *connection, mid string) error {
	for _, t := range from.pc.GetTransceivers() {
		if t.Mid() != mid {
			continue
		}
		init := webrtc.RTPTransceiverInit{Direction: t.Direction()}
		out := from.senders.localTrackOf(t)
		if out == nil {
			made, err := s.pc.AddTransceiverFromKind(t.Kind(), init)
			if err != nil {
				return err
			}
			return made.SetMid(mid)
		}
		if e := t.Sender().GetParameters().Encodings; len(e) > 0 {
			init.SendEncodings = []webrtc.RTPEncodingParameters{{RTPCodingParameters: webrtc.RTPCodingParameters{SSRC: e[0].SSRC}}}
		}
		return s.sendWith(out.Local(), func(track webrtc.TrackLocal) (*webrtc.RTPSender, error) {
			t, err := s.pc.AddTransceiverFromTrack(track, init)
			if err != nil {
				return nil, err
			}
			return t.Sender(), t.SetMid(mid)
		})
	}
	return fmt.Errorf("invalid answer: has the m-section %.20q, which is not in our offer", mid)
}

// hold stops media at once. An answer resumes it.
func (s *senders) hold(hold bool) {
	s.onHold = hold
	sent, _ := s.streams.all(s.pc)
	for _, out := range sent {
		if hold {
			out.SetPaused(true)
		}
	}
}

// applyRemoteDirections pauses the tracks that the peer does not receive by a description, and
// resumes the others. It returns those that were paused.
func (s *senders) applyRemoteDirections(d *jsep.Description) []webrtc.TrackLocal {
	receives := map[string]bool{}
	for _, s := range d.Sections {
		receives[s.Mid] = !s.Rejected && s.Receives()
	}
	var paused []webrtc.TrackLocal
	for _, t := range s.pc.GetTransceivers() {
		out := s.localTrackOf(t)
		if out == nil {
			continue
		}
		if !receives[t.Mid()] && !out.Paused() && out.Local() != nil {
			paused = append(paused, out.Local())
		}
		out.SetPaused(!receives[t.Mid()] || s.onHold)
	}
	return paused
}

// localTrackOf returns the local track that a transceiver sends, nil for none.
func (s *senders) localTrackOf(t *webrtc.RTPTransceiver) *sender.Track {
	if s := t.Sender(); s != nil {
		out, _ := s.Track().(*sender.Track)
		return out
	}
	return nil
}

// isUnsignaled reports whether Pion has made a transceiver for an SSRC that no description had
// signaled: it has a local track that is not ours. Pion does so for packets that come before the
// description, in a call without MIDs. (For other unsignaled packets see jsep.Synthetic.) The
// transceiver must not become an m-section of our next offer.
func (s *senders) isUnsignaled(t *webrtc.RTPTransceiver) bool {
	sender := t.Sender()
	return sender != nil && sender.Track() != nil && s.localTrackOf(t) == nil
}

// streams are the tracks that a connection has or had, for its statistics: Pion removes them when
// the peer closes the connection. They may be used by any goroutine.
type streams struct {
	mu  sync.Mutex // guards the following
	out []*outStream
	in  []inStream
}

// outStream is a local track of a connection. Copies of it share all but the mid.
type outStream struct {
	*sender.Track
	rtp  *webrtc.RTPSender
	rate *bwe.Track
	mid  string
}

// inStream is a remote track of a connection.
type inStream struct {
	track *webrtc.TrackRemote
	mid   string
}

// sends adds a local track.
func (s *streams) sends(out outStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, &out)
}

// freeID returns the ID of a track, with a suffix if another track of the stream has the same ID:
// Chromium rejects a description in which two tracks have one ID.
func (s *streams) freeID(t webrtc.TrackLocal) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := t.ID()
	for n := 2; slices.ContainsFunc(s.out, func(o *outStream) bool { return o.ID() == id && o.StreamID() == t.StreamID() }); n++ {
		id = fmt.Sprintf("%s-%d", t.ID(), n)
	}
	return id
}

// receives adds a remote track.
func (s *streams) receives(track *webrtc.TrackRemote, mid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = append(s.in, inStream{track, mid})
}

// all returns the streams, with the mids of those that have been negotiated.
func (s *streams) all(pc *webrtc.PeerConnection) ([]outStream, []inStream) {
	transceivers := pc.GetTransceivers()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []outStream
	for _, o := range s.out {
		for _, t := range transceivers {
			if t.Sender() == o.rtp && t.Mid() != "" {
				o.mid = t.Mid()
			}
		}
		out = append(out, *o)
	}
	return out, slices.Clone(s.in)
}
