package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/icenet"
	"parley/peer/netem"
)

// Config configures a call. Signaler is required; the zero value of every other field is its
// default.
type Config struct {
	// Signaler sends messages to the peer.
	Signaler Signaler
	// OnEvent handles events, in order, on the goroutine of Run. It must not wait. Nil drops them.
	OnEvent func(Event)
	// Logger logs internals of the call and of Pion. Nil discards them.
	Logger *slog.Logger

	// Caller makes the first offer. Default: wait for one.
	Caller bool
	// Impolite ignores an offer of a peer that is a parley terminal when it crosses ours. Exactly
	// one of the two must be impolite: the one whose name sorts first. With a parley page a
	// terminal is always polite, and with other peers always impolite.
	Impolite bool
	// NoRenegotiation is for a peer that accepts no offer after the first but to restart ICE, and
	// reads end-of-candidates, as a WHIP server (RFC 9725 section 4.2). Changes that need an offer
	// fail.
	NoRenegotiation bool

	Media MediaConfig

	// Channels are the data channels to open. The answerer opens only the negotiated ones. Text is
	// sent on the first that is not detached. Default: none, so that the call has no channel unless
	// the peer opens one.
	Channels []datachannel.Options
	// ReceiveBuffer bounds the received data that is not read yet, of all channels together, in
	// bytes, and so what SCTP carries in a round trip. Pion counts only payload and keeps a few
	// hundred bytes beside each message, so a peer that sends messages of one byte makes it cost
	// that many times as much. Default 1 MiB; BulkReceiveBuffer is for files.
	ReceiveBuffer uint32

	ICE      ICEConfig
	Timeouts Timeouts

	// Net is the network. Default: the host's.
	Net transport.Net
	// Netem emulates a network on the sockets of this call, not on those of ICE.UDPMux, which has
	// an emulator of its own, nor on those of Net. The owner closes it after the call. Tap sees the
	// packets as they are on the wire. Default: none.
	Netem *netem.Emulator
	// Tap sees the packets of the sockets of this call. It does not see those of ICE.UDPMux and
	// ICE.TCPMux, which have a tap of their own, nor those of Net. Default: none.
	Tap Tap
	// KeyLog receives the keys of the DTLS connection in NSS format, with which the call can be
	// decrypted. Default: none.
	KeyLog io.Writer
	// OnRTP handles each received RTP packet, decrypted, with its header. It must not wait and must
	// not keep the packet. Default: none.
	OnRTP func(packet []byte)

	Verification VerificationConfig
}

// MediaConfig selects the tracks and codecs of a call.
type MediaConfig struct {
	// Tracks are sent. All should have the same stream ID: the original page shows video only if
	// audio is in the same stream. The answerer sends those for which the offer has an m-section.
	Tracks []webrtc.TrackLocal
	// Receive lists the kinds that an offer asks for in addition to those of Tracks.
	Receive []webrtc.RTPCodecType
	// Codecs lists the MIME types, of Codecs, that descriptions name: what can be sent or received.
	// Default: all.
	Codecs []string
	// VideoCodecs lists the MIME types to put first, in order of preference. Default: the order of
	// Pion, VP8 first.
	VideoCodecs []string
	// SendOnly offers Tracks in sendonly m-sections. Default: sendrecv.
	SendOnly bool
}

// ICEConfig configures the candidates of a call.
type ICEConfig struct {
	// Servers are used for server-reflexive and relayed candidates. Default: none.
	Servers []webrtc.ICEServer
	// FreshServers returns the servers to use for an ICE restart, because the credentials of
	// Servers may have expired. It must not wait. Default: Servers, for the whole call.
	FreshServers func() []webrtc.ICEServer
	// GatherAfterAnswer gathers candidates for the first offer when its answer has come, from
	// FreshServers. Default: as soon as the offer is created.
	GatherAfterAnswer bool
	// TLS configures TURN over TLS (turns:). Default: the certificate authorities of the system.
	TLS *tls.Config
	// RelayOnly uses only relayed candidates (RFC 8828 mode 4).
	RelayOnly bool
	// Loopback includes the addresses of the loopback interface, for peers on the same host.
	Loopback bool
	// Interfaces selects the network interfaces of the call. UDPMux has a filter of its own.
	// Default: all.
	Interfaces InterfaceFilter
	// AdvertiseIPs replace the addresses of host candidates, for a host behind one-to-one NAT.
	AdvertiseIPs []string
	// MinPort and MaxPort bound the UDP ports. Default 0: any.
	MinPort, MaxPort uint16
	// UDPMux carries all calls that share it over one UDP port. The owner closes it after the last
	// call. It excludes MinPort and MaxPort. Default: each call has ports of its own.
	UDPMux ice.UDPMux
	// TCPMux accepts ICE-TCP connections for all calls that share it. The owner closes it after the
	// last call. Default: none; the call still connects to passive TCP candidates of the peer.
	TCPMux ice.TCPMux
}

