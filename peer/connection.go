package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/icenet"
	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/interceptors/rtpstats"
	"parley/peer/internal/jsep"
	"parley/peer/stats"
)

// connection is one PeerConnection with all that belongs to it. A call has one
// at a time, and a second after losing a glare.
type connection struct {
	pc         *webrtc.PeerConnection
	box        *mailbox
	logs       *pionLog
	recorder   *rtpstats.Recorder
	candidates *stats.Candidates
	local      []byte       // our certificate
	up         atomic.Bool  // ICE has connected: before, Pion's statistics race with its start
	net        *icenet.Net  // nil with Config.Net
	held       *atomic.Bool // see VerificationConfig.Required
	bw         *bwe.Controller

	pair    stats.Object   // in use last, by report; protected by Call.mu
	tried   []stats.Object // pairs that were tried, in use or not; protected by Call.mu
	readers sync.WaitGroup // goroutines that read feedback, and of holdAnswer
	streams streams
	agreed  stats.Transport
	demuxer *demux.Demuxer

	data        *datachannel.Set
	closing     context.Context // done once close is called
	stopPosting context.CancelFunc

	index int // among those of the call, from 0

	// The rest belongs to the goroutine of Run.
	progress       *progress
	pairReported   bool                     // a selected pair was told
	reportedAhead  *webrtc.ICECandidatePair // the pair that was told before Pion's callback did; nil for none
	remoteSet      bool                     // a remote description has been applied
	offered        *jsep.Description        // the offer that was applied last
	remote         *jsep.Description        // the description that was applied last
	sections       []jsep.Section           // of the offer, or of the description that this connection was made for
	remoteSections []jsep.Section           // of the description that was applied last
	described      map[string]bool          // mids that the peer has described once
	synthetic      jsep.Synthetic           // what Pion alone knows of theirs
	remoteMuted    map[string]bool          // mids of theirs that sent before, and do not now
	onHold         bool                     // we neither send nor take media
	setup          string                   // our DTLS role as SDP writes it, once agreed
	dataMid        string                   // of the data channels in our offers, "" for Pion's own
	state          webrtc.PeerConnectionState
	hosts          map[transportAddress]bool // where our host candidates are

	// answerHeld: our answer waits for all candidates to be in it, because the
	// other side does not take them one by one.
	answerHeld  bool
	holdExpired bool // since maxAnswerHold; the answer is sent once it has a candidate

	settings *webrtc.SettingEngine // of Pion, see settingsOf
	pending  *localOffer           // the offer that is out, nil for none and for the first
	lost     bool                  // the path is gone: an ICE restart need not spare it
}

// posted wraps what a callback posts with the connection it is from.
type posted struct {
	from  *connection
	event any
}

// Posted by the callbacks of a connection.
type (
	stateChange    struct{}
	iceState       struct{ webrtc.ICEConnectionState }
	localCandidate struct{ *webrtc.ICECandidate } // nil at the end
	pairSelected   struct{ *webrtc.ICECandidatePair }
	gathered       struct{}
	holdExpired    struct{}
	remoteTrack    struct {
		track    *webrtc.TrackRemote
		receiver *webrtc.RTPReceiver
	}
)

