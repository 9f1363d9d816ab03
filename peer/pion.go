package peer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/candidate"
	"parley/peer/internal/icenet"
	"parley/peer/internal/interceptors"
	"parley/peer/internal/jsep"
	"parley/peer/internal/msection"
)

// BulkReceiveBuffer fills a path of 1 Gbit/s with 30 ms of delay, in bytes.
const BulkReceiveBuffer = 4 << 20

// minWindow is the smallest congestion window of SCTP, in bytes: four packets, the same as after a
// single loss (RFC 9260 section 7.2.3). After a timeout Pion reduces it to one packet and keeps it
// there for all that was sent before, because the window grows only while there is new data; and
// with a round trip longer than the first timeout of 1 s there is a timeout at once.
const minWindow = 4 * 1228

// maxKeepalive bounds the time between consent checks of a silent connection (RFC 7675 section
// 5.1).
const maxKeepalive = 2 * time.Second

// keepalive returns the time between consent checks.
func (c *Config) keepalive() time.Duration { return min(maxKeepalive, c.Timeouts.Disconnected/3) }

// orientationExtension is the header extension with the orientation of video (3GPP TS 26.114
// section 7.4.5), which tracks and receivers of media read and write.
const orientationExtension = "urn:3gpp:video-orientation"

// newAPI returns Pion set up for one connection. newAPI is the only place for Pion's settings.
// follow follows the selected pair, and extensions are the header extensions whose numbers are
// taken.
func newAPI(c *connection, follow *candidate.PairFollower, extensions map[int]string) (*webrtc.API, error) {
	engine, err := c.cfg.engine()
	if err == nil {
		err = numberExtensions(engine, extensions)
	}
	if err != nil {
		return nil, err
	}
	outer, inner := &interceptor.Registry{}, &interceptor.Registry{}
	err = errors.Join(
		interceptors.Register(engine, inner, c.logs, c.stats.recorder, c.senders.bw),
		registerStreamExtensions(engine),
		engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: orientationExtension}, webrtc.RTPCodecTypeVideo),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to register interceptors: %w", err)
	}
	outer.Add(c.remote.demuxer.Factory(inner))
	settings, err := newSettings(c.cfg, c.net, c.logs)
	if err != nil {
		return nil, err
	}
	settings.SetICEBindingRequestHandler(follow.HandleBindingRequest)
	settings.SetDTLSServerHelloMessageHook(c.stats.transport.ServerHello)
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(engine),
		webrtc.WithInterceptorRegistry(outer),
		webrtc.WithSettingEngine(settings),
	), nil
}

// registerStreamExtensions registers for audio the header extensions by which Pion assigns packets
// to the layers of video, see jsep.Synthetic.
func registerStreamExtensions(engine *webrtc.MediaEngine) (err error) {
	for _, uri := range jsep.StreamExtensions() {
		err = errors.Join(err, engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeAudio))
	}
	return err
}

// numberExtensions makes Pion give header extensions the numbers that they have already: it numbers
// them in the order of registration. An extension without a kind is not offered.
func numberExtensions(engine *webrtc.MediaEngine, extensions map[int]string) error {
	last := 0
	for id := range extensions {
		last = max(last, id)
	}
	for id := 1; id <= last; id++ {
		uri := extensions[id]
		if uri == "" {
			uri = fmt.Sprint("unused ", id)
		}
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, 0); err != nil {
			return fmt.Errorf("failed to number header extensions: %w", err)
		}
	}
	return nil
}

// newSettings returns Pion's settings for a connection. n is nil with Config.Net.
func newSettings(c *callConfig, n *icenet.Net, logs *pionLog) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: logs}
	// A browser that hides its addresses is peer-reflexive at first. Pion would wait 1 s for a
	// better candidate (pion/webrtc#3174).
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	if c.ICE.RelayOnly {
		s.SetRelayAcceptanceMinWait(relayWait)
	}
	// Packets that come before the answer are received, see isUnsignaled.
	s.SetHandleUndeclaredSSRCWithoutAnswer(true)
	// The cookie round trip protects a DTLS server that is open to all. Ours receives only from
	// peers that have passed ICE's checks.
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetSCTPMaxMessageSize(datachannel.MaxMessageSize)
	s.SetSCTPMinCwnd(minWindow)
	s.EnableSCTPZeroChecksum(true) // with peers that accept it (RFC 9653): DTLS authenticates packets
	s.DetachDataChannels()         // see package datachannel
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
		s.LoggerFactory = associationSettings{logs, n}
		s.SetICEProxyDialer(n.ProxyDialer())
		s.SetNet(n)
	} else {
		s.SetNet(c.Net)
		s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // simulated networks have none
	}
	return s, nil
}

