package signal

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
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// maxHandshake bounds what a server may send before the connection is a WebSocket: gorilla reads headers without a limit.
const maxHandshake = 256 << 10

// dial opens the socket and upgrades it. Ours tells that the server is ours.
func dial(ctx context.Context, u *url.URL, opts ClientOptions) (ws *websocket.Conn, ours bool, err error) {
	var socket *guardedConn
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
			socket = &guardedConn{Conn: conn}
			socket.left.Store(maxHandshake)
			// gorilla heeds a deadline of ctx but no cancelling once the socket is open.
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
		return nil, false, fmt.Errorf("gave up reaching %s: %w", shownAddress(u), context.Cause(ctx))
	}
	if err != nil {
		return nil, false, dialError(u, resp, err, opts)
	}
	if resp.Header.Get("Sec-Websocket-Extensions") != "" { // gorilla would unpack what was never asked for
		_ = ws.Close()
		return nil, false, dialError(u, nil, errors.New("it insists on compression, which was not offered"), opts)
	}
	socket.left.Store(-1)
	return ws, resp.Header.Get(serverHeader) != "", nil
}

// ended reports whether ctx is over. A socket's deadline may fire a moment before that of the context it was taken from.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// guardedConn is a socket that ends when too much is read before the handshake is over.
type guardedConn struct {
	net.Conn
	left atomic.Int64 // bytes; negative: without limit
}

func (c *guardedConn) Read(p []byte) (int, error) {
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

// dialError makes a sentence of why a server was not reached. It wraps ErrUnreachable and the cause.
func dialError(u *url.URL, resp *http.Response, err error, opts ClientOptions) error {
	text := ""
	var dns *net.DNSError
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		text = answered(resp)
	case errors.Is(err, syscall.ECONNREFUSED):
		text = `connection refused; is "parley serve" running there?`
	case errors.As(err, &dns) && dns.IsNotFound:
		text = fmt.Sprintf("there is no host %q; check the name", dns.Name)
	case errors.As(err, &host):
		text = printable(fmt.Sprintf("its certificate is for another name (%v); check the address", host))
	case errors.As(err, &certificate):
		text = fmt.Sprintf("its certificate is not trusted (%v); name the authority that signed it", certificate.Err)
	case errors.As(err, &record), strings.Contains(err.Error(), "tls: first record does not look like"):
		text = "it does not speak TLS; try ws:// instead of wss://"
	case errors.As(err, &network) && network.Timeout():
		text = fmt.Sprintf("no answer within %v", opts.HandshakeTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "it hung up without an answer; does it want wss:// instead?"
	default:
		text = printable(err.Error())
	}
	refused := resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden)
	return &unreachableError{text: "cannot reach " + shownAddress(u) + ": " + text, err: err, final: refused || certificate != nil}
}

// answered describes an answer that is no upgrade, with the first line of what it says.
func answered(resp *http.Response) string {
	text := "it answered " + printable(resp.Status)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line != "" && !strings.HasPrefix(line, "<") {
		text += ": " + printable(line)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return text
	}
	return text + "; is it a signaling server?"
}

// shownAddress is a URL without what may be secret in it.
func shownAddress(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

type unreachableError struct {
	text  string
	err   error
	final bool // not worth another try
}

func (e *unreachableError) Error() string   { return e.text }
func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.err} }
