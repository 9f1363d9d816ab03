// Package client connects to a signaling server and keeps its session when the network changes.
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
)

// Client is a session with a signaling server, Parley's own or an original. Its methods may be
// called concurrently. Messages keep their order in both directions. The Client owns the queues; a
// transport owns the socket, and is replaced after it broke if the server supports that.
type Client struct {
	opts  Options
	url   *url.URL
	ours  bool // the server is Parley's
	codec wire.Codec
	log   *slog.Logger

	in             chan signal.Message
	out            chan outgoing
	next           *outgoing // taken from out and not written yet; owned by the writer of the transport
	session        *session
	ended          context.Context // ends with Close
	end            context.CancelFunc
	connection     Connection
	networkChanged chan struct{} // holds a token after NetworkChanged
	done           chan struct{} // closed when the last transport has ended; err is set before
	err            error

	loginSlot chan struct{} // held during Login: a reply does not name the login that it is for
	partner   partner
	calls     openCalls
	watches   watches

	iceTimer     *time.Timer // fires when new ICE servers are to be requested
	renewalTimer *time.Timer // fires when the login is to be renewed

	mu            sync.Mutex      // guards what follows
	pendingLogins []*pendingLogin // the logins without a reply yet, oldest first
	ice           wire.ICEGrant
	expires       time.Time // when the session expires; zero: never
	refusedToken  string    // of a renewal
}

// outgoing is a frame to be written. written, if not nil, is closed afterwards.
type outgoing struct {
	frame   []byte
	typ     signal.Type
	peer    string // the receiver of a message
	written chan struct{}
}

// Dial connects to the signaling server at address, see ParseAddress. ctx bounds Dial only. An
// error wraps ErrAddress, ErrUnreachable, or the cause of ctx.
func Dial(ctx context.Context, address string, options *Options) (*Client, error) {
	if options == nil {
		options = &Options{}
	}
	opts := options.withDefaults()
	dialect, err := signal.ParseDialect(string(opts.Dialect))
	if err != nil {
		return nil, err
	}
	u, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	ws, header, err := dial(ctx, u, opts)
	if err != nil {
		return nil, err
	}
	ours := header.Get(signal.ServerHeader) != ""
	c := &Client{
		opts: opts, url: u, ours: ours, codec: wire.NewCodec(dialect, ours), log: opts.Logger,
		in: make(chan signal.Message, opts.ReceiveQueue), out: make(chan outgoing, opts.SendQueue),
		session: newSession(), connection: connectionOf(ws.NetConn(), header), networkChanged: make(chan struct{}, 1), done: make(chan struct{}), loginSlot: make(chan struct{}, 1),
		partner:  partner{changed: make(chan struct{}, 1)},
		iceTimer: time.NewTimer(math.MaxInt64), renewalTimer: time.NewTimer(math.MaxInt64),
	}
	c.ended, c.end = context.WithCancel(context.Background())
	go func() {
		defer close(c.done)
		defer c.iceTimer.Stop()
		defer c.renewalTimer.Stop()
		c.err = c.run(ws)
	}()
	return c, nil
}

// Login asks for a name and returns the server's decision: nil, or a *LoginError. An original relay
// server sends no reply; then Login returns nil when the request is written. A Login whose context
// ends may still succeed at the server.
func (c *Client) Login(ctx context.Context, name string) error {
	if err := signal.CheckName(name); err != nil {
		return &LoginError{Name: name, Code: signal.CodeBadName, Message: err.Error()}
	}
	select {
	case c.loginSlot <- struct{}{}:
		defer func() { <-c.loginSlot }()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return c.err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	frame, replies := c.codec.Login(wire.LoginRequest{Name: name, Token: token, Extended: c.ours, Resume: c.opts.Resume})
	if !replies {
		written := make(chan struct{})
		if err := c.enqueue(ctx, outgoing{frame: frame, typ: wire.TypeLogin, written: written}); err != nil {
			return err
		}
		return c.waitWritten(ctx, written)
	}
	reply := make(chan wire.LoginReply, 1)
	c.addPendingLogin(&pendingLogin{name: name, reply: reply})
	if err := c.enqueue(ctx, outgoing{frame: frame, typ: wire.TypeLogin}); err != nil {
		c.removePendingLogin()
		return err
	}
	select {
	case r := <-reply:
		return c.loginResult(name, r)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
	}
	select { // a server may close right after a refusal
	case r := <-reply:
		return c.loginResult(name, r)
	default:
		return c.err
	}
}

// loginResult returns nil, or the *LoginError of a reply.
func (c *Client) loginResult(name string, r wire.LoginReply) error {
	if r.Success {
		return nil
	}
	if r.Code == "" {
		r.Code = signal.CodeTaken
	}
	return &LoginError{Name: name, Code: r.Code, Message: r.Text, Connected: c.ours && r.Code == signal.CodeTaken}
}

func (c *Client) waitWritten(ctx context.Context, written <-chan struct{}) error {
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return c.err
	}
}

