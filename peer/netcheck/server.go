package netcheck

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// ServerResult is what was measured with one server.
type ServerResult struct {
	URL       string
	Transport string         // "udp", "tcp" or "tls"; "" if the URL is invalid
	TURN      bool           // whether an allocation was requested
	Local     netip.AddrPort // of the socket
	Mapped    netip.AddrPort // server-reflexive address; invalid if the server has not responded
	Relayed   netip.AddrPort // relayed address; invalid without an allocation
	RTT       time.Duration  // of the binding request
	Err       error          // why the server could not be used, for users; nil if it works

	nat *NAT // nil if no NAT behaviour could be measured
}

// maxRedirects is how many alternate servers are followed.
const maxRedirects = 4

// target is where and with what a server is checked.
type target struct {
	address string                      // HOST:PORT; "" for that of the URL
	domain  string                      // of its certificate; "" for the host of the URL
	family  turn.RequestedAddressFamily // of the allocation
}

// checkServer asks one server for the host's address, for an allocation if it is a TURN server, and
// measures the NAT with an allocation over UDP. The allocation is of IPv4, or of IPv6 where the
// server has only that. A server that names an alternate one is checked at that, as calls use it.
func checkServer(ctx context.Context, s Server, o Options) ServerResult {
	at := target{family: turn.RequestedAddressFamilyIPv4}
	for redirects := 0; ; {
		r := checkTarget(ctx, s, o, at)
		var response *allocateError
		switch errors.As(r.Err, &response); {
		case errorCode(r.Err) == stun.CodeAddrFamilyNotSupported && at.family == turn.RequestedAddressFamilyIPv4:
			at.family = turn.RequestedAddressFamilyIPv6
		case response != nil && response.alternate.IsValid() && redirects < maxRedirects:
			at.address, at.domain = response.alternate.String(), response.domain
			redirects++
		default:
			return r
		}
	}
}

// checkTarget checks a server at one address with an allocation of one address family.
func checkTarget(ctx context.Context, s Server, o Options, at target) ServerResult {
	r := ServerResult{URL: s.URL}
	u, err := stun.ParseURI(s.URL)
	if err != nil {
		r.Err = fmt.Errorf("invalid URL: %w", err)
		return r
	}
	at.address = cmp.Or(at.address, net.JoinHostPort(u.Host, strconv.Itoa(u.Port)))
	at.domain = cmp.Or(at.domain, u.Host)
	r.TURN = u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS
	r.Transport = transportOf(u)
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	conn, server, err := dial(limited, at, r.Transport, o.TLS)
	if err != nil {
		r.Err = explain(err, r.Transport)
		return r
	}
	defer conn.Close()
	r.Local = addrPortOf(conn.LocalAddr())
	responds := context.AfterFunc(limited, func() { _ = conn.Close() })
	defer responds()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	marked := &markedConn{PacketConn: conn, sources: make(chan netip.AddrPort, 16)}
	_, _ = rand.Read(marked.mark[:]) // never fails, see crypto/rand
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: marked,
		Username: s.Username, Password: s.Password, RequestedAddressFamily: at.family,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err == nil {
		err = client.Listen()
	}
	if err != nil {
		r.Err = err
		return r
	}
	defer client.Close()
	// The timeout is for the server; what measures the NAT has timeouts of its own.
	err = r.request(client, server, marked, o.PacketTimeout, responds)
	if err != nil && limited.Err() != nil {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		r.Err = explain(err, r.Transport)
	}
	return r
}

// transportOf returns the transport of a URL by its scheme and its transport parameter.
func transportOf(u *stun.URI) string {
	switch {
	case u.IsSecure():
		return "tls"
	case u.Proto == stun.ProtoTypeTCP:
		return "tcp"
	}
	return "udp"
}

// request sends a binding request, allocates, and measures the NAT. StopTimeout stops the timeout
// of the server, and returns false if it has passed.
func (r *ServerResult) request(client *turn.Client, server net.Addr, marked *markedConn, wait time.Duration, stopTimeout func() bool) error {
	begin := time.Now()
	mapped, err := client.SendBindingRequestTo(server)
	if err != nil {
		return err
	}
	r.RTT, r.Mapped = time.Since(begin), addrPortOf(mapped)
	if !r.TURN {
		return nil
	}
	relayed, err := client.Allocate()
	var rejected *stun.TurnError
	if response := marked.rejected.Load(); response != nil && (errors.As(err, &rejected) || errors.Is(err, stun.ErrAttributeNotFound)) {
		return response
	}
	if err != nil {
		return err
	}
	defer relayed.Close()
	r.Relayed = addrPortOf(relayed.LocalAddr())
	if r.Transport == "udp" && r.Relayed.Addr().Is4() == r.Mapped.Addr().Is4() && stopTimeout() {
		r.nat = measureNAT(r, marked, relayed, wait)
	}
	return nil
}

