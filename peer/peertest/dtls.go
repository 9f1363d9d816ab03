package peertest

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// A Session is a DTLS association with the offerer.
type Session struct {
	*dtls.Conn
	hostile  *Hostile
	protects *srtp.Context
}

// DTLS is how a Hostile makes its DTLS association.
type DTLS struct {
	Certificates []tls.Certificate
	Profiles     []dtls.SRTPProtectionProfile
	// FlightInterval is the time after which a flight is sent again, each time.
	// Default: Pion's, twice as long each time.
	FlightInterval time.Duration
	// MTU is the longest record of the handshake, in bytes: longer messages come in fragments (RFC
	// 6347 section 4.2.3). Default: Pion's.
	MTU int
}

// Config is what a peer in good standing would use: change it before Handshake.
func (h *Hostile) Config() *DTLS {
	return &DTLS{
		Certificates: []tls.Certificate{h.Certificate},
		Profiles:     []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80},
	}
}

func (d *DTLS) options() []dtls.Option {
	o := []dtls.Option{
		dtls.WithSRTPProtectionProfiles(d.Profiles...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true),
	}
	if len(d.Certificates) > 0 {
		o = append(o, dtls.WithCertificates(d.Certificates...))
	}
	if d.MTU > 0 {
		o = append(o, dtls.WithMTU(d.MTU))
	}
	if d.FlightInterval > 0 {
		o = append(o, dtls.WithFlightInterval(d.FlightInterval), dtls.WithDisableRetransmitBackoff(true))
	}
	return o
}

// Handshake makes the DTLS association, in the role that the answer took.
func (h *Hostile) Handshake(ctx context.Context, d *DTLS) (*Session, error) {
	conn, err := h.associate(d)
	if err != nil {
		return nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &Session{Conn: conn, hostile: h}, nil
}

func (h *Hostile) associate(d *DTLS) (*dtls.Conn, error) {
	if h.Setup == "passive" {
		o := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, shared := range d.options() {
			o = append(o, shared)
		}
		return dtls.ServerWithOptions(h.dtls, h.conn.RemoteAddr(), o...)
	}
	var o []dtls.ClientOption
	for _, shared := range d.options() {
		o = append(o, shared)
	}
	return dtls.ClientWithOptions(h.dtls, h.conn.RemoteAddr(), o...)
}

// Outgoing changes the DTLS records that go out, see layer.
func (h *Hostile) Outgoing(f func(record []byte) [][]byte) { h.dtls.outgoing(f) }

// SRTP makes the keys for RTP and RTCP.
func (s *Session) SRTP() error {
	state, _ := s.ConnectionState()
	keys := &srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	if err := keys.ExtractSessionKeysFromDTLS(&state, s.hostile.Setup == "active"); err != nil {
		return err
	}
	var err error
	s.protects, err = srtp.CreateContext(keys.Keys.LocalMasterKey, keys.Keys.LocalMasterSalt, keys.Profile)
	return err
}

// RTP is a packet as it goes over the network.
func (s *Session) RTP(p *rtp.Packet) ([]byte, error) {
	plain, err := p.Marshal()
	if err != nil {
		return nil, err
	}
	return s.RawRTP(plain)
}

// RawRTP protects what need not be RTP.
func (s *Session) RawRTP(plain []byte) ([]byte, error) {
	return s.protects.EncryptRTP(nil, plain, nil)
}

// RTCP is a compound packet as it goes over the network.
func (s *Session) RTCP(packets ...rtcp.Packet) ([]byte, error) {
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return nil, err
	}
	return s.RawRTCP(plain)
}

// RawRTCP protects what need not be RTCP.
func (s *Session) RawRTCP(plain []byte) ([]byte, error) {
	return s.protects.EncryptRTCP(nil, plain, nil)
}
