package signal

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// ClientOptions are the choices of a Client. The zero value works.
type ClientOptions struct {
	// Dialect is the language to speak. Default: DialectCall.
	Dialect Dialect
	// Header goes with the upgrade request: tokens, an Origin. Default: none. It is sent in the clear over ws://.
	Header http.Header
	// TLS configures wss://. Default: the system's authorities.
	TLS *tls.Config
	// SendQueue is how many messages wait to be written before Send blocks. Default: 256.
	SendQueue int
	// ReceiveQueue is how many messages wait for Receive before the client stops reading from the server, which after a
	// while takes the client for dead. Default: 256, of at most 128 KiB each.
	ReceiveQueue int
	// HandshakeTimeout bounds Dial beside its context. Default: 10 seconds.
	HandshakeTimeout time.Duration
	// PingInterval is the time between pings to the server: the originals never ping, and a dead server is found by no other
	// way. Default: 25 seconds.
	PingInterval time.Duration
	// PongTimeout is how long the server may take to answer a ping. Default: 10 seconds.
	PongTimeout time.Duration
	// Token goes with every login, for a server that wants one. Default: none. It is sent in the clear over ws://.
	Token string
	// Resume asks the server, at the first login, to be able to come back when the connection breaks: then the client does so by itself,
	// and what is sent and received goes on as if nothing had happened. The original servers know nothing of that, and neither does a
	// client of theirs come back. Default: false.
	Resume bool
	// RetryFor is how long to try to come back. Default: 30 seconds. The server keeps the session for 20 seconds by default; later
	// the client signs in anew.
	RetryFor time.Duration
	// KeepTrying is asked whether to go on when RetryFor is over, say because a call is up that may need the server again. It must not
	// wait. Default: no.
	KeepTrying func() bool
	// OnState hears that the connection broke and that it is back, in order, from a goroutine of the client's, which waits for it.
	// It must not call the client's Close. Default: nobody.
	OnState func(State)
	// Logger hears of frames that are ignored. Default: nobody.
	Logger *slog.Logger
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.Dialect == "" {
		o.Dialect = DialectCall
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
	if o.RetryFor <= 0 {
		o.RetryFor = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
