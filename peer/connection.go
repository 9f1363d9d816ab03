package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/candidate"
	"parley/peer/internal/icenet"
	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/interceptors/rtpstats"
	"parley/peer/internal/jsep"
	"parley/peer/stats"
)

// A connection is a PeerConnection and what belongs to it. Pion's callbacks post to the mailbox of
// the call; all else is used by the goroutine of Run, except streams and stats.
type connection struct {
	pc          *webrtc.PeerConnection
	cfg         *callConfig
	box         *mailbox
	logs        *pionLog
	net         *icenet.Net           // nil with Config.Net
	settings    *webrtc.SettingEngine // of Pion, see settingsOf
	data        *datachannel.Set
	senders     *senders
	streams     *streams
	remote      *remoteMedia
	stats       measurements
	closing     context.Context // done when close is called
	stopPosting context.CancelFunc
	readers     sync.WaitGroup // goroutines that read feedback, and of holdAnswer

	index    int // among the connections of the call, from 0
	state    webrtc.PeerConnectionState
	consent  consent // of the peer, to what is sent
	lost     bool    // the path is gone: an ICE restart need not preserve it
	progress *progress
	selected selectedPair
	hosts    map[transportAddress]bool // of our host candidates

	remoteSet bool              // a remote description has been applied
	offered   *jsep.Description // the offer that was applied last
	sections  []jsep.Section    // of the offer, or of the description that this connection was made for
	setup     string            // our DTLS role as SDP names it, once agreed
	dataMid   string            // of the data channels in our offers, "" for Pion's own
	pending   *localOffer       // the offer that is out, nil for none and for the first

	// answerHeld: the answer waits for all candidates to be in it, because the peer does not use
	// trickle ICE. holdExpired: maxAnswerHold is over, and the answer is sent once it has a
	// candidate.
	answerHeld, holdExpired bool
}

// posted is what a callback of a connection has posted.
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
	pairWanted     struct{ after time.Duration } // a pair is looked for after so long
	remoteTrack    struct {
		track    *webrtc.TrackRemote
		receiver *webrtc.RTPReceiver
	}
)

// newConnection returns a connection without tracks and channels. extensions are the header
// extensions whose numbers are taken, by number.
func newConnection(cfg *callConfig, box *mailbox, extensions map[int]string) (*connection, error) {
	c := &connection{
		cfg: cfg, box: box, logs: newPionLog(cfg.Logger), progress: newProgress(), hosts: map[transportAddress]bool{},
		remote: &remoteMedia{described: map[string]bool{}, muted: map[string]bool{}},
		stats: measurements{
			recorder: rtpstats.NewRecorder(cfg.OnRTP), candidates: stats.NewCandidates(), certificate: cfg.der,
		},
	}
	c.streams = &streams{}
	c.senders = &senders{cfg: cfg, post: c.post, readers: &c.readers, remote: c.remote, streams: c.streams}
	c.closing, c.stopPosting = context.WithCancel(context.Background())
	c.remote.demuxer = demux.New(demux.Config{
		SyntheticRID: jsep.SyntheticRID,
		Transceivers: func() []*webrtc.RTPTransceiver { return c.pc.GetTransceivers() },
		OnUnknown:    func(u demux.UnknownStream) { c.post(u) },
	})
	var err error
	if c.net, err = cfg.hostNet(); err != nil {
		return nil, err
	}
	if c.net != nil {
		c.senders.bursts = c.net
	}
	if c.senders.bw, err = bwe.New(); err != nil {
		return nil, fmt.Errorf("failed to set up congestion control: %w", err)
	}
	follow := &candidate.PairFollower{Silence: 2 * cfg.keepalive()}
	api, err := newAPI(c, follow, extensions)
	if err == nil {
		c.settings, err = settingsOf(api)
	}
	if err != nil {
		_ = c.senders.bw.Close()
		return nil, err
	}
	c.pc, err = api.NewPeerConnection(cfg.configuration())
	if err != nil {
		_ = c.senders.bw.Close()
		return nil, fmt.Errorf("failed to create the connection: %w", err)
	}
	c.senders.pc = c.pc
	c.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { c.post(stateChange{}) })
	c.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { c.post(iceState{s}) })
	c.pc.OnICECandidate(func(cand *webrtc.ICECandidate) { c.post(localCandidate{cand}) })
	c.data = c.newData()
	c.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { c.post(remoteTrack{t, r}) })
	c.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(
		func(p *webrtc.ICECandidatePair) {
			follow.SetSelected(p)
			c.stats.transport.CandidatePairChanged()
			c.post(pairSelected{p})
		})
	return c, nil
}