func newConnection(cfg *Config, box *mailbox) (*connection, error) {
	logs := &pionLog{log: cfg.Logger}
	c := &connection{
		box: box, logs: logs, recorder: rtpstats.NewRecorder(cfg.OnRTP), candidates: stats.NewCandidates(), local: cfg.der,
		progress: newProgress(), hosts: map[transportAddress]bool{}, remoteMuted: map[string]bool{}, described: map[string]bool{}, held: cfg.held,
	}
	c.closing, c.stopPosting = context.WithCancel(context.Background())
	c.demuxer = demux.New(demux.Config{
		SyntheticRID: jsep.SyntheticRID,
		Transceivers: func() []*webrtc.RTPTransceiver { return c.pc.GetTransceivers() },
		OnUnknown:    func(u demux.UnknownStream) { c.post(u) },
	})
	var err error
	if c.net, err = cfg.hostNet(); err != nil {
		return nil, err
	}
	if c.bw, err = bwe.New(); err != nil {
		return nil, fmt.Errorf("failed to set up congestion control: %w", err)
	}
	follow := &icenet.PairFollower{Silence: 2 * cfg.keepalive()}
	api, err := newAPI(cfg, c.net, logs, c.recorder, c.bw, follow, &c.agreed, c.demuxer)
	if err == nil {
		c.settings, err = settingsOf(api)
	}
	if err != nil {
		_ = c.bw.Close()
		return nil, err
	}
	c.pc, err = api.NewPeerConnection(cfg.configuration())
	if err != nil {
		_ = c.bw.Close()
		return nil, fmt.Errorf("failed to create the connection: %w", err)
	}
	c.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { c.post(stateChange{}) })
	c.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { c.post(iceState{s}) })
	c.pc.OnICECandidate(func(cand *webrtc.ICECandidate) { c.post(localCandidate{cand}) })
	c.data = c.newData(cfg)
	c.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { c.post(remoteTrack{t, r}) })
	c.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(
		func(p *webrtc.ICECandidatePair) {
			follow.SetSelected(p)
			c.agreed.CandidatePairChanged()
			c.post(pairSelected{p})
		})
	return c, nil
}

func (c *connection) post(e any) { c.box.post(posted{c, e}) }

func (c *connection) postData(m messageArrived) { c.box.postData(posted{c, m}, c.closing.Done()) }

// close gives everything back, and drops messages that have not been posted. It
// must not be called from a callback of Pion.
func (c *connection) close() {
	c.stopPosting()
	if c.net != nil {
		c.net.Close()
	}
	c.data.Close()
	_ = c.pc.GracefulClose() // its errors are of connections that are gone already
	c.readers.Wait()
	c.data.Wait()
}

// localOffer is an offer that was created and sent, but not set yet, see negotiator.
type localOffer struct {
	description webrtc.SessionDescription
	// Of an offer that restarts ICE while the current path may still work.
	ufrag, pwd string
}

// offer creates an offer and returns it as it goes over the wire. restart begins a new ICE session
// (RFC 8445 section 9). The old path stays in use until the offer is answered, unless it is lost.
func (c *connection) offer(cfg *Config, restart bool) (*sdp.SessionDescription, error) {
	if !c.remoteSet && c.dataMid == "" {
		c.dataMid = dataMid
	}
	c.pending = nil
	now := restart && c.lost
	if now {
		c.refreshNetwork(cfg)
	}
	offer, err := c.createOffer(now)
	if err != nil {
		return nil, err
	}
	if !c.remoteSet {
		if err := c.pc.SetLocalDescription(offer); err != nil {
			return nil, fmt.Errorf("failed to apply our offer: %w", err)
		}
		return c.offerToWire(offer.SDP)
	}
	c.pending = &localOffer{description: offer}
	d, err := c.offerToWire(offer.SDP)
	if err == nil && restart && !now {
		c.pending.ufrag, c.pending.pwd = newICECredentials()
		jsep.SetICECredentials(d, c.pending.ufrag, c.pending.pwd)
	}
	return d, err
}

func (c *connection) createOffer(restart bool) (webrtc.SessionDescription, error) {
	offer, err := c.pc.CreateOffer(&webrtc.OfferOptions{
		OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true}, ICERestart: restart,
	})
	if err != nil {
		return offer, fmt.Errorf("failed to create an offer: %w", err)
	}
	return offer, nil
}

// offerToWire returns an offer of Pion's as it goes over the wire.
func (c *connection) offerToWire(offer string) (*sdp.SessionDescription, error) {
	return jsep.ToWire(offer, c.wireOptions())
}

// forgetOffer forgets the offer that is out.
func (c *connection) forgetOffer() { c.pending = nil }

