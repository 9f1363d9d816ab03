package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
)

// maxHandshake bounds what a server may send before the connection is a WebSocket: gorilla reads
// headers without a limit.
const maxHandshake = 256 << 10

// dial opens a socket and upgrades it. It returns the header of the response.
func dial(ctx context.Context, u *url.URL, opts Options) (ws *websocket.Conn, header http.Header, err error) {
	var socket *limitedConn
	stop := func() bool { return true }
	dialer := websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: opts.HandshakeTimeout,
		TLSClientConfig:  opts.TLS,
		NetDialContext: func(dialCtx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(dialCtx, network, address)
			if err != nil {
				return nil, err
			}
			socket = &limitedConn{Conn: conn}
			socket.left.Store(maxHandshake)
			// Once the socket is open gorilla/websocket respects the deadline of ctx, but not its
			// cancellation.
			stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			return socket, nil
		},
	}
	ws, resp, err := dialer.DialContext(ctx, u.String(), opts.Header)
	if !stop() || ended(ctx) {
		if ws != nil {
			_ = ws.Close()
		}
		<-ctx.Done()
		return nil, nil, fmt.Errorf("gave up reaching %s: %w", redactedURL(u), context.Cause(ctx))
	}
	if err != nil {
		return nil, nil, dialError(u, resp, err, opts)
	}
	if resp.Header.Get("Sec-Websocket-Extensions") != "" { // gorilla/websocket would decompress without a bound
		_ = ws.Close()
		return nil, nil, dialError(u, nil, errors.New("it insists on compression, which was not offered"), opts)
	}
	socket.left.Store(-1)
	return ws, resp.Header, nil
}

// ended reports whether ctx is done. The deadline of a socket may pass a moment before that of its
// context.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// limitedConn is a socket that bounds what is read before the handshake is complete.
type limitedConn struct {
	net.Conn
	left atomic.Int64 // bytes; negative for no limit
}

func (c *limitedConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left < 0 {
		return c.Conn.Read(p)
	}
	if left == 0 {
		return 0, fmt.Errorf("it sent more than %d bytes before the connection was a WebSocket", maxHandshake)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.CompareAndSwap(left, left-int64(n))
	return n, err
}

// dialError describes why a server was not reached. The error wraps ErrUnreachable and err.
func dialError(u *url.URL, resp *http.Response, err error, opts Options) error {
	text := ""
	var dns *net.DNSError
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		text = describeResponse(resp)
	case errors.Is(err, syscall.ECONNREFUSED):
		text = `connection refused; is "parley serve" running there?`
	case errors.As(err, &dns) && dns.IsNotFound:
		text = fmt.Sprintf("there is no host %q; check the name", dns.Name)
	case errors.As(err, &host):
		text = signal.Printable(fmt.Sprintf("its certificate is for another name (%v); check the address", host))
	case errors.As(err, &certificate):
		text = fmt.Sprintf("its certificate is not trusted (%v); name the authority that signed it", certificate.Err)
	case errors.As(err, &record), strings.Contains(err.Error(), "tls: first record does not look like"):
		text = "it does not speak TLS; try ws:// instead of wss://"
	case errors.As(err, &network) && network.Timeout():
		text = fmt.Sprintf("no answer within %v", opts.HandshakeTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "it hung up without an answer; does it want wss:// instead?"
	default:
		text = signal.Printable(err.Error())
	}
	refused := resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden)
	return &unreachableError{text: "cannot reach " + redactedURL(u) + ": " + text, err: err, final: refused || certificate != nil}
}

// describeResponse returns the status and the first line of a response that is no upgrade.
func describeResponse(resp *http.Response) string {
	text := "it answered " + signal.Printable(resp.Status)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line != "" && !strings.HasPrefix(line, "<") {
		text += ": " + signal.Printable(line)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return text
	}
	return text + "; is it a signaling server?"
}

// redactedURL returns a URL without its query, which may have a token.
func redactedURL(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

type unreachableError struct {
	text  string
	err   error
	final bool // not worth another try
}

func (e *unreachableError) Error() string   { return e.text }
func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// ErrAddress is wrapped by the errors of an invalid server address.
var ErrAddress = errors.New("not the address of a signaling server")

// ParseAddress returns the WebSocket URL of a server address. It accepts ws:// and wss:// URLs,
// converts http:// and https:// URLs to those, and takes host and host:port as ws://.
func ParseAddress(raw string) (*url.URL, error) {
	u, err := parseAddress(raw)
	if err != nil {
		return nil, fmt.Errorf("%q is %w: %w", signal.PrintableURL(raw), ErrAddress, err)
	}
	return u, nil
}

func parseAddress(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return nil, errors.New("it is empty; give one like ws://localhost:9090")
	}
	if !strings.Contains(text, "://") {
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL, which ParseAddress adds
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("it begins with %s://; use ws:// or wss://", u.Scheme)
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("it names no host; give one like ws://localhost:9090")
	case u.User != nil:
		return nil, errors.New("it holds a user name; send credentials in a header instead")
	case u.Port() != "" && !validPort(u.Port()):
		return nil, fmt.Errorf("its port %s is not between 1 and 65535", u.Port())
	}
	u.Fragment, u.RawFragment = "", "" // RFC 6455, 3 forbids one
	return u, nil
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
