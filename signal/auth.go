package signal

import (
	"context"
	"net/netip"
)

// Auth decides who may sign in with which name. LoadJWT and NewWebhook make two of its kind.
type Auth interface {
	// Authorize decides about one login. A *Refusal is told to the client; any other error means that it cannot be decided now, is
	// logged, and refuses as well. It may be called concurrently, and only the client that asks waits for it.
	Authorize(ctx context.Context, l LoginRequest) (LoginGrant, error)
}

// LoginRequest is what an Auth decides about.
type LoginRequest struct {
	// Name is the name asked for; it has passed CheckName.
	Name string
	// Token is what the client brought, "" for none: at most 8 KiB, never to be logged.
	Token string
	// Address is where the client comes from, by the word of the trusted proxies if there are any.
	Address netip.Addr
	// Dialect is the client's.
	Dialect Dialect
}

// LoginGrant is what a client gets that may sign in.
type LoginGrant struct {
	// Name is the name it gets. Default: the one it asked for.
	Name string
	// ICEServers are handed to it, if it asks, before those of ServerOptions.ICEServers; the same whenever it asks again, so their
	// credentials should last as long as a session.
	ICEServers []ICEServer
}

// Refusal is the error of an Auth that says no.
type Refusal struct {
	// Reason is a sentence that the client gets to see.
	Reason string
}

func (e *Refusal) Error() string { return e.Reason }
