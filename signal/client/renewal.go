package client

import (
	"fmt"
	"math"
	"time"

	"parley/signal/internal/wire"
)

// renewBefore is how long before its end a session is renewed; one that lasts less than twice as
// long, after half of it.
const renewBefore = time.Minute

// token returns the token for a login, "" for none.
func (c *Client) token() (string, error) {
	if c.opts.Token == nil {
		return "", nil
	}
	token, err := c.opts.Token()
	if err != nil {
		return "", fmt.Errorf("reading the token for the login: %w", err)
	}
	return token, nil
}

// applyLogin takes what the reply to a login on a new connection grants.
func (c *Client) applyLogin(r wire.LoginReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setICELocked(r.ICE)
	c.setExpiryLocked(r.ExpiresIn)
}

// setExpiryLocked sets when the session expires, after left or, if that is 0, never.
func (c *Client) setExpiryLocked(left time.Duration) {
	if left <= 0 {
		c.expires = time.Time{}
		c.renewalTimer.Reset(math.MaxInt64)
		return
	}
	c.expires = time.Now().Add(left)
	c.renewalTimer.Reset(loginRenewalDelay(left))
}

// loginRenewalDelay returns when to renew a session that lasts for left.
func loginRenewalDelay(left time.Duration) time.Duration {
	return max(left-min(left/2, renewBefore), minRenewal)
}

// handleExpiring handles the server's warning that the session expires after left.
func (c *Client) handleExpiring(left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires = time.Now().Add(left)
	c.renewalTimer.Reset(0)
}

// renewLogin queues a login with the current token, which renews the session. Until one has
// succeeded it is due again: the file of a token may be written late. A token that was refused is
// not sent twice.
func (c *Client) renewLogin() {
	c.mu.Lock()
	left, refused := time.Until(c.expires), c.refusedToken
	if !c.expires.IsZero() && left > 0 {
		c.renewalTimer.Reset(loginRenewalDelay(left))
	}
	c.mu.Unlock()
	token, err := c.token()
	if err != nil {
		c.log.Warn("the login cannot be renewed", "error", err)
		return
	}
	if token == "" || token == refused {
		return
	}
	select {
	case c.loginSlot <- struct{}{}:
		defer func() { <-c.loginSlot }()
	default:
		return // a Login is in progress
	}
	name := c.session.resumeRequest().Name
	frame, _ := c.codec.Login(wire.LoginRequest{Name: name, Token: token, Extended: c.ours})
	c.addPendingLogin(&pendingLogin{name: name, token: token, reply: make(chan wire.LoginReply, 1)})
	select {
	case c.out <- outgoing{frame: frame, typ: wire.TypeLogin}:
	default: // the queue is full
		c.removePendingLogin()
	}
}
