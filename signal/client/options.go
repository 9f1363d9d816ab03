package client

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"parley/signal"
)

// Options configure a Client. The zero value works.
type Options struct {
	// Dialect is the dialect of the server. Default: signal.DialectCall.
	Dialect signal.Dialect
	// Header is added to the upgrade request, say a token or an Origin. Over ws:// it is sent
	// unencrypted. Default: none.
	Header http.Header
	// TLS configures wss:// connections. Default: the certificate authorities of the system.
	TLS *tls.Config
	// SendQueue is the number of messages that wait to be written before Send blocks. Default: 256.
	SendQueue int
	// ReceiveQueue is the number of messages, of at most 128 KiB each, that wait for Receive before
	// the client stops reading. A server closes a connection that does not read. Default: 256.
	ReceiveQueue int
	// HandshakeTimeout bounds Dial, beside its context. Default: 10 seconds.
	HandshakeTimeout time.Duration
	// PingInterval is the time between pings to the server, which detect a dead connection. The
	// original servers do not ping. Default: 25 seconds.
	PingInterval time.Duration
	// PongTimeout is the time that the server may take to answer a ping. Default: 10 seconds.
	PongTimeout time.Duration
	// Token returns the token for a login. Token is called before every login: the first one, one
	// that renews a session before it expires, and one after a loss. Over ws:// tokens are sent
	// unencrypted. Default: none.
	Token func() (string, error)
	// Resume asks the server at the first login for a session that outlives its connection. When
	// the connection breaks the client reconnects and resumes the session, and no message is lost.
	// The original servers do not support it; a client of theirs does not reconnect. Default:
	// false.
	Resume bool
	// MaxElapsedTime is how long the client tries to reconnect. Default: 30 seconds. A server keeps
	// the session for 20 seconds by default; after that the client logs in anew.
	MaxElapsedTime time.Duration
	// ShouldRetry is called after MaxElapsedTime, and returns whether to go on for another
	// MaxElapsedTime, say because a call is up that may need the server again. It must not block.
	// Default: do not go on.
	ShouldRetry func() bool
	// OnState is called when the connection breaks and when the client has reconnected, in order.
	// The client waits for it to return. It must not call Close.
	OnState func(State)
	// NoPacing lets the client send as fast as it can. By default it delays messages to stay below
	// the default limits of a server, which drops messages above them and closes the connection.
	// There is no pacing with the original servers, which have no limits.
	NoPacing bool
	// Logger receives the reason for each ignored frame, at level debug. Default: discarded.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Dialect == "" {
		o.Dialect = signal.DialectCall
	}
	if o.SendQueue <= 0 {
		o.SendQueue = 256
	}
	if o.ReceiveQueue <= 0 {
		o.ReceiveQueue = 256
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.PingInterval <= 0 {
		o.PingInterval = 25 * time.Second
	}
	if o.PongTimeout <= 0 {
		o.PongTimeout = 10 * time.Second
	}
	if o.MaxElapsedTime <= 0 {
		o.MaxElapsedTime = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