// setOffer sets the offer that is out, because its answer has come.
func (c *connection) setOffer(cfg *Config) error {
	p := c.pending
	if p == nil {
		return nil // it is the first, which was set when it was created
	}
	if err := c.beginRestart(cfg); err != nil {
		return err
	}
	c.pending = nil
	if err := c.pc.SetLocalDescription(p.description); err != nil {
		return fmt.Errorf("failed to apply our offer: %w", err)
	}
	return nil
}

// nameSections gives the new media sections of an offer their mids: a1, v1 and so on, of a polite peer
// A1, V1 and so on, so that none is dataMid, and none that the peer gives to a section of its own in
// an offer that crosses this one. ("audio" and "video" would do for Pion and others as a sign
// of Plan B.)
func (c *connection) nameSections(polite bool) error {
	taken := map[string]bool{}
	for _, s := range slices.Concat(c.remoteSections, c.sections) {
		taken[s.Mid] = true
	}
	transceivers := c.pc.GetTransceivers()
	for _, t := range transceivers {
		taken[t.Mid()] = true
	}
	for _, t := range transceivers {
		if t.Mid() != "" || c.isUnsignaled(t) {
			continue
		}
		kind := t.Kind().String()[:1]
		if polite {
			kind = strings.ToUpper(kind)
		}
		mid := ""
		for n := 1; mid == "" || taken[mid]; n++ {
			mid = fmt.Sprint(kind, n)
		}
		taken[mid] = true
		if err := t.SetMid(mid); err != nil {
			return fmt.Errorf("failed to name a media section: %w", err)
		}
	}
	return nil
}

// dataMid is the mid of the data channels in an offer of ours that comes first. A page that has
// offered nothing but a data channel at the same moment, and takes that back,
// has given it this number, and Chromium takes no other one from then on.
const dataMid = "0"

// pionDataMid is the mid that Pion gave the data channels in its description:
// their index, whatever others there are. "" if there are none.
func (c *connection) pionDataMid() string {
	d, err := jsep.Unmarshal(textOf(c.pc.LocalDescription()))
	if err != nil {
		return ""
	}
	return jsep.DataMid(d)
}

// refreshNetwork lets Pion see the addresses that this machine has now, and the ICE
// servers of now, before it may gather candidates again.
func (c *connection) refreshNetwork(cfg *Config) {
	if cfg.ICE.FreshServers != nil {
		conf := cfg.configuration()
		conf.ICEServers = cfg.ICE.FreshServers()
		if err := c.pc.SetConfiguration(conf); err != nil {
			c.logs.log.Debug("ICE servers not renewed", "error", err)
		}
	}
	if c.net != nil {
		if err := c.net.Update(); err != nil {
			c.logs.log.Debug("interfaces not listed", "error", err)
		}
	}
}

// forPion is a description of the other side as Pion is to get it. The sections of
// what comes are looked for by it from now on.
func (c *connection) forPion(d *jsep.Description, o jsep.PionOptions) (string, error) {
	o.Synthetic = &c.synthetic
	text, streams, err := d.ForPion(o)
	if err == nil {
		c.updateDemuxer(streams)
	}
	return text, err
}

// updateDemuxer gives the demuxer the peer's description, before Pion gets it.
func (c *connection) updateDemuxer(s jsep.Streams) {
	var sections []demux.Section
	for _, section := range s.Sections {
		sections = append(sections, demux.Section{MID: section.Mid, Sends: section.Sends, Media: section.Media})
	}
	c.demuxer.Update(demux.HeaderExtensions{MID: s.MID, RID: s.RID, RepairedRID: s.RepairedRID}, sections)
}