// Timeouts are the durations of a call. The zero value of a field is its default.
type Timeouts struct {
	// Disconnected is the silence after which a connection is disconnected, and Failed the silence
	// after that which makes it failed. Default 5 s and 35 s, which is also how long the first
	// candidates may take to come (RFC 8863 section 4 wants 39.5 s). Whatever they are, nothing is
	// sent any more on a path that has been silent for 30 s (RFC 7675).
	Disconnected, Failed time.Duration
	// RestartAfter is how long a connection may be disconnected before ICE is restarted, if the
	// peer is a parley, or with NoRenegotiation. With other peers it is restarted when the
	// connection has failed. Default 3 s.
	RestartAfter time.Duration
	// Restart is how long a connection that failed may take to connect again by an ICE restart.
	// Default 30 s.
	Restart time.Duration
	// Answer is how long a peer may take to answer an offer in a call that is connected, before the
	// changes in the offer fail and it is sent again. Default 6 s.
	Answer time.Duration
	// Flush bounds the wait for the acknowledgement of sent text before the call is hung up, while
	// none of it is acknowledged. Five times that bounds the whole wait. Default 2 s.
	Flush time.Duration
}

// VerificationConfig configures the verification of the peer by a code that is computed from the
// certificates of both peers.
type VerificationConfig struct {
	// Certificate is a permanent certificate, with which the code of calls between the same two
	// peers stays the same. Default: a new one for each call, so that calls cannot be linked.
	Certificate *webrtc.Certificate
	// Code is the expected verification code: with another one the call ends before it connects.
	// Digits may be grouped in any way. Default: any.
	Code string
	// Required holds back media and text until Confirm. Default: they are sent as soon as the call
	// is connected.
	Required bool
}

// A callConfig is the validated Config of a call with what New derives from it.
type callConfig struct {
	Config
	certificate webrtc.Certificate // of all connections of the call
	der         []byte             // the same, as DER
	fingerprint string             // of certificate, as the value of a line a=fingerprint
	gate        *gate              // see VerificationConfig.Required
}

// newCallConfig returns the config of a call. The error says what is invalid.
func newCallConfig(cfg Config) (*callConfig, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &callConfig{Config: cfg, gate: newGate(cfg.Verification.Required)}
	return c, c.setCertificate()
}

// withDefaults returns the config with its defaults. The error says what is invalid.
func (c Config) withDefaults() (Config, error) {
	if c.Signaler == nil {
		return c, errors.New("invalid config: Signaler is missing")
	}
	if err := c.ICE.Interfaces.Check(); err != nil {
		return c, err
	}
	for i := range c.Channels {
		if err := c.Channels[i].Check(); err != nil {
			return c, err
		}
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Media.Codecs == nil {
		c.Media.Codecs = Codecs()
	}
	orDefault(&c.Timeouts.Flush, 2*time.Second)
	orDefault(&c.Timeouts.Disconnected, 5*time.Second)
	orDefault(&c.Timeouts.Failed, 35*time.Second)
	orDefault(&c.Timeouts.RestartAfter, 3*time.Second)
	orDefault(&c.Timeouts.Restart, 30*time.Second)
	orDefault(&c.Timeouts.Answer, 6*time.Second)
	return c, nil
}

// orDefault sets a duration that is zero.
func orDefault(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

// setCertificate sets the certificate of the call.
func (c *callConfig) setCertificate() error {
	if c.Verification.Certificate != nil {
		c.certificate = *c.Verification.Certificate
	} else {
		certificate, err := generateCertificate()
		if err != nil {
			return err
		}
		c.certificate = *certificate
	}
	prints, err := c.certificate.GetFingerprints()
	if err != nil || len(prints) == 0 {
		return fmt.Errorf("failed to compute the fingerprint of our certificate: %w", err)
	}
	text, err := c.certificate.PEM()
	if err != nil {
		return fmt.Errorf("failed to write the certificate: %w", err)
	}
	if block, _ := pem.Decode([]byte(text)); block != nil {
		c.der = block.Bytes
	}
	c.fingerprint = prints[0].Algorithm + " " + prints[0].Value
	return nil
}

// generateCertificate returns a new ECDSA certificate.
func generateCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("failed to generate a key: %w", err)
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("failed to generate a certificate: %w", err)
	}
	return certificate, nil
}

