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

// A Signaler carries the messages of one call to its other end, in the order of
// the calls. It may wait until the message is queued, no longer than ctx.
type Signaler interface {
	Offer(ctx context.Context, d SessionDescription) error
	Answer(ctx context.Context, d SessionDescription) error
	// Candidate sends a candidate. One with an empty line is end-of-candidates (RFC 8838 section
	// 13); it is sent to peers that are known to understand it.
	Candidate(ctx context.Context, c webrtc.ICECandidateInit) error
	Leave(ctx context.Context) error
}

// Config says how a call is made. Signaler is needed; the rest may be zero.
type Config struct {
	// Signaler takes what has to go to the other side.
	Signaler Signaler
	// OnEvent is told what happens, from the goroutine of Run and in order. It
	// must not wait. Nil drops the events.
	OnEvent func(Event)

	// Caller makes the offer. Default: wait for one.
	Caller bool
	// Impolite ignores an offer of another terminal parley that crosses ours. Exactly one side must be
	// impolite: the one whose name sorts lower. Towards a browser parley a terminal is always polite,
	// and towards other peers always impolite.
	Impolite bool

	// Tracks are sent. All should have one stream id: the original page shows
	// a picture only when sound and picture come as one stream. Who answers
	// sends those for which the offer has room.
	Tracks []webrtc.TrackLocal
	// Receive are the kinds that an offer asks for beyond those of Tracks.
	Receive []webrtc.RTPCodecType
	// Codecs are the MIME types, of Codecs, that our descriptions name: what can be sent or received. Default: all.
	Codecs []string
	// VideoCodecs puts these MIME types first, in this order. Default: Pion's
	// order, VP8 first.
	VideoCodecs []string

	// Channels are the data channels that a caller opens, and of which who
	// answers opens the negotiated ones. Text goes by the first that is not
	// taken. Default: none, the call has no channel unless the other side opens
	// one.
	Channels []datachannel.Options

	// ReceiveBuffer is how much may come that nobody has read yet, on all channels
	// together, in bytes: it bounds what SCTP carries in one round trip. Pion
	// counts payload alone, and keeps a few hundred bytes beside each message: a
	// peer that sends single bytes makes it cost that many times as much. Default
	// 1 MiB; BulkReceiveBuffer is for files and the like.
	ReceiveBuffer uint32

	// ICEServers for server-reflexive and relayed candidates. Default: none.
	ICEServers []webrtc.ICEServer
	// FreshICEServers is asked for the servers to use when a call looks for a path anew, because the credentials of ICEServers may have
	// expired by then. It must not wait. Default: ICEServers, for the whole call.
	FreshICEServers func() []webrtc.ICEServer
	// TLS is for TURN servers that are reached over TLS (turns:). Default: the system's authorities.
	TLS *tls.Config
	// RelayOnly uses relayed candidates alone (RFC 8828 mode 4).
	RelayOnly bool
	// Loopback offers addresses of this machine's loopback interface too, for
	// peers on the same machine.
	Loopback bool
	// MinPort and MaxPort bound the UDP ports. Default 0: any.
	MinPort, MaxPort uint16
	// Mux carries all calls that are given it over one UDP port; it stays open
	// when a call ends. It excludes MinPort and MaxPort. Default: each call has
	// ports of its own.
	Mux ice.UDPMux
	// TCP is where others may connect to by TCP, for all calls that are given it;
	// it stays open when a call ends. Default: nowhere, but we connect to who
	// offers it.
	TCP ice.TCPMux
	// KeyLog gets the keys of the DTLS connection in the format of NSS, with
	// which whoever reads them decrypts the call. Default: nobody does.
	KeyLog io.Writer
	// Tap sees the packets of this call's own sockets. Default: nobody does. It
	// sees neither those of Mux and TCP, which take one of their own, nor those
	// of another Net.
	Tap Tap
	// Netem emulates a network on this call's own sockets, not on those of Mux,
	// which has an emulator of its own, nor on those of Net. It stays open when
	// the call ends. Tap sees the packets as they are on the wire. Default: none.
	Netem *netem.Emulator
	// OnRTP gets every RTP packet that comes, decrypted, with its header; it
	// must not wait and not keep it. Default: nobody does.
	OnRTP func(packet []byte)
	// Interfaces selects the network interfaces that the call uses. Mux takes a filter of its own.
	// Default: all.
	Interfaces InterfaceFilter
	// AdvertiseIPs replace the addresses of host candidates, for a machine
	// behind a one-to-one NAT.
	AdvertiseIPs []string
	// Net is the network. Default: the host's.
	Net transport.Net

	// DisconnectedTimeout is the silence after which a connection counts as
	// disconnected, and FailedTimeout the silence after that which makes it
	// failed. Default 5 s and 35 s, which is also how long the first candidates may take to
	// come (RFC 8863 section 4 wants 39.5 s). Whatever they are, nothing is sent any more on a path that
	// has been silent for 30 s (RFC 7675).
	DisconnectedTimeout, FailedTimeout time.Duration
	// RestartAfter is how long a connection may be disconnected before ICE is restarted, if the peer is
	// a parley. With other peers it is restarted when the connection has failed. Default 3 s.
	RestartAfter time.Duration
	// RestartTimeout is how long a connection that failed may take to come back
	// by an ICE restart. Default 30 s.
	RestartTimeout time.Duration

	// FlushTimeout bounds the wait for sent text to be acknowledged before the
	// call is hung up, while nothing of it is; five times that bounds the whole.
	// Default 2 s.
	FlushTimeout time.Duration

	// Logger gets what happens inside, Pion's lines among it. Nil discards.
	Logger *slog.Logger

	// Certificate is the key of this side, which makes the verification code of
	// calls between two such sides the same each time. Default: a new one for
	// each call, so that nobody can tell that two calls were ours.
	Certificate *webrtc.Certificate
	// Code is the verification code that the other side must have: with another
	// one the call ends before it connects. Groups may be divided as you like.
	// Default: any.
	Code string
	// RequireVerification keeps media and text from leaving until Confirm. Default: they go as
	// soon as the call is connected.
	RequireVerification bool

	certificate   webrtc.Certificate // one for all connections of the call
	der           []byte             // the same, as the other side sees it
	fingerprint   string             // of it, as a line of a description
	held          *atomic.Bool       // nothing is sent
	free          chan struct{}      // closed when held no longer
	extensions    map[int]string     // header extensions that have their numbers already
	answerTimeout time.Duration      // for the answer to an offer, in a call that is up
}

func (c Config) withDefaults() (Config, error) {
	if c.Signaler == nil {
		return c, errors.New("a call needs a Signaler")
	}
	if err := c.Interfaces.Check(); err != nil {
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
	if c.Codecs == nil {
		c.Codecs = Codecs()
	}
	orDefault(&c.FlushTimeout, 2*time.Second)
	orDefault(&c.DisconnectedTimeout, 5*time.Second)
	orDefault(&c.FailedTimeout, 35*time.Second)
	orDefault(&c.RestartAfter, 3*time.Second)
	orDefault(&c.RestartTimeout, 30*time.Second)
	orDefault(&c.answerTimeout, 6*time.Second)
	c.held = &atomic.Bool{}
	c.held.Store(c.RequireVerification)
	c.free = make(chan struct{})
	if !c.RequireVerification {
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
	if c.Certificate != nil {
		c.certificate = *c.Certificate
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
	conf := webrtc.Configuration{ICEServers: c.ICEServers, BundlePolicy: webrtc.BundlePolicyMaxBundle,
		Certificates: []webrtc.Certificate{c.certificate}}
	if c.RelayOnly {
		conf.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return conf
}
