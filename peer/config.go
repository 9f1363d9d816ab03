package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/netem"
)

// A Signaler sends the messages of one call to the peer, in the order of its calls. A method may
// wait until the message is queued, no longer than ctx.
type Signaler interface {
	Offer(ctx context.Context, d SessionDescription) error
	Answer(ctx context.Context, d SessionDescription) error
	// Candidate sends a candidate. One with an empty line is end-of-candidates (RFC 8838 section
	// 13); it is sent to peers that are known to understand it.
	Candidate(ctx context.Context, c webrtc.ICECandidateInit) error
	Leave(ctx context.Context) error
}

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
	// Impolite ignores an offer of a peer that is a parley terminal when it crosses ours. Exactly one
	// of the two must be impolite: the one whose name sorts first. With a parley page a terminal is
	// always polite, and with other peers always impolite.
	Impolite bool

	Media MediaConfig

	// Channels are the data channels to open. The answerer opens only the negotiated ones. Text is
	// sent on the first that is not detached. Default: none, so that the call has no channel unless
	// the peer opens one.
	Channels []datachannel.Options
	// ReceiveBuffer bounds the received data that is not read yet, of all channels together, in
	// bytes, and so what SCTP carries in a round trip. Pion counts only payload and keeps a few
	// hundred bytes beside each message, so a peer that sends messages of one byte makes it cost that
	// many times as much. Default 1 MiB; BulkReceiveBuffer is for files.
	ReceiveBuffer uint32

	ICE      ICEConfig
	Timeouts Timeouts

	// Net is the network. Default: the host's.
	Net transport.Net
	// Netem emulates a network on the sockets of this call, not on those of ICE.UDPMux, which has an
	// emulator of its own, nor on those of Net. The owner closes it after the call. Tap sees the
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

	certificate webrtc.Certificate // one for all connections of the call
	der         []byte             // the same, as the other side sees it
	fingerprint string             // of it, as a line of a description
	held        *atomic.Bool       // nothing is sent
	free        chan struct{}      // closed when held no longer
	extensions  map[int]string     // header extensions that have their numbers already
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
}

// ICEConfig configures the candidates of a call.
type ICEConfig struct {
	// Servers are used for server-reflexive and relayed candidates. Default: none.
	Servers []webrtc.ICEServer
	// FreshServers returns the servers to use for an ICE restart, because the credentials of Servers
	// may have expired. It must not wait. Default: Servers, for the whole call.
	FreshServers func() []webrtc.ICEServer
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
	// RestartAfter is how long a connection may be disconnected before ICE is restarted, if the peer
	// is a parley. With other peers it is restarted when the connection has failed. Default 3 s.
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
	// Certificate is a permanent certificate, with which the code of calls between the same two peers
	// stays the same. Default: a new one for each call, so that calls cannot be linked.
	Certificate *webrtc.Certificate
	// Code is the expected verification code: with another one the call ends before it connects.
	// Digits may be grouped in any way. Default: any.
	Code string
	// Required holds back media and text until Confirm. Default: they are sent as soon as the call is
	// connected.
	Required bool
}

func (c Config) withDefaults() (Config, error) {
	if c.Signaler == nil {
		return c, errors.New("a call needs a Signaler")
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
	c.held = &atomic.Bool{}
	c.held.Store(c.Verification.Required)
	c.free = make(chan struct{})
	if !c.Verification.Required {
		close(c.free)
	}
	return c, c.identify()
}

func orDefault(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

// identify sets the certificate of the call.
func (c *Config) identify() error {
	if c.Verification.Certificate != nil {
		c.certificate = *c.Verification.Certificate
	} else if err := c.generateCertificate(); err != nil {
		return err
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

// generateCertificate makes the key of a call: ECDSA, which takes no time, and
// new for each call, so that nobody can tell that two were ours.
func (c *Config) generateCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("failed to make a key: %w", err)
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return fmt.Errorf("failed to make a certificate: %w", err)
	}
	c.certificate = *certificate
	return nil
}

func (c *Config) configuration() webrtc.Configuration {
	conf := webrtc.Configuration{ICEServers: c.ICE.Servers, BundlePolicy: webrtc.BundlePolicyMaxBundle,
		Certificates: []webrtc.Certificate{c.certificate}}
	if c.ICE.RelayOnly {
		conf.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return conf
}
