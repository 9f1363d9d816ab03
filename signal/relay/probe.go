package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// A Target is a STUN or TURN server to try, ours or another.
type Target struct {
	// URL is stun:, stuns:, turn: or turns: as in RFC 7064 and RFC 7065.
	URL string
	// Username and Password are for turn: and turns:.
	Username, Password string
}

// ProbeOptions are the options of Probe. The zero value works.
type ProbeOptions struct {
	// Timeout is how long a server may take. Default: 5 s.
	Timeout time.Duration
	// Answer is how long a single packet may take to show up on the other way round. Default: 700 ms; each is sent three times.
	Answer time.Duration
	// TLS is for stuns: and turns:. Default: the system's authorities.
	TLS *tls.Config
}

// A Finding is what was found out about one target.
type Finding struct {
	URL      string
	Protocol string         // udp, tcp or tls
	Turn     bool           // a relay was asked for
	Local    netip.AddrPort // of our socket
	Mapped   netip.AddrPort // our address as the server sees it; invalid if it did not tell
	Relayed  netip.AddrPort // the relay; invalid without one
	RTT      time.Duration
	NAT      *NAT  // what could be learnt about the NAT in between; nil if nothing
	Err      error // why it did not work, as a sentence
}

func (o *ProbeOptions) withDefaults() ProbeOptions {
	var d ProbeOptions
	if o != nil {
		d = *o
	}
	if d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	if d.Answer <= 0 {
		d.Answer = 700 * time.Millisecond
	}
	return d
}

// Probe tries one target: its address as others see it, a relay if it has them, and with a relay over UDP the NAT in between. It sends a
// few dozen packets, and gives the relay back. The relay is one of IPv4, or of IPv6 where the server has only those.
func Probe(ctx context.Context, t Target, options *ProbeOptions) Finding {
	f := probe(ctx, t, options.withDefaults(), turn.RequestedAddressFamilyIPv4)
	var refused *stun.TurnError
	if errors.As(f.Err, &refused) && refused.ErrorCodeAttr.Code == stun.CodeAddrFamilyNotSupported {
		f = probe(ctx, t, options.withDefaults(), turn.RequestedAddressFamilyIPv6)
	}
	return f
}

func probe(ctx context.Context, t Target, o ProbeOptions, family turn.RequestedAddressFamily) Finding {
	f := Finding{URL: t.URL}
	u, err := stun.ParseURI(t.URL)
	if err != nil {
		f.Err = fmt.Errorf("the address cannot be read: %w", err)
		return f
	}
	f.Turn = u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS
	f.Protocol = "udp"
	switch {
	case u.IsSecure():
		f.Protocol = "tls"
	case u.Proto == stun.ProtoTypeTCP:
		f.Protocol = "tcp"
	}
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	conn, server, err := reach(limited, u, f.Protocol, o.TLS)
	if err != nil {
		f.Err = inWords(err, f.Protocol)
		return f
	}
	f.Local = addrPortOf(conn.LocalAddr())
	heard := &tap{PacketConn: conn, seen: make(chan netip.AddrPort, 16)}
	_, _ = rand.Read(heard.mark[:]) // never fails, see crypto/rand
	defer conn.Close()
	stop := context.AfterFunc(limited, func() { _ = conn.Close() })
	defer stop()
	abort := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer abort()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: heard,
		Username: t.Username, Password: t.Password, RequestedAddressFamily: family, LoggerFactory: libraryLog{slog.New(slog.DiscardHandler)},
	})
	if err == nil {
		err = client.Listen()
	}
	if err != nil {
		f.Err = err
		return f
	}
	defer client.Close()
	f.Err = f.ask(client, server, heard, o.Answer, stop)
	if f.Err != nil {
		if limited.Err() != nil {
			f.Err = os.ErrDeadlineExceeded
		}
		f.Err = inWords(f.Err, f.Protocol)
	}
	return f
}

