package whipcheck

import (
	"fmt"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"parley/signal/whip"
)

// offerOptions are how an offer of a check differs from a usual one.
type offerOptions struct {
	kind         string              // Content-Type of the request
	origin       bool                // as a page of another origin
	noCandidates bool                // as OBS offers
	videos       int                 // m-sections of video, 0 for one
	edit         func(string) string // of the SDP
}

// peerConnection is the client of a session.
type peerConnection struct {
	*webrtc.PeerConnection
	offer  string
	states chan webrtc.ICEConnectionState
}

// offer returns a client and its offer with all candidates.
func (c *checker) offer(o offerOptions) (*peerConnection, string, error) {
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(c.Loopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, "", err
	}
	p := &peerConnection{PeerConnection: pc, states: make(chan webrtc.ICEConnectionState, 64)}
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		select {
		case p.states <- s:
		default:
		}
	})
	kinds := []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
	for range max(1, o.videos) {
		kinds = append(kinds, webrtc.RTPCodecTypeVideo)
	}
	for _, kind := range kinds {
		if err = p.add(kind, c.Endpoint.Direction == whip.Publish); err != nil {
			break
		}
	}
	if err == nil {
		err = p.describe(nil)
	}
	if err != nil {
		p.close()
		return nil, "", err
	}
	offer := p.offer
	if o.noCandidates {
		offer = withoutLines(offer, "a=candidate", "a=end-of-candidates")
	}
	if o.edit != nil {
		offer = o.edit(offer)
	}
	return p, offer, nil
}

// add adds an m-section.
func (p *peerConnection) add(kind webrtc.RTPCodecType, sends bool) error {
	if !sends {
		_, err := p.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		return err
	}
	track := &silentTrack{kind: kind, id: fmt.Sprint(kind, len(p.GetTransceivers()))}
	_, err := p.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	return err
}

// A silentTrack sends nothing, by whichever codec the endpoint prefers. It implements
// webrtc.TrackLocal.
type silentTrack struct {
	kind webrtc.RTPCodecType
	id   string
}

// Bind returns the first codec that both have.
func (t *silentTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

func (t *silentTrack) Unbind(webrtc.TrackLocalContext) error { return nil }
func (t *silentTrack) ID() string                            { return t.id }
func (t *silentTrack) RID() string                           { return "" }
func (t *silentTrack) StreamID() string                      { return "check" }
func (t *silentTrack) Kind() webrtc.RTPCodecType             { return t.kind }

// maxGathering bounds the time to gather candidates of this host.
const maxGathering = 5 * time.Second

// describe creates and applies an offer.
func (p *peerConnection) describe(options *webrtc.OfferOptions) error {
	offer, err := p.CreateOffer(options)
	if err != nil {
		return err
	}
	complete := webrtc.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-complete:
	case <-time.After(maxGathering):
	}
	p.offer = p.LocalDescription().SDP
	return nil
}

// accept applies an answer.
func (p *peerConnection) accept(answer string) error {
	return p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

// connected waits for a connection.
func (p *peerConnection) connected(within time.Duration) error {
	timeout := time.After(within)
	latest := webrtc.ICEConnectionStateNew
	for {
		select {
		case latest = <-p.states:
			if latest == webrtc.ICEConnectionStateConnected || latest == webrtc.ICEConnectionStateCompleted {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("no connection within %s: ICE is %s", within, latest)
		}
	}
}

func (p *peerConnection) close() { _ = p.GracefulClose() }

// withoutLines returns a description without the lines that begin so.
func withoutLines(sdp string, prefixes ...string) string {
	var b strings.Builder
lines:
	for line := range strings.Lines(sdp) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(line, prefix) {
				continue lines
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// sections returns the m-sections of a description.
func sections(sdp string) []string {
	parts := strings.Split("\n"+strings.ReplaceAll(sdp, "\r\n", "\n"), "\nm=")
	return parts[1:]
}

// restartOffer offers an ICE restart.
func (p *peerConnection) restartOffer() error {
	return p.describe(&webrtc.OfferOptions{ICERestart: true})
}