// configuration returns the configuration of a PeerConnection.
func (c *callConfig) configuration() webrtc.Configuration {
	conf := webrtc.Configuration{ICEServers: c.ICE.Servers, BundlePolicy: webrtc.BundlePolicyMaxBundle,
		Certificates: []webrtc.Certificate{c.certificate}}
	if c.ICE.RelayOnly {
		conf.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return conf
}

// A Tap sees the packets of the sockets of a call, as they are on the wire. Its methods
// are called from many goroutines, must not wait and must not keep data. It does not see ICE-TCP
// connections that Pion dials, nor TLS to a TURN server.
type Tap interface {
	// Datagram handles a UDP datagram. local has no IP if the socket is bound to all addresses.
	Datagram(out bool, local, remote netip.AddrPort, data []byte)
	// Segment handles a piece of a TCP stream.
	Segment(out bool, local, remote netip.AddrPort, data []byte)
}

// ListenMux opens a UDP port for many calls, see ICEConfig.UDPMux. The caller closes it after the
// last of them. tap, if not nil, sees its packets, emulator, if not nil, is between it and the
// calls, and interfaces selects the interfaces that it listens on.
func ListenMux(port uint16, loopback bool, interfaces InterfaceFilter, tap Tap, emulator *netem.Emulator) (ice.UDPMux, error) {
	return icenet.ListenUDPMux(port, loopback, icenet.Config{Tap: tap, Netem: emulator, Interfaces: icenet.InterfaceFilter(interfaces)})
}

// InterfaceFilter selects network interfaces by glob patterns of their names, see path.Match. An
// interface is used if a pattern of Include matches, or Include is empty, and none of Exclude.
type InterfaceFilter struct{ Include, Exclude []string }

// Check returns an error for the first invalid pattern.
func (f InterfaceFilter) Check() error {
	for _, pattern := range slices.Concat(f.Include, f.Exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("invalid pattern %q: want the name of an interface, such as eth0 or docker*", pattern)
		}
	}
	return nil
}

// ListenTCP opens a TCP port to which peers connect where UDP is blocked (ICE-TCP, RFC 6544), see
// ICEConfig.TCPMux. The caller closes it after the last call. tap, if not nil, sees its packets.
func ListenTCP(port uint16, logger *slog.Logger, tap Tap) (ice.TCPMux, error) {
	return icenet.ListenTCPMux(port, newPionLog(logger).NewLogger("ice"), tap)
}

// hostNet returns the host's network for one connection, nil with Config.Net.
func (c *Config) hostNet() (*icenet.Net, error) {
	if c.Net != nil {
		return nil, nil
	}
	return icenet.New(icenet.Config{Servers: c.servers, TLS: c.ICE.TLS, Tap: c.Tap, Netem: c.Netem, Interfaces: icenet.InterfaceFilter(c.ICE.Interfaces)})
}

// servers returns the ICE servers of the beginning of the call and those of now.
func (c *Config) servers() []webrtc.ICEServer {
	servers := c.ICE.Servers
	if c.ICE.FreshServers != nil {
		servers = append(servers[:len(servers):len(servers)], c.ICE.FreshServers()...)
	}
	return servers
}