// Send queues a message. Messages are written in the order of the calls. It blocks while the queue
// is full. A nil error does not mean that the message was delivered: Parley's server reports an
// absent peer by a message of type signal.Error, an original does not.
func (c *Client) Send(ctx context.Context, m signal.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	frame := c.codec.Encode(m)
	if frame == nil {
		return nil
	}
	if len(frame) > signal.MaxFrame {
		return fmt.Errorf("the %s makes a frame of %d bytes; at most %d travel", m.Type, len(frame), signal.MaxFrame)
	}
	c.partner.noteSent(m, time.Now()) // before a reply can come
	c.calls.noteSent(m)
	return c.enqueue(ctx, outgoing{frame: frame, typ: m.Type, peer: m.Peer})
}

func (c *Client) enqueue(ctx context.Context, o outgoing) error {
	select { // these first, because the select below chooses at random
	case <-c.done:
		return c.err
	case <-c.ended.Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
	}
	select {
	case c.out <- o:
		return nil
	case <-c.done:
		return c.err
	case <-c.ended.Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Receive returns the next message from the server, which transport.deliver has queued. After the
// last one it returns ErrClosed if Close was called, and else a *LostError or a *LoginError.
func (c *Client) Receive(ctx context.Context) (signal.Message, error) {
	if err := context.Cause(ctx); err != nil {
		return signal.Message{}, err
	}
	select {
	case m := <-c.in:
		return m, nil
	case <-ctx.Done():
		return signal.Message{}, context.Cause(ctx)
	case <-c.done:
	}
	select { // messages received before the end
	case m := <-c.in:
		return m, nil
	default:
		return signal.Message{}, c.err
	}
}

// Close writes the queued messages, performs the closing handshake, and waits for all goroutines,
// all within a few seconds. It may be called twice. After a call over an original call server it
// first waits until the socket can be closed without ending that server, see partner.
func (c *Client) Close() error {
	if !c.ours && c.opts.Dialect == signal.DialectCall {
		c.partner.wait(c.done)
	}
	c.end()
	<-c.done
	return nil
}

// Connection describes the first connection of a Client.
type Connection struct {
	Local, Remote net.Addr // Remote may be a proxy
	TLS           string   // the version, such as "TLS 1.3"; empty without TLS
	Node          string   // the server, where several work as one; empty if it does not say
}

// Connection returns the first connection to the server.
func (c *Client) Connection() Connection { return c.connection }

func connectionOf(conn net.Conn, header http.Header) Connection {
	found := Connection{Local: conn.LocalAddr(), Remote: conn.RemoteAddr(), Node: signal.Truncate(signal.Printable(header.Get(signal.NodeHeader)), 100)}
	if secure, ok := conn.(*tls.Conn); ok {
		found.TLS = tls.VersionName(secure.ConnectionState().Version)
	}
	return found
}

// pendingLogin is a login without a reply yet.
type pendingLogin struct {
	name  string
	reply chan wire.LoginReply
	token string // of a renewal
}

func (c *Client) addPendingLogin(wait *pendingLogin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pendingLogins = append(c.pendingLogins, wait)
}

// removePendingLogin removes the last login, which was not sent.
func (c *Client) removePendingLogin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.pendingLogins); n > 0 {
		c.pendingLogins = c.pendingLogins[:n-1]
	}
}

// handleLoginReply passes a reply to the oldest pending login, whether or not its caller still
// waits.
func (c *Client) handleLoginReply(r wire.LoginReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pendingLogins) == 0 {
		return
	}
	wait := c.pendingLogins[0]
	c.pendingLogins = c.pendingLogins[1:]
	if r.Success {
		c.setICELocked(r.ICE)
		c.setExpiryLocked(r.ExpiresIn)
		c.session.setName(cmp.Or(r.Name, wait.name))
		if r.ResumeToken != "" && c.opts.Resume {
			c.session.start(r.ResumeToken, r.ResumeFor)
		}
	}
	if !r.Success && wait.token != "" {
		c.refusedToken = wait.token
		c.log.Warn("the server refused to renew the login", "reason", r.Text)
	}
	wait.reply <- r
}

// failPendingLogins ends the logins whose replies were lost with the session.
func (c *Client) failPendingLogins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wait := range c.pendingLogins {
		wait.reply <- wire.LoginReply{Code: signal.CodeExpired, Text: "the connection broke; try again"}
	}
	c.pendingLogins = nil
}

// ICEServers returns the latest ICE servers of the signaling server, for a call or an ICE restart
// that begins now. The client requests new ones before their credentials expire. The original
// servers have none.
func (c *Client) ICEServers() []signal.ICEServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ice.Servers)
}

func (c *Client) setICE(g wire.ICEGrant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setICELocked(g)
}

func (c *Client) setICELocked(g wire.ICEGrant) {
	c.ice = g
	c.iceTimer.Reset(renewalDelay(g))
}

// renewalDelay returns when to ask for new servers: at half of their lifetime, so that those handed
// out have the other half left.
func renewalDelay(g wire.ICEGrant) time.Duration {
	if g.Lifetime <= 0 {
		return math.MaxInt64
	}
	return max(g.Lifetime/2, minRenewal)
}

// minRenewal is the shortest time between two requests for ICE servers.
const minRenewal = time.Second

// iceServersRequest returns the frame that requests ICE servers. Without an answer it is due again.
func (c *Client) iceServersRequest() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.iceTimer.Reset(renewalDelay(c.ice))
	return c.codec.ICEServersRequest()
}
