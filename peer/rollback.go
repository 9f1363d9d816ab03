package peer

import (
	"context"
	"time"
)

// A browser that took its offer back for ours may find no candidates for its
// answer: in one of some seventy such glares Chromium begins to gather, and tells
// none (seen with release 156). An ICE restart makes it gather again.

// rollbackPatience is how long such a browser may take to its first candidate.
const rollbackPatience = 5 * time.Second

// rollbackStuck is posted when that has passed since its answer.
type rollbackStuck struct{}

// watchRollback looks after who has just answered, if it took back an offer.
func (c *Call) watchRollback() {
	if c.rolledBack && !c.up {
		c.rolledBack = false
		time.AfterFunc(rollbackPatience, func() { c.box.post(rollbackStuck{}) })
	}
}

// unstick restarts ICE if no candidate has come at all.
func (c *Call) unstick(ctx context.Context) error {
	if c.up || len(c.conns) > 1 || len(c.conns[0].progress.remote) > 0 {
		return nil
	}
	c.restart = true
	return c.negotiate(ctx, wantOffer, nil)
}
