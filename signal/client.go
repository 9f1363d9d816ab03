package signal

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Client is a session with a signaling server, Parley's own or an original. Its methods may be called
// concurrently. Messages keep their order in both directions. The Client owns the queues; a transport
// owns the socket, and is replaced after it broke if the server supports that.
type Client struct {
	opts ClientOptions
	url  *url.URL
	ours bool // the server is Parley's
	wire wire
	log  *slog.Logger

	in    chan Message
	out   chan outgoing
	track *track
	ended context.Context // ends with Close
	end   context.CancelFunc
	first Connection
	moved chan struct{} // holds a token after NetworkChanged
	over  chan struct{} // closed when the last transport has ended; err is set before
	err   error

	loginTurn chan struct{} // held during Login: a reply does not name the login that it is for
	partner   partner

	renewal *time.Timer // fires when new ICE servers are to be requested

	mu      sync.Mutex   // guards what follows
	replies []*loginWait // the logins without a reply yet, oldest first
	ice     iceGrant
}

// outgoing is a frame to be written. written, if not nil, is closed afterwards.
type outgoing struct {
	frame   []byte
	written chan struct{}
}

// Dial connects to the signaling server at address, see ParseAddress. ctx bounds Dial only. An error
// wraps ErrAddress, ErrUnreachable, or the cause of ctx.
func Dial(ctx context.Context, address string, options *ClientOptions) (*Client, error) {
	if options == nil {
		options = &ClientOptions{}
	}
	opts := options.withDefaults()
	dialect, err := ParseDialect(string(opts.Dialect))
	if err != nil {
		return nil, err
	}
	u, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	ws, ours, err := dial(ctx, u, opts)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts: opts, url: u, ours: ours, wire: wireOf(dialect, ours), log: opts.Logger,
		in: make(chan Message, opts.ReceiveQueue), out: make(chan outgoing, opts.SendQueue),
		track: newTrack(), first: connectionOf(ws.NetConn()), moved: make(chan struct{}, 1), over: make(chan struct{}), loginTurn: make(chan struct{}, 1),
		partner: partner{changed: make(chan struct{}, 1)},
		renewal: time.NewTimer(math.MaxInt64),
	}
	c.ended, c.end = context.WithCancel(context.Background())
	go func() {
		defer close(c.over)
		defer c.renewal.Stop()
		c.err = c.live(ws)
	}()
	return c, nil
}

// Login asks for a name and returns the server's decision: nil, or a *LoginError. An original relay
// server sends no reply; then Login returns nil when the request is written. A Login whose context ends
// may still succeed at the server.
func (c *Client) Login(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return &LoginError{Name: name, Code: CodeBadName, Message: err.Error()}
	}
	select {
	case c.loginTurn <- struct{}{}:
		defer func() { <-c.loginTurn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.over:
		return c.err
	}
	frame, replies := c.wire.login(loginAsk{name: name, token: c.opts.Token, extras: c.ours, resume: c.opts.Resume})
	if !replies {
		written := make(chan struct{})
		if err := c.queue(ctx, outgoing{frame: frame, written: written}); err != nil {
			return err
		}
		return c.await(ctx, written)
	}
	reply := make(chan loginReply, 1)
	c.expect(&loginWait{name, reply})
	if err := c.queue(ctx, outgoing{frame: frame}); err != nil {
		c.unexpect()
		return err
	}
	select {
	case r := <-reply:
		return loginResult(name, r)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.over:
	}
	select { // a server may close right after a refusal
	case r := <-reply:
		return loginResult(name, r)
	default:
		return c.err
	}
}

func loginResult(name string, r loginReply) error {
	if r.success {
		return nil
	}
	if r.code == "" {
		r.code = CodeTaken
	}
	return &LoginError{Name: name, Code: r.code, Message: r.text}
}

func (c *Client) await(ctx context.Context, written <-chan struct{}) error {
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.over:
		return c.err
	}
}

