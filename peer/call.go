package peer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/icenet"
	"parley/peer/internal/jsep"
	"parley/peer/stats"
)

// End is how a call ended without an error.
type End int

// The two ways to end a call.
const (
	PeerLeft End = iota + 1 // the other side hung up
	Left                    // Hangup, or the context of Run
)

// A Call is one call with one other side. Make it with New, run it with Run;
// every other method may be called from any goroutine and does not wait.
type Call struct {
	cfg Config
	box *mailbox

	mu       sync.Mutex             // protects following
	remote   *jsep.Identity         // of the description that is applied
	live     []*connection          // conns, for Stats
	final    stats.Stats            // once live are closed
	channels []*datachannel.Channel // that opened

	changes changes

	// The rest belongs to the goroutine of Run.
	conns         []*connection // one, but for descriptions without BUNDLE
	layout        jsep.Layout[*connection]
	current       *jsep.Description // of the peer, in force
	made          int               // connections so far
	negotiator    negotiator
	outage        outage
	candidates    remoteCandidates
	text          textChannels
	requested     []*channelRequest          // before the call was up: a new connection opens them anew
	started       time.Time                  // when the first offer was sent or received
	code          string                     // verification code
	certified     []string                   // the fingerprints that are in it
	peerPresent   bool                       // a description of the peer has come
	reportedState webrtc.PeerConnectionState // the state that was reported last
	established   bool                       // it was connected once
	addresses     icenet.AddressMonitor
	hosts         []string                   // the host's addresses
	muted         map[webrtc.TrackLocal]bool // what Mute said before it is up
	unreachable   bool                       // see DeliverUnreachable
	missingWarned bool                       // missCandidates has reported
}

// Posted by the methods of Call.
type (
	deliveredOffer       struct{ SessionDescription }
	deliveredAnswer      struct{ SessionDescription }
	deliveredCandidate   struct{ webrtc.ICECandidateInit }
	deliveredLeave       struct{}
	deliveredUnreachable struct{}
	textQueued           struct{ line string }
	hangupRequested      struct{}
	peerChannelGraceOver struct{}
	restartRequested     struct{} // RestartICE
	signalingIsBack      struct{}
	reconnectTimedOut    struct{ outage int }
)

// New makes a call, which does nothing until Run.
func New(cfg Config) (*Call, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Call{cfg: cfg, box: newMailbox()}
	c.negotiator.call = c
	return c, nil
}

// DeliverOffer hands over an offer that the other side sent.
func (c *Call) DeliverOffer(d SessionDescription) { c.box.post(deliveredOffer{d}) }

// DeliverAnswer hands over an answer that the other side sent.
func (c *Call) DeliverAnswer(d SessionDescription) { c.box.post(deliveredAnswer{d}) }

// DeliverCandidate hands over a candidate that the other side sent. It may come
// before the description. An empty line ends the candidates.
func (c *Call) DeliverCandidate(init webrtc.ICECandidateInit) { c.box.post(deliveredCandidate{init}) }

// DeliverUnreachable tells that the other side is not to be reached by signaling any
// more. A call that is up goes on until nothing comes from it either.
func (c *Call) DeliverUnreachable() { c.box.post(deliveredUnreachable{}) }

// DeliverLeave tells that the other side hung up.
func (c *Call) DeliverLeave() { c.box.post(deliveredLeave{}) }

// Say sends a line of text as soon as a data channel is open, see textChannels. The
// event TextSent tells when it went, or TextRejected that it will not.
func (c *Call) Say(line string) { c.box.post(textQueued{line}) }

// Hangup ends the call: what was said is flushed, then the other side is told.
func (c *Call) Hangup() { c.box.post(hangupRequested{}) }

// RestartICE looks for a path anew while the call goes on, say because this
// machine's addresses changed. Who loses ties asks the other side for it.
func (c *Call) RestartICE() { c.box.post(restartRequested{}) }

// SignalingRestored tells that messages to the other side may have been lost, and
// that new ones arrive: what has no answer yet is sent again.
func (c *Call) SignalingRestored() { c.box.post(signalingIsBack{}) }

// Continues tells if an offer belongs to the connection of this call: a
// renegotiation, and not a new call of the same user, say of a page that was
// loaded anew. It is true while there is no description to compare with.
func (c *Call) Continues(d *jsep.Description) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remote == nil || d.Identity.Continues(*c.remote)
}

