package signal

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"sync"
	"time"
)

// Client is one connection to a signaling server, ours or an original. Its methods may be called concurrently; messages keep their
// order in both directions. The queues belong to the Client and the socket to a link beneath, which is replaced when it breaks and
// the server lets us come back.
type Client struct {
	opts ClientOptions
	url  *url.URL
	ours bool // the server is ours
	wire wire
	log  *slog.Logger

	in    chan Message
	out   chan outgoing
	track *track
	ended context.Context // ends with Close
	end   context.CancelFunc
	first Connection
	moved chan struct{} // holds a token after Moved
	over  chan struct{} // closed when the last link has ended; err is set before
	err   error

	loginTurn chan struct{} // held during Login: the wire does not tell which login a reply is for
	partner   partner

	renewal *time.Timer // fires when fresh ICE servers are due

	mu      sync.Mutex   // guards what follows
	replies []*loginWait // one for each login that is owed a reply, oldest first
	ice     iceGrant
}

// outgoing is a frame to be written; written, if any, is closed when it was.
type outgoing struct {
	frame   []byte
	written chan struct{}
}

// Dial connects to the signaling server at address (see ParseAddress). It returns at once when ctx ends; afterwards ctx has no
// influence. An error wraps ErrAddress, ErrUnreachable, or what ended ctx.
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

// Login asks for a name and waits for the server's decision: nil, or a *LoginError. The relay dialect has no reply, so there it
// returns nil once the request is written. A Login given up by its context may still succeed at the server.
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
	select { // a server that refuses says so, and closes at once
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

// Send queues a message; messages leave in the order of the calls. It blocks while the queue is full, until ctx ends. Nil does not
// mean that it arrived: who is absent, the server may or may not say, in an Error message.
func (c *Client) Send(ctx context.Context, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	frame := c.wire.encode(m)
	if frame == nil {
		return nil
	}
	if len(frame) > maxFrame {
		return fmt.Errorf("the %s makes a frame of %d bytes; at most %d travel", m.Type, len(frame), maxFrame)
	}
	c.partner.noteSent(m, time.Now()) // before a reply can come
	return c.queue(ctx, outgoing{frame: frame})
}

func (c *Client) queue(ctx context.Context, o outgoing) error {
	select { // first what forbids it: the select below chooses at random
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

// Receive returns the next message from the server. When there will be none it returns ErrClosed after Close, or a *LostError.
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
	select { // what came before the end
	case m := <-c.in:
		return m, nil
	default:
		return Message{}, c.err
	}
}

// Close writes what is queued, says good-bye to the server, and waits for the end of all goroutines, all within a few seconds. It
// is safe to call twice. After a call over an original call server it first waits until the socket
// can be closed without ending that server, see partner.
func (c *Client) Close() error {
	if !c.ours && c.opts.Dialect == DialectCall {
		c.partner.wait(c.over)
	}
	c.end()
	<-c.over
	return nil
}

// Connection is how a Client reached its server.
type Connection struct {
	Local, Remote net.Addr // Remote may be a proxy
	TLS           string   // the version, such as "TLS 1.3"; "" for none
}

// Connection returns how the server was reached at first.
func (c *Client) Connection() Connection { return c.first }

func connectionOf(conn net.Conn) Connection {
	found := Connection{Local: conn.LocalAddr(), Remote: conn.RemoteAddr()}
	if secure, ok := conn.(*tls.Conn); ok {
		found.TLS = tls.VersionName(secure.ConnectionState().Version)
	}
	return found
}