// post posts an event of the connection.
func (c *connection) post(e any) { c.box.post(posted{c, e}) }

// postData posts a message of a data channel when the mailbox has room for it, unless the
// connection is closed.
func (c *connection) postData(m messageArrived) { c.box.postData(posted{c, m}, c.closing.Done()) }

// firstLook is when a pair is looked for first, after ICE has begun to check.
const firstLook = checkInterval / 10

// lookForPair has Pion nominate the best pair that is valid by now, and looks again after twice the
// time. By itself Pion looks every checkInterval, and when a check of the peer comes by the pair
// that would be the best; an ICE-lite peer sends none.
func (c *connection) lookForPair(w pairWanted) {
	ice := c.pc.SCTP().Transport().ICETransport()
	if c.pc.ICEConnectionState() != webrtc.ICEConnectionStateChecking || ice.Role() != webrtc.ICERoleControlling {
		return
	}
	if w.after > 0 {
		if err := lookNow(ice); err != nil {
			c.logs.log.Debug("no pair nominated", "error", err)
			return
		}
	}
	if next := max(firstLook, 2*w.after); next < checkInterval {
		time.AfterFunc(next, func() { c.post(pairWanted{next}) })
	}
}

// refreshNetwork gives Pion the present addresses of the host and the present ICE servers, before
// it gathers candidates again. While it still gathers, the servers stay: they were asked for just
// now, and Pion's agent does not guard them.
func (c *connection) refreshNetwork() {
	if c.cfg.ICE.FreshServers != nil && c.pc.ICEGatheringState() != webrtc.ICEGatheringStateGathering {
		conf := c.cfg.configuration()
		conf.ICEServers = c.cfg.ICE.FreshServers()
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

// timeSinceLastPacket returns how long a disconnected or failed connection has received nothing: no
// packet, no consent check and no response to one (RFC 7675). Pion's statistics of the selected
// pair alone lack the times of checks.
func (c *connection) timeSinceLastPacket(now webrtc.PeerConnectionState) time.Duration {
	if now != webrtc.PeerConnectionStateDisconnected && now != webrtc.PeerConnectionStateFailed {
		return 0
	}
	var last time.Time
	for _, s := range c.pionReport() {
		pair, ok := s.(webrtc.ICECandidatePairStats)
		if !ok || !pair.Nominated {
			continue
		}
		for _, at := range []webrtc.StatsTimestamp{pair.LastPacketReceivedTimestamp, pair.LastResponseTimestamp, pair.LastRequestReceivedTimestamp} {
			if at != 0 && at.Time().After(last) {
				last = at.Time()
			}
		}
	}
	if last.IsZero() {
		return 0
	}
	return max(0, time.Since(last))
}

// close closes the connection and drops messages that have not been posted. It must not be called
// from a callback of Pion.
func (c *connection) close() {
	c.stopPosting()
	if c.net != nil {
		c.net.Close()
	}
	c.data.Close()
	_ = c.pc.GracefulClose() // its errors are of connections that are closed already
	c.readers.Wait()
	c.data.Wait()
}

// why returns the reason why the connection is not connected, or not any more.
func (c *connection) why() error {
	// Pion closes a connection whose handshake the peer has given up.
	over := c.state == webrtc.PeerConnectionStateFailed || c.state == webrtc.PeerConnectionStateClosed
	failed := over && c.progress.reached && !c.progress.wasConnected
	return c.progress.why(c.logs.lastWarning(failed))
}