// Run makes the call and returns when it is over, with everything that belongs
// to it. Cancelling ctx hangs up. The error is an *Error, or one of this
// machine (no network, say).
func (c *Call) Run(ctx context.Context) (End, error) {
	defer c.disconnect()
	if _, err := c.newTransport(); err != nil {
		return 0, err
	}
	if c.cfg.Caller {
		if err := c.negotiator.needed(ctx); err != nil && ctx.Err() == nil {
			return 0, err
		}
	}
	c.hosts, _ = c.hostAddresses()
	look := time.NewTicker(addressInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.leave()
		case <-look.C:
			if err := c.tick(ctx); err != nil && ctx.Err() == nil {
				c.sendLeave()
				return 0, err
			}
		case <-c.box.ready:
		}
		messages := c.box.take()
		for i, message := range messages {
			end, err := c.handle(ctx, message)
			switch {
			case ctx.Err() != nil:
				return c.leave()
			case end == Left:
				return c.leave()
			case err != nil:
				c.sendLeave()
				return 0, err
			case end != 0:
				c.drainMessages(ctx, messages[i+1:])
				return end, nil
			}
		}
	}
}

// tick does what is due from time to time.
func (c *Call) tick(ctx context.Context) error {
	var err error
	if now, changed := c.hostAddresses(); changed {
		err = c.addressesChanged(ctx, now)
	}
	if err == nil {
		err = c.tolerate(c.negotiator.checkTimeout(ctx))
	}
	if err == nil {
		err = c.checkPath(ctx)
	}
	c.warnMissingCandidates()
	for _, conn := range c.conns {
		if conn.remoteSet && conn.state != webrtc.PeerConnectionStateConnected {
			c.recordPairs(conn)
		}
	}
	return err
}

// warnMissingCandidates tells once, ahead of the end, that the other side seems to be stuck.
// It is no end yet, because candidates may come later than that (RFC 8863).
func (c *Call) warnMissingCandidates() {
	if !c.missingWarned && c.conns[0].progress.stuck() && time.Since(c.started) >= 2*c.cfg.Timeouts.Answer {
		c.missingWarned = true
		c.cfg.OnEvent(Warned{"none of the other side's candidates has come yet; " + stuckHint})
	}
}

// Why says in one sentence why there is no connection, or no longer. It may be
// called from OnEvent and after Run.
func (c *Call) Why() error {
	for _, conn := range c.conns {
		if conn.state != webrtc.PeerConnectionStateConnected {
			return conn.progress.why(conn.logs.lastWarning())
		}
	}
	return errors.New("no connection was made")
}

// Answered tells if offer and answer were exchanged. It may be called from
// OnEvent and after Run.
func (c *Call) Answered() bool { return len(c.conns) > 0 && c.conns[0].progress.answered }

// PeerIsParley tells if the other side is a parley, terminal or page: it hears
// what is sent on a channel that we opened. It may be called from OnEvent.
func (c *Call) PeerIsParley() bool { return c.negotiator.withParley() }

// newTransport makes one more connection.
func (c *Call) newTransport() (*connection, error) {
	cfg := c.cfg
	cfg.extensions = c.layout.HeaderExtensions()
	conn, err := newConnection(&cfg, c.box)
	if err != nil {
		return nil, err
	}
	c.conns = append(c.conns, conn)
	conn.index = c.made
	c.made++
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = slices.Clone(c.conns)
	return conn, nil
}

// disconnect closes the connections, callbacks released first.
func (c *Call) disconnect() {
	c.changes.close()
	for _, line := range c.text.waiting {
		c.cfg.OnEvent(TextRejected{line, errOver})
	}
	c.box.close()
	c.mu.Lock()
	c.final, c.live = measured(c.live), nil
	c.mu.Unlock()
	for _, conn := range c.conns {
		conn.close()
	}
}

// leave hangs up: text that is under way is flushed, the other side is told.
func (c *Call) leave() (End, error) {
	c.flush()
	c.sendLeave()
	return Left, nil
}

// sendLeave tells the other side that the call is over, if it is there: a leave
// for somebody who is not signed in kills the original server.
func (c *Call) sendLeave() {
	if !c.peerPresent {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeouts.Flush)
	defer cancel()
	if err := c.cfg.Signaler.Leave(ctx); err != nil {
		c.cfg.Logger.Debug("leave not sent", "error", err)
	}
}

// flush waits until what was sent has been acknowledged, while something of it
// still is, and not too long.
func (c *Call) flush() {
	ch := c.text.channel()
	if ch == nil || c.connectionState() != webrtc.PeerConnectionStateConnected {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := c.cfg.Timeouts.Flush
	end := time.Now().Add(flushPatiences * patience)
	left, until := ch.Pending(), time.Now().Add(patience)
	for left > 0 && time.Now().Before(until) {
		select {
		case <-ch.Done(): // they hung up as well
			return
		case <-tick.C:
		}
		if now := ch.Pending(); now < left {
			left, until = now, earlier(time.Now().Add(patience), end)
		}
	}
}

// flushPatiences bounds flush, in Timeouts.Flush.
const flushPatiences = 5

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
