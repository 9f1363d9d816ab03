package signal

import (
	"math"
	"slices"
	"time"
)

// ICEServers returns what the server handed out last, for a call or an ICE restart that begins now: credentials may be good for a limited
// time, and the client asks for others before it is over. The original servers hand out none.
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
	c.renewal.Reset(g.due())
}

// due is when to ask for others: at half of the time, so that what is handed out has the other half left.
func (g iceGrant) due() time.Duration {
	if g.last <= 0 {
		return math.MaxInt64
	}
	return max(g.last/2, shortestRenewal)
}

// shortestRenewal bounds how often a client asks.
const shortestRenewal = time.Second

// askICE returns the frame that asks for ICE servers. If no answer comes it is due again.
func (c *Client) askICE() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewal.Reset(c.ice.due())
	return c.wire.askICE()
}