// ask has the server tell our address, open a relay, and help to look at the NAT.
func (f *Finding) ask(client *turn.Client, server net.Addr, heard *tap, wait time.Duration, inTime func() bool) error {
	begin := time.Now()
	mapped, err := client.SendBindingRequestTo(server)
	if err != nil {
		return err
	}
	f.RTT, f.Mapped = time.Since(begin), addrPortOf(mapped)
	if !f.Turn {
		return nil
	}
	relayed, err := client.Allocate()
	if err != nil {
		return err
	}
	defer relayed.Close()
	f.Relayed = addrPortOf(relayed.LocalAddr())
	if f.Protocol == "udp" && f.Relayed.Addr().Is4() == f.Mapped.Addr().Is4() && inTime() {
		f.NAT = examine(f, heard, relayed, wait)
	}
	return nil
}

// reach opens a way to the server.
func reach(ctx context.Context, u *stun.URI, protocol string, config *tls.Config) (net.PacketConn, net.Addr, error) {
	at := net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
	if protocol == "udp" {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp4", at) // asks the routing table which address we have towards it
		if err != nil {
			var otherwise error
			if c, otherwise = (&net.Dialer{}).DialContext(ctx, "udp6", at); otherwise != nil {
				return nil, nil, errors.Join(err, otherwise)
			}
		}
		server, local := c.RemoteAddr(), c.LocalAddr().(*net.UDPAddr)
		_ = c.Close()
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
		return conn, server, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, nil, err
	}
	server := conn.RemoteAddr()
	if protocol == "tls" {
		if config = config.Clone(); config == nil {
			config = &tls.Config{}
		}
		config.ServerName = u.Host
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, nil, err
		}
		conn = secure
	}
	return turn.NewSTUNConn(conn), server, nil
}

// turnError finds the number in the errors of pion/turn.
var turnError = regexp.MustCompile(`error (\d{3})`)

// inWords says what an error means, and what to do.
func inWords(err error, protocol string) error {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var host x509.HostnameError
	var timeout net.Error
	code := ""
	if m := turnError.FindStringSubmatch(err.Error()); m != nil {
		code = m[1]
	}
	say := func(text string) error { return &told{text, err} }
	switch {
	case code == "400", code == "401", code == "441": // 400 is what pion/turn says to a wrong secret
		return say("it refuses our user and secret; have they expired, or does the clock of one of us go wrong")
	case code == "403":
		return say("it forbids relays to us")
	case code == "486":
		return say("this user has as many relays as it may have; are other calls under way")
	case code == "508":
		return say("it has no room for more relays")
	case code == "440", code == "443":
		return say("it has no relay for this kind of address (IPv4 or IPv6)")
	case code != "":
		return say("it answers with error " + code)
	case errors.As(err, &dns):
		return say("there is no such host; check the name")
	case errors.As(err, &host):
		return say(fmt.Sprintf("its certificate is for another name (%v); check the address", host))
	case errors.As(err, &certificate):
		return say(fmt.Sprintf("its certificate is not trusted: %v", certificate.Err))
	case errors.Is(err, syscall.ECONNREFUSED) && protocol != "udp":
		return say("it refuses the connection; does it run, and listen there")
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return say("this machine's own firewall forbids sending to it")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return say("there is no way to it from this machine; is the network up, and of its kind (IPv4 or IPv6)")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return say("it hangs up; does it speak STUN and TURN on that port")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(),
		strings.Contains(err.Error(), "all retransmissions"), errors.Is(err, net.ErrClosed):
		return say("no answer; it is down, or a firewall drops " + strings.ToUpper(strings.Replace(protocol, "tls", "tcp", 1)) + " to it")
	}
	return err
}

type told struct {
	text string
	err  error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.err }

// tap is a socket that notices packets with a mark that no protocol has.
type tap struct {
	net.PacketConn
	mark [16]byte
	seen chan netip.AddrPort // who such a packet came from
}

func (t *tap) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := t.PacketConn.ReadFrom(p)
	if err == nil && bytes.Equal(p[:n], t.mark[:]) {
		select {
		case t.seen <- addrPortOf(from):
		default:
		}
	}
	return n, from, err
}

// addrPortOf is the address of a socket, invalid if it has none.
func addrPortOf(a net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