// Send queues a message. Messages are written in the order of the calls. It blocks while the queue is
// full. A nil error does not mean that the message was delivered: Parley's server reports an absent peer
// by a message of type signal.Error, an original does not.
func (c *Client) Send(ctx context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	frame := c.wire.encode(m)
	if frame == nil {
		return nil
	}
	if len(frame) > MaxFrame {
		return fmt.Errorf("the %s makes a frame of %d bytes; at most %d travel", m.Type, len(frame), MaxFrame)
	}
	c.partner.noteSent(m, time.Now()) // before a reply can come
	return c.queue(ctx, outgoing{frame: frame})
}

func (c *Client) queue(ctx context.Context, o outgoing) error {
	select { // these first, because the select below chooses at random
	case <-c.over:
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
	case <-c.over:
		return c.err
	case <-c.ended.Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Receive returns the next message from the server. After the last one it returns ErrClosed if Close was
// called, and else a *LostError or a *LoginError.
func (c *Client) Receive(ctx context.Context) (Message, error) {
	if err := context.Cause(ctx); err != nil {
		return Message{}, err
	}
	select {
	case m := <-c.in:
		return m, nil
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	case <-c.over:
	}
	select { // messages received before the end
	case m := <-c.in:
		return m, nil
	default:
		return Message{}, c.err
	}
}

// Close writes the queued messages, performs the closing handshake, and waits for all goroutines, all
// within a few seconds. It may be called twice. After a call over an original call server it first waits
// until the socket can be closed without ending that server, see partner.
func (c *Client) Close() error {
	if !c.ours && c.opts.Dialect == DialectCall {
		c.partner.wait(c.over)
	}
	c.end()
	<-c.over
	return nil
}

// Connection describes the first connection of a Client.
type Connection struct {
	Local, Remote net.Addr // Remote may be a proxy
	TLS           string   // the version, such as "TLS 1.3"; empty without TLS
}

// Connection returns the first connection to the server.
func (c *Client) Connection() Connection { return c.first }

func connectionOf(conn net.Conn) Connection {
	found := Connection{Local: conn.LocalAddr(), Remote: conn.RemoteAddr()}
	if secure, ok := conn.(*tls.Conn); ok {
		found.TLS = tls.VersionName(secure.ConnectionState().Version)
	}
	return found
}

// pendingLogin is a login without a reply yet.
type loginWait struct {
	name  string
	reply chan loginReply
}

func (c *Client) expect(wait *loginWait) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies = append(c.replies, wait)
}

// removePendingLogin removes the last login, which was not sent.
func (c *Client) unexpect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.replies); n > 0 {
		c.replies = c.replies[:n-1]
	}
}

// handleLoginReply passes a reply to the oldest pending login, whether or not its caller still waits.
func (c *Client) replied(r loginReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.replies) == 0 {
		return
	}
	wait := c.replies[0]
	c.replies = c.replies[1:]
	if r.success {
		c.setICELocked(r.ice)
		c.track.setName(cmp.Or(r.name, wait.name))
		if r.ticket != "" && c.opts.Resume {
			c.track.begin(r.ticket, r.wait)
		}
	}
	wait.reply <- r
}

// failPendingLogins ends the logins whose replies were lost with the session.
func (c *Client) failReplies() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wait := range c.replies {
		wait.reply <- loginReply{code: CodeExpired, text: "the connection broke; try again"}
	}
	c.replies = nil
}

// ICEServers returns the latest ICE servers of the signaling server, for a call or an ICE restart that
// begins now. The client requests new ones before their credentials expire. The original servers have
// none.
func (c *Client) ICEServers() []ICEServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ice.servers)
}

func (c *Client) setICE(g iceGrant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setICELocked(g)
}

func (c *Client) setICELocked(g iceGrant) {
	c.ice = g
	c.renewal.Reset(renewalDelay(g))
}

// renewalDelay returns when to ask for new servers: at half of their lifetime, so that those handed out have the other
// half left.
func renewalDelay(g iceGrant) time.Duration {
	if g.last <= 0 {
		return math.MaxInt64
	}
	return max(g.last/2, minRenewal)
}

// minRenewal is the shortest time between two requests for ICE servers.
const minRenewal = time.Second

// iceServersRequest returns the frame that requests ICE servers. Without an answer it is due again.
func (c *Client) askICE() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewal.Reset(renewalDelay(c.ice))
	return c.wire.askICE()
}