// beginRestart gives the path up, if the offer that is out restarts ICE and it has not been given up yet.
func (c *connection) beginRestart(cfg *Config) error {
	p := c.pending
	if p == nil || p.ufrag == "" {
		return nil
	}
	c.refreshNetwork(cfg)
	c.settings.SetICECredentials(p.ufrag, p.pwd)
	offer, err := c.createOffer(true)
	c.settings.SetICECredentials("", "") // what Pion restarts next has credentials of its own
	if err == nil {
		p.description, p.ufrag = offer, ""
	}
	return err
}

// applyAnswer sets our offer, and the peer's answer to it.
func (c *connection) applyAnswer(cfg *Config, d *jsep.Description) error {
	if err := c.setOffer(cfg); err != nil {
		return err
	}
	paused := c.applyRemoteDirections(d)
	if !c.remoteSet {
		for _, t := range paused {
			cfg.OnEvent(TrackRejected{t, fmt.Sprintf("the answer takes no %s", t.Kind())})
		}
	}
	text, err := c.forPion(d, jsep.PionOptions{Later: c.remoteSet, WireDataMid: c.dataMid, PionDataMid: c.pionDataMid()})
	if err != nil {
		return err
	}
	answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}
	if err := c.pc.SetRemoteDescription(answer); err != nil {
		return fmt.Errorf("failed to apply the peer's answer: %w", err)
	}
	if c.setup == "" {
		c.setup = jsep.OppositeSetup(d.Setup)
		c.agreed.SetDTLSRole(c.setup)
	}
	c.remoteApplied(cfg, d)
	return nil
}

// applyOffer sets an offer of the peer and then our answer. It gives as many of the tracks as the
// offer has sections for a sender, once, and returns those that are left.
func (c *connection) applyOffer(cfg *Config, d *jsep.Description, tracks []webrtc.TrackLocal) ([]webrtc.TrackLocal, error) {
	later := c.remoteSet
	c.offered, c.pending = d, nil
	text, err := c.forPion(d, jsep.PionOptions{Later: later})
	if err != nil {
		return nil, err
	}
	if later {
		c.refreshNetwork(cfg)
	}
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: text}
	if err := c.pc.SetRemoteDescription(offer); err != nil {
		return nil, fmt.Errorf("failed to apply the peer's offer: %w", err)
	}
	var left []webrtc.TrackLocal
	if later {
		err = c.reassignTracks(d)
	} else {
		left, err = c.answerTracks(cfg, d, tracks)
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
		c.agreed.SetDTLSRole(c.setup)
	}
	c.applyRemoteDirections(d)
	c.sections = d.Sections
	if d.HasData() {
		c.dataMid = "" // Pion uses the mid of an offer
	}
	c.remoteApplied(cfg, d)
	return left, nil
}

// answerToWire returns our answer to the offer that was applied last as it goes over the wire, nil if
// there is none.
func (c *connection) answerToWire() (*sdp.SessionDescription, error) {
	if c.offered == nil {
		return nil, nil
	}
	o := c.wireOptions()
	o.Offer, o.Setup = c.offered, c.setup
	return jsep.ToWire(textOf(c.pc.LocalDescription()), o)
}

// remoteApplied takes note of a description that was taken, and tells what the other side
// has stopped sending, or sends again.
func (c *connection) remoteApplied(cfg *Config, d *jsep.Description) {
	sent := map[string]bool{}
	for _, s := range c.remoteSections {
		sent[s.Mid] = s.Sends()
	}
	for _, s := range d.Sections {
		c.described[s.Mid] = true
		stopped, again := sent[s.Mid] && !s.Sends(), c.remoteMuted[s.Mid] && s.Sends()
		if s.Kind == 0 || s.Rejected || !stopped && !again {
			continue
		}
		c.remoteMuted[s.Mid] = stopped
		cfg.OnEvent(TrackMuted{s.Kind, stopped})
	}
	c.progress.answered, c.remoteSet, c.remote, c.remoteSections = true, true, d, d.Sections
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

func (c *connection) videoCodecs(t *webrtc.RTPTransceiver) []webrtc.RTPCodecParameters {
	return t.Receiver().GetParameters().Codecs
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
