package signal

import (
	"net/netip"
	"time"
)

// LoginRequest is a login that an authorizer decides about.
type LoginRequest struct {
	// Name is the requested name; it has passed CheckName. Name is empty if the client, of a
	// gateway, has requested none: then Identity.Name is that of the user.
	Name string
	// Token is the client's token, at most 8 KiB; "" if it sent none. It must not be logged.
	Token string
	// Address is the client's address, as reported by trusted proxies if there are any.
	Address netip.Addr
	// Dialect is the client's dialect, or whip or whep for a client of the gateway.
	Dialect Dialect
}

// Identity is what an authorizer grants to a client.
type Identity struct {
	// Name is the name that the client gets. Default: the requested one.
	Name string
	// Subject identifies the user, as the authorizer has verified it. A login takes the name from a
	// session with the same subject. Default: none; then no login takes a name from a client that
	// is connected.
	Subject string
	// Expires is when the session ends unless the client renews it by another login. Default:
	// never.
	Expires time.Time
	// ICEServers are sent to the client, if it asks for ICE servers, before those of the server's
	// own options, and again at every renewal, so their credentials should last as long as a
	// session.
	ICEServers []ICEServer
}

// Denied is the error of an authorizer that refuses a login.
type Denied struct {
	// Reason is a sentence that is sent to the client.
	Reason string
}

func (e *Denied) Error() string { return e.Reason }