// dial opens a socket towards a server.
func dial(ctx context.Context, at target, transport string, config *tls.Config) (net.PacketConn, net.Addr, error) {
	if transport == "udp" {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp4", at.address) // asks the routing table for the local address; sends nothing
		if err != nil {
			var otherwise error
			if c, otherwise = (&net.Dialer{}).DialContext(ctx, "udp6", at.address); otherwise != nil {
				return nil, nil, errors.Join(err, otherwise)
			}
		}
		server, local := c.RemoteAddr(), c.LocalAddr().(*net.UDPAddr)
		_ = c.Close()
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
		return conn, server, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.address)
	if err != nil {
		return nil, nil, err
	}
	server := conn.RemoteAddr()
	if transport == "tls" {
		if config = config.Clone(); config == nil {
			config = &tls.Config{}
		}
		config.ServerName = at.domain
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, nil, err
		}
		conn = secure
	}
	return turn.NewSTUNConn(conn), server, nil
}

// allocateError is an error response to an allocation.
type allocateError struct {
	code      stun.ErrorCode
	alternate netip.AddrPort // server to use instead; invalid if there is none
	domain    string         // of its certificate; "" for that of the server (RFC 8489 section 14.16)
}

func (e *allocateError) Error() string { return "STUN error " + strconv.Itoa(int(e.code)) }

// allocateErrorOf returns the error response that a packet from a server is, nil if it is another
// one. An alternate server is valid if it has the same address family, and is on this host only if
// the server is.
func allocateErrorOf(p []byte, from netip.AddrPort) *allocateError {
	m := &stun.Message{Raw: slices.Clone(p)}
	var code stun.ErrorCodeAttribute
	if !stun.IsMessage(p) || m.Decode() != nil || m.Type != stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse) || code.GetFrom(m) != nil {
		return nil
	}
	e := &allocateError{code: code.Code}
	var alternate stun.AlternateServer
	if code.Code != stun.CodeTryAlternate || alternate.GetFrom(m) != nil {
		return e
	}
	to := addrPortOf(&net.UDPAddr{IP: alternate.IP, Port: alternate.Port})
	if to.Port() != 0 && to.Addr().Is4() == from.Addr().Is4() && (from.Addr().IsLoopback() || !to.Addr().IsLoopback()) {
		domain, _ := m.Get(stun.AttrAlternateDomain) // it is optional
		e.alternate, e.domain = to, string(domain)
	}
	return e
}

// errorCode returns the code of a STUN error response, 0 for other errors.
func errorCode(err error) stun.ErrorCode {
	var response *allocateError
	if errors.As(err, &response) {
		return response.code
	}
	return 0
}

// explain returns an error whose text says for users what err means, and what to do.
func explain(err error, transport string) error {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var host x509.HostnameError
	var timeout net.Error
	say := func(text string) error { return &explained{text, err} }
	switch code := errorCode(err); { // pion/turn's server responds with 400 to a wrong password
	case code == stun.CodeBadRequest, code == stun.CodeUnauthorized, code == stun.CodeWrongCredentials:
		return say("credentials rejected; check that they have not expired and that both clocks are right")
	case code == stun.CodeForbidden:
		return say("allocation forbidden for this user")
	case code == stun.CodeAllocQuotaReached:
		return say("allocation quota of this user reached; end other calls")
	case code == stun.CodeInsufficientCapacity:
		return say("server has no capacity for more allocations")
	case code == stun.CodeAddrFamilyNotSupported, code == stun.CodePeerAddrFamilyMismatch:
		return say("server has no relayed addresses of this family (IPv4 or IPv6)")
	case code == stun.CodeTryAlternate:
		return say("server names an alternate server that cannot be used; check its configuration")
	case code != 0:
		return say("unexpected STUN error " + strconv.Itoa(int(code)))
	case errors.As(err, &dns):
		return say("host not found; check the name")
	case errors.As(err, &host):
		return say(fmt.Sprintf("certificate is for another name (%v); check the URL", host))
	case errors.As(err, &certificate):
		return say(fmt.Sprintf("certificate is not trusted: %v", certificate.Err))
	case errors.Is(err, syscall.ECONNREFUSED) && transport != "udp":
		return say("connection refused; check that the server runs and listens on this port")
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return say("sending is forbidden by this host's firewall")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return say("no route to the server; check that the network is up and has its address family (IPv4 or IPv6)")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return say("connection closed by the server; check that it speaks STUN and TURN on this port")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(),
		strings.Contains(err.Error(), "all retransmissions"), errors.Is(err, net.ErrClosed):
		return say("no response; the server is down, or a firewall drops " + strings.ToUpper(strings.Replace(transport, "tls", "tcp", 1)) + " to it")
	}
	return err
}

// explained is an error with a text for users.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }
