package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/sctp"
	"github.com/pion/transport/v4"
)

// wideMTU is the size of the packets of a wide association, in bytes: Pion reads
// 8192 at a time, of which DTLS takes 13 for the record, and 8 and 16 for
// AES-GCM; and chunks are padded to 4.
const wideMTU = (8192 - 13 - 8 - 16) &^ 3

// wide is an SCTP association over DTLS and a UDP socket of its own, which
// carries one channel.
type wide struct {
	conn        *connection
	remote      netip.AddrPort // the other end of the candidate pair
	socket      transport.UDPConn
	certificate tls.Certificate
	fingerprint [sha256.Size]byte

	mu          sync.Mutex // protects following
	secure      *dtls.Conn
	association *sctp.Association
	channel     *datachannel.DataChannel
}

// newWide opens the socket.
func newWide(c *connection, remote netip.AddrPort) (*wide, error) {
	w := &wide{conn: c, remote: remote}
	var err error
	if w.certificate, err = selfsign.GenerateSelfSigned(); err != nil {
		return nil, fmt.Errorf("failed to make a certificate: %w", err)
	}
	w.fingerprint = sha256.Sum256(w.certificate.Certificate[0])
	w.socket, err = c.net.ListenUDP("udp4", onLoopback(0))
	return w, err
}

// onLoopback is a port that this machine alone reaches.
func onLoopback(port uint16) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
}

func (w *wide) port() uint16 { return uint16(w.socket.LocalAddr().(*net.UDPAddr).Port) }

// connect makes the association with who has said m. It is given up
// when ctx ends.
func (w *wide) connect(ctx context.Context, m wideMessage, client bool) error {
	stop := context.AfterFunc(ctx, w.close) // which ends whatever waits
	err := w.dial(ctx, m, client)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

func (w *wide) dial(ctx context.Context, m wideMessage, client bool) error {
	secure, err := w.secured(onLoopback(m.Port), m.SHA256, client)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.secure = secure
	w.mu.Unlock()
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("DTLS failed: %w", err)
	}
	association, err := sctp.ClientWithOptions(
		sctp.WithNetConn(secure), sctp.WithLoggerFactory(w.conn.logs), sctp.WithMTU(wideMTU), sctp.WithEnableZeroChecksum(true),
		sctp.WithMaxMessageSize(maxMessageSize), sctp.WithMaxReceiveBufferSize(BulkReceiveBuffer))
	if err != nil {
		return fmt.Errorf("SCTP failed: %w", err)
	}
	channel, err := datachannel.Dial(association, 0, &datachannel.Config{Negotiated: true, LoggerFactory: w.conn.logs})
	if err != nil {
		_ = association.Close()
		return fmt.Errorf("the data channel failed: %w", err)
	}
	if err := greet(channel, client); err != nil {
		_ = association.Close()
		return fmt.Errorf("nothing comes by the data channel: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.association, w.channel = association, channel
	return nil
}

// greet lets the client know that the other end of the channel is open. Were it not, a stream that is sent and closed
// at once would be over before it: Pion drops what has come for a channel that is closed before anybody opened it.
func greet(channel *datachannel.DataChannel, client bool) error {
	greeting := []byte("open")
	if !client {
		_, err := channel.WriteDataChannel(greeting, true)
		return err
	}
	buffer := make([]byte, 2*len(greeting))
	n, text, err := channel.ReadDataChannel(buffer)
	if err == nil && (!text || !bytes.Equal(buffer[:n], greeting)) {
		err = errors.New("its first message is not the greeting")
	}
	return err
}

// secured prepares DTLS with who has the certificate of a fingerprint.
func (w *wide) secured(to net.Addr, fingerprint string, client bool) (*dtls.Conn, error) {
	want, err := hex.DecodeString(fingerprint)
	if err != nil || len(want) != sha256.Size {
		return nil, errors.New("the fingerprint of the other side is none")
	}
	options := []dtls.Option{
		dtls.WithCertificates(w.certificate), dtls.WithLoggerFactory(w.conn.logs),
		dtls.WithInsecureSkipVerify(true), // of a name; the certificate is verified here
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > 0 {
				if got := sha256.Sum256(raw[0]); bytes.Equal(got[:], want) {
					return nil
				}
			}
			return errors.New("the certificate is not the one that was announced")
		}),
	}
	if w.conn.keyLog != nil {
		options = append(options, dtls.WithKeyLogWriter(w.conn.keyLog))
	}
	if client {
		return dtls.ClientWithOptions(w.socket, to, asClient(options)...)
	}
	return dtls.ServerWithOptions(w.socket, to, asServer(options)...)
}

func asClient(options []dtls.Option) (all []dtls.ClientOption) {
	for _, o := range options {
		all = append(all, o)
	}
	return all
}

func asServer(options []dtls.Option) (all []dtls.ServerOption) {
	for _, o := range options {
		all = append(all, o)
	}
	return append(all, dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true))
}

// switched tells if a wide association carries the channel.
func (c *Channel) switched(w *wide) bool {
	return w != nil && w.channel != nil && c.raw.Load() == w.channel
}

// closeUnless closes what is not used; the receiver may be nil.
func (w *wide) closeUnless(used bool) {
	if w != nil && !used {
		w.close()
	}
}

// close gives everything back, and may be called again.
func (w *wide) close() {
	w.mu.Lock()
	association, secure := w.association, w.secure
	w.association, w.secure = nil, nil
	w.mu.Unlock()
	if association != nil {
		_ = association.Close()
	}
	if secure != nil {
		_ = secure.Close()
	}
	_ = w.socket.Close() // errors are of what is closed already
}

// switchTo makes a wide association carry the channel from now on. It is closed
// when the channel has ended and the other side knows, or the call is over.
func (c *Channel) switchTo(w *wide) error {
	c.outgoing.listen(w.channel)
	c.raw.Store(w.channel)
	kept := c.conn.spawn(func() {
		<-c.gone
		select {
		case <-time.After(wideFarewell): // our end of the stream has gone by then
		case <-c.conn.closing:
		}
		w.close()
	})
	if !kept || c.over() { // while the channel was not this one yet
		w.close()
		return ErrCutOff
	}
	return nil
}

// wideFarewell is how long the last words on a wide association may take.
const wideFarewell = 2 * time.Second
