package peer

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/icenet"
	"parley/peer/internal/interceptors"
	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/interceptors/rtpstats"
	"parley/peer/internal/jsep"
	"parley/peer/stats"
)

// BulkReceiveBuffer fills a path of 1 Gbit/s with 30 ms of delay, in bytes.
const BulkReceiveBuffer = 4 << 20

// leastWindow is what SCTP has under way at least, in bytes: the four packets to
// which a single loss takes it as well (RFC 9260 §7.2.3). After a timeout Pion
// goes down to one packet and stays there for all that has been sent before,
// because its window grows only while there is something new to send; and where
// the round trip takes longer than the first timeout of 1 s, there is one at once.
const leastWindow = 4 * 1228

// windowStep is what the window grows by in a round trip while it avoids
// congestion, in bytes: two packets, where RFC 9260 §7.2.2 has one. Pion waits a
// second for a packet that is lost again when it is sent again (RTO.Min of §16),
// where libwebrtc and libdatachannel wait a fraction of that; the second packet
// makes up for it. A loss halves the window, as everywhere.
const windowStep = 2 * 1191

// maxKeepalive is the time between checks of a connection that is silent
// otherwise: consent must be fresh (RFC 7675 §5.1).
const maxKeepalive = 2 * time.Second

// keepalive is the time between checks.
func (c *Config) keepalive() time.Duration { return min(maxKeepalive, c.Timeouts.Disconnected/3) }

// newAPI sets Pion up for one call. It is the only place for Pion's settings.
// recorder measures the RTP streams of the connection, bw bounds those that are sent, demuxer
// assigns those that come in, and a sees the handshake.
func newAPI(c *Config, n *icenet.Net, logs *pionLog, recorder *rtpstats.Recorder, bw *bwe.Controller, f *icenet.PairFollower, a *stats.Transport, demuxer *demux.Demuxer) (*webrtc.API, error) {
	engine, err := c.engine()
	if err == nil {
		err = c.numberExtensions(engine)
	}
	if err != nil {
		return nil, err
	}
	outer, inner := &interceptor.Registry{}, &interceptor.Registry{}
	if err := errors.Join(interceptors.Register(engine, inner, logs, recorder, bw), nameSound(engine)); err != nil {
		return nil, fmt.Errorf("failed to register interceptors: %w", err)
	}
	outer.Add(demuxer.Factory(inner))
	settings, err := newSettings(c, n, logs)
	if err != nil {
		return nil, err
	}
	settings.SetICEBindingRequestHandler(f.HandleBindingRequest)
	settings.SetDTLSServerHelloMessageHook(a.ServerHello)
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(engine),
		webrtc.WithInterceptorRegistry(outer),
		webrtc.WithSettingEngine(settings),
	), nil
}

// nameSound lets Pion tell streams of sound apart by what it tells layers of a
// picture apart by, see jsep.Synthetic.
func nameSound(engine *webrtc.MediaEngine) (err error) {
	for _, uri := range jsep.StreamExtensions() {
		err = errors.Join(err, engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeAudio))
	}
	return err
}

// numberExtensions makes Pion number header extensions as they are already: it
// does so in the order in which it hears of them. What has no kind is not offered.
func (c *Config) numberExtensions(engine *webrtc.MediaEngine) error {
	last := 0
	for id := range c.extensions {
		last = max(last, id)
	}
	for id := 1; id <= last; id++ {
		uri := c.extensions[id]
		if uri == "" {
			uri = fmt.Sprint("nobody's ", id)
		}
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, 0); err != nil {
			return fmt.Errorf("failed to number header extensions: %w", err)
		}
	}
	return nil
}

func newSettings(c *Config, n *icenet.Net, logs *pionLog) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: logs}
	// A browser that hides its addresses is seen as peer-reflexive at first;
	// Pion would wait a second for something better (pion/webrtc#3174).
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	if c.ICE.RelayOnly {
		s.SetRelayAcceptanceMinWait(relayWait)
	}
	// What comes before an answer is heard too, see phantom.go.
	s.SetHandleUndeclaredSSRCWithoutAnswer(true)
	// The cookie round trip protects a DTLS server that listens to strangers;
	// ours hears only who passed ICE's check.
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetSCTPMaxMessageSize(datachannel.MaxMessageSize)
	s.SetSCTPMinCwnd(leastWindow)
	s.SetSCTPCwndCAStep(windowStep)
	s.DetachDataChannels() // see package datachannel
	s.SetSCTPMaxReceiveBufferSize(c.ReceiveBuffer)
	s.SetICETimeouts(c.Timeouts.Disconnected, c.Timeouts.Failed, c.keepalive())
	s.SetICEMaxBindingRequests(c.checks())
	s.SetIncludeLoopbackCandidate(c.ICE.Loopback)
	if c.KeyLog != nil {
		s.SetDTLSKeyLogWriter(c.KeyLog)
	}
	if c.Net == nil { // simulated networks have no TCP
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	}
	if c.ICE.TCPMux != nil {
		s.SetICETCPMux(c.ICE.TCPMux)
	}
	if c.ICE.UDPMux != nil {
		s.SetICEUDPMux(c.ICE.UDPMux)
	} else if c.ICE.MinPort != 0 || c.ICE.MaxPort != 0 {
		if err := s.SetEphemeralUDPPortRange(c.ICE.MinPort, c.ICE.MaxPort); err != nil {
			return s, fmt.Errorf("failed to use UDP ports %d to %d: %w", c.ICE.MinPort, c.ICE.MaxPort, err)
		}
	}
	if len(c.ICE.AdvertiseIPs) > 0 {
		rule := webrtc.ICEAddressRewriteRule{
			External: c.ICE.AdvertiseIPs, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		}
		if err := s.SetICEAddressRewriteRules(rule); err != nil {
			return s, fmt.Errorf("failed to advertise %v: %w", c.ICE.AdvertiseIPs, err)
		}
	}
	if n != nil {
		s.SetICEProxyDialer(n.ProxyDialer())
		s.SetNet(n)
	} else {
		s.SetNet(c.Net)
		s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // simulated networks have none
	}
	return s, nil
}

// relayWait is how long a call that may go through relays alone waits for the best
// one, which is reached by UDP and not by TCP, from its first check on. Pion has two
// seconds for a call for which something better than a relay may come.
const relayWait = 2 * checkInterval

// checkInterval is the time between Pion's connectivity checks of a pair.
const checkInterval = 200 * time.Millisecond

// checks is how often a pair is checked before it counts as failed: until the
// connection does. Pion's seven are over in 1.4 s, and a pair is never looked at
// again; but after an ICE restart the path may come back much later, and so may
// candidates of the other side at first (RFC 8863 §3).
func (c *Config) checks() uint16 {
	const fewest = 7
	return uint16(min(max((c.Timeouts.Disconnected+c.Timeouts.Failed)/checkInterval, fewest), math.MaxUint16))
}