// associationSettings is what an SCTP association is set up with. The copy of pion/sctp looks for a
// BurstWriter in its logger factory, because Pion passes nothing else to it.
type associationSettings struct {
	*pionLog
	sctp.BurstWriter
}

// relayWait is how long a call with ICEConfig.RelayOnly waits for a relay by UDP in place of one by
// TCP, from its first check on. Pion's 2 s are for calls that may find a better candidate than a
// relay.
const relayWait = 2 * checkInterval

// checkInterval is the time between Pion's connectivity checks of a pair.
const checkInterval = 200 * time.Millisecond

// checks returns how often a pair is checked before it fails: until the connection fails. Pion's
// seven checks take 1.4 s, after which a pair is not checked again, but the path may work much
// later after an ICE restart, and the first candidates of the peer may come later (RFC 8863 section
// 3).
func (c *Config) checks() uint16 {
	const fewest = 7
	return uint16(min(max((c.Timeouts.Disconnected+c.Timeouts.Failed)/checkInterval, fewest), math.MaxUint16))
}

// Codecs returns the MIME types that our descriptions may name: those that all browsers have (RFC
// 7742 section 5, RFC 7874 section 3), AV1 and VP9. Pion's H.265 and G.722 are not supported.
func Codecs() []string {
	return []string{
		webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA,
		webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeAV1, webrtc.MimeTypeVP9,
	}
}

// format is a codec with one set of parameters.
type format struct {
	mime       string
	parameters string
	payload    webrtc.PayloadType
	rtx        webrtc.PayloadType // of retransmissions (RFC 4588), 0 for none
}

// formats returns all formats, with the payload types of Pion. VP9 has only profile 0, the one with
// 8 bits: the decoders support no other.
func formats() []format {
	all := []format{
		{webrtc.MimeTypeOpus, msection.OpusParameters, 111, 0}, {webrtc.MimeTypePCMU, "", 0, 0}, {webrtc.MimeTypePCMA, "", 8, 0},
		{webrtc.MimeTypeVP8, "", 96, 97},
	}
	for _, h := range []struct {
		mode    int
		profile string
		payload webrtc.PayloadType
		rtx     webrtc.PayloadType
	}{
		{1, "42001f", 102, 103}, {0, "42001f", 104, 105}, {1, "42e01f", 106, 107}, {0, "42e01f", 108, 109},
		{1, "4d001f", 127, 125}, {0, "4d001f", 39, 40}, {1, "64001f", 112, 113},
	} {
		all = append(all, format{webrtc.MimeTypeH264,
			fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", h.mode, h.profile), h.payload, h.rtx})
	}
	return append(all, format{webrtc.MimeTypeAV1, "", 45, 46}, format{webrtc.MimeTypeVP9, "profile-id=0", 98, 99})
}

// engine returns a media engine with the codecs of the call.
func (c *Config) engine() (*webrtc.MediaEngine, error) {
	e := &webrtc.MediaEngine{}
	for _, f := range formats() {
		if !slices.ContainsFunc(c.Media.Codecs, func(mime string) bool { return strings.EqualFold(mime, f.mime) }) {
			continue
		}
		if err := f.register(e); err != nil {
			return nil, fmt.Errorf("failed to register %s: %w", f.mime, err)
		}
	}
	return e, nil
}

// register adds the codec to a media engine.
func (f format) register(e *webrtc.MediaEngine) error {
	codec := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: f.mime, ClockRate: 8000, SDPFmtpLine: f.parameters}, PayloadType: f.payload,
	}
	if f.mime == webrtc.MimeTypeOpus {
		codec.ClockRate, codec.Channels = 48000, 2 // always (RFC 7587 section 4.1)
	}
	if !strings.HasPrefix(f.mime, "video/") {
		return e.RegisterCodec(codec, webrtc.RTPCodecTypeAudio)
	}
	codec.ClockRate = 90000
	codec.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	if err := e.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
		return err
	}
	return e.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", f.payload)},
		PayloadType:        f.rtx,
	}, webrtc.RTPCodecTypeVideo)
}

// newICECredentials returns credentials for an ICE session, with more than the 24 and 128 bits of
// randomness of RFC 8445 section 5.3.
func newICECredentials() (ufrag, pwd string) {
	text := rand.Text() + rand.Text()
	return text[:16], text[16:48]
}

// settingsOf returns the settings that an API uses.
//
// Pion restarts ICE in CreateOffer, which closes the path in use, and chooses the new credentials
// itself, so an offer that restarts ICE could not be sent before the path is closed. With the
// credentials that SettingEngine.SetICECredentials sets before the restart it can: the offer is
// written with credentials of ours, and Pion restarts with the same ones once the answer has come.
// Pion copies the settings when the API is made and has no way to change them later, hence the
// reflection. TestPionTakesICECredentials fails if Pion changes.
func settingsOf(api *webrtc.API) (*webrtc.SettingEngine, error) {
	field := reflect.ValueOf(api).Elem().FieldByName("settingEngine")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*webrtc.SettingEngine]() || field.IsNil() {
		return nil, fmt.Errorf("unknown version of Pion: webrtc.API has no settingEngine")
	}
	return (*webrtc.SettingEngine)(unsafe.Pointer(field.Pointer())), nil
}

