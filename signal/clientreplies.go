package signal

import (
	"cmp"
)

// loginWait is a login that is owed a reply.
type loginWait struct {
	name  string
	reply chan loginReply
}

func (c *Client) expect(wait *loginWait) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies = append(c.replies, wait)
}

// unexpect takes the last expectation back, whose login was not sent.
func (c *Client) unexpect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.replies); n > 0 {
		c.replies = c.replies[:n-1]
	}
}

// replied gives a reply to the oldest login that waits for one, even if its caller does not any more.
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

// failReplies answers the logins whose replies were lost with the session.
func (c *Client) failReplies() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wait := range c.replies {
		wait.reply <- loginReply{code: CodeExpired, text: "the connection broke; try again"}
	}
	c.replies = nil
}