// lookNow has Pion's ICE agent look for a pair that it can nominate, and otherwise check all pairs
// again. Pion hides the agent, hence the reflection. TestLitePeer fails if Pion changes.
func lookNow(transport *webrtc.ICETransport) error {
	gatherer := reflect.ValueOf(transport).Elem().FieldByName("gatherer")
	if gatherer.Kind() != reflect.Pointer || gatherer.IsNil() {
		return errors.New("unknown version of Pion: webrtc.ICETransport has no gatherer")
	}
	agent := gatherer.Elem().FieldByName("agent")
	if !agent.IsValid() || agent.Type() != reflect.TypeFor[*ice.Agent]() || agent.IsNil() {
		return errors.New("unknown version of Pion: webrtc.ICEGatherer has no agent")
	}
	// Looks as a side effect: whether the peer is lite matters only if we are.
	return (*ice.Agent)(unsafe.Pointer(agent.Pointer())).SetRemoteICELite(false)
}

// pionLog logs Pion's lines by slog, at debug level: what Pion logs as an error is seldom one for
// the user. It keeps the last warning, because some failures (a rejected DTLS handshake) are
// reported nowhere else.
type pionLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards the following
	last string

	known chan struct{} // closed when last is the reason why there is no DTLS

	reading sync.Mutex // held during GetStats; guards the following
	closes  bool       // Pion is about to close the connection by itself
}

// newPionLog returns a pionLog of one connection.
func newPionLog(log *slog.Logger) *pionLog { return &pionLog{log: log, known: make(chan struct{})} }

// closesItself is the line that Pion logs before it closes a connection on a goroutine of its own,
// on the peer's close_notify. Close writes a field that GetStats reads without a lock, so noReports
// waits for a report in progress and prevents further ones.
const closesItself = "Closing PeerConnection from DTLS CloseNotify"

// noReports waits for a report in progress and prevents further ones.
func (p *pionLog) noReports() {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.closes = true
}

// NewLogger implements logging.LoggerFactory.
func (p *pionLog) NewLogger(scope string) logging.LeveledLogger {
	return &scopeLog{p, scope}
}

// reasonDelay bounds the time between the state "failed" and the line that says why.
const reasonDelay = 100 * time.Millisecond

// lastWarning returns the last warning of the connection, "" for none. If DTLS has failed, that is
// the reason, for which it waits.
func (p *pionLog) lastWarning(dtls bool) string {
	if dtls {
		select {
		case <-p.known:
		case <-time.After(reasonDelay):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

type scopeLog struct {
	*pionLog
	scope string
}

func (s *scopeLog) line(level slog.Level, text string) {
	s.log.Log(context.Background(), level, text, "scope", s.scope)
}

func (s *scopeLog) warn(text string) {
	if s.scope == "pc" || s.scope == "dtls" {
		s.mu.Lock()
		select {
		case <-s.known:
		default:
			var reason bool
			if s.last, reason = strings.CutPrefix(text, noTransports); reason {
				close(s.known)
			}
		}
		s.mu.Unlock()
	}
	s.line(slog.LevelDebug, text)
}

// noTransports begins the warning with the reason why there is no DTLS. Warnings after it are about
// its consequences.
const noTransports = "Failed to start manager: "

// levelTrace is below slog's debug: a line for every packet.
const levelTrace = slog.LevelDebug - 4

func (s *scopeLog) Trace(m string) { s.line(levelTrace, m) }

func (s *scopeLog) Debug(m string) { s.line(levelTrace, m) }

func (s *scopeLog) Warn(m string) { s.warn(m) }

func (s *scopeLog) Error(m string) { s.warn(m) }

func (s *scopeLog) Info(m string) {
	if m == closesItself {
		s.noReports()
	}
	s.line(slog.LevelDebug, m)
}

func (s *scopeLog) Tracef(f string, a ...any) {
	if s.log.Enabled(context.Background(), levelTrace) {
		s.line(levelTrace, fmt.Sprintf(f, a...))
	}
}

func (s *scopeLog) Debugf(f string, a ...any) { s.Tracef(f, a...) }

func (s *scopeLog) Infof(f string, a ...any) { s.Info(fmt.Sprintf(f, a...)) }

func (s *scopeLog) Warnf(f string, a ...any) { s.warn(fmt.Sprintf(f, a...)) }

func (s *scopeLog) Errorf(f string, a ...any) { s.warn(fmt.Sprintf(f, a...)) }
