package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/ratelimit"
	"parley/signal/whip"
)

// session is a call of an HTTP client with a user. To the cluster it is a session with a name of
// its own, which has this one call.
type session struct {
	gateway  *Gateway
	protocol whip.Direction
	key      string // secret part of its URL
	id       cluster.SessionID
	name     string
	user     string            // the name that is called
	peer     cluster.SessionID // its session
	address  netip.Addr        // of the client

	mu     sync.Mutex // guards what follows; released while a message is sent
	holder credentials
	expiry *time.Timer // ends the session with its token; nil for none
	ended  *refusal    // why the session has ended, nil while it has not

	offer      *offer // the latest that was answered
	tag        string // entity tag of the ICE session
	restarting bool   // an offer that restarts ICE is out

	number     uint64 // of the latest offer
	called     bool   // an offer was sent
	peerNumber uint64 // of the call at the peer, 0 if nothing has come from there
	answer     *description
	candidates []string // of the peer since the latest offer
	complete   bool     // the peer has no more
	changed    chan struct{}

	outbox cluster.Outbox

	candidateBucket, offerBucket, otherBucket ratelimit.Bucket
}

// callNumber is the number of the only call of a session.
const callNumber = 1

// maxPeerCandidates bounds the candidates that are kept of an answer.
const maxPeerCandidates = whip.MaxCandidates

// description is an offer or an answer as signaling carries it.
type description struct {
	Type      string            `json:"type"`
	SDP       string            `json:"sdp"`
	Extension *signal.Extension `json:"parley,omitempty"`
}

// newSession returns a session with a name, which it has claimed. The error is a *refusal.
func (g *Gateway) newSession(ctx context.Context, protocol whip.Direction, user string, peer cluster.SessionID, c credentials, address netip.Addr) (*session, error) {
	s := &session{
		gateway: g, protocol: protocol, key: g.newKey(), user: user, peer: peer, address: address, holder: c,
		tag: rand.Text(), changed: make(chan struct{}, 1),
	}
	s.name = string(protocol) + "-" + rand.Text()[:nameRandom]
	if c.identity.Name != "" {
		s.name = signal.Truncate(c.identity.Name, maxNamePrefix) + "-" + s.name
	}
	if signal.CheckName(s.name) != nil { // the cut was made behind half a character, which CheckName wants composed
		s.name = string(protocol) + "-" + rand.Text()[:nameRandom]
	}
	s.id = g.node.Attach(s)
	if err := s.claim(ctx); err != nil {
		g.node.Detach(s.id)
		return nil, &refusal{status: http.StatusServiceUnavailable, detail: "the user cannot be called now; try again later", retryAfter: retryLater}
	}
	if why := g.add(s); why != nil {
		s.end(why)
		return nil, why
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setExpiry()
	return s, nil
}

// claim claims the name.
func (s *session) claim(ctx context.Context) error {
	result := make(chan error, 1)
	var abandoned atomic.Bool
	name := clusterName(s.name)
	s.gateway.node.Claim(cluster.Claim{Name: name, Session: s.id}, nil, func(err error) {
		result <- err
		if err == nil && abandoned.Load() {
			s.gateway.node.Release(name, s.id)
		}
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		abandoned.Store(true)
		s.gateway.node.Release(name, s.id)
		return ctx.Err()
	}
}

const (
	// nameRandom is how many random characters the name of a session has, each of 5 bits.
	nameRandom = 10
	// maxNamePrefix bounds the name of the user in it, in bytes.
	maxNamePrefix = 64 - len("-whip-") - nameRandom
)

// clusterName returns a name of the dialect call as the cluster knows it.
func clusterName(name string) cluster.Name {
	return cluster.Name{Space: string(signal.DialectCall), Text: name}
}

// setExpiry ends the session when its token expires. mu is held.
func (s *session) setExpiry() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
	if at := s.holder.identity.Expires; !at.IsZero() && s.ended == nil {
		s.expiry = time.AfterFunc(time.Until(at), func() { s.end(errExpired) })
	}
}

// renew goes on with credentials that the client has presented, if they last longer.
func (s *session) renew(c credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := c.identity.Expires; at.IsZero() || at.After(s.holder.identity.Expires) && !s.holder.identity.Expires.IsZero() {
		s.holder = c
		s.setExpiry()
	}
}

// post sends a message to the peer, after all that were posted before. mu is held, but not while
// the message is sent.
func (s *session) post(to cluster.SessionID, m cluster.Message) {
	m.From, m.FromName, m.Ends = s.id, s.name, true
	s.outbox.Send(&s.mu, s.gateway.node, to, &m, nil)
	s.detachIfDone()
}

// send posts a message of the call. mu is held.
func (s *session) send(kind cluster.Kind, payload any) {
	var text []byte
	if payload != nil {
		text, _ = json.Marshal(payload) // of strings and numbers, which cannot fail
	}
	s.post(s.peer, cluster.Message{Kind: kind, Call: callNumber, PeerCall: s.peerNumber, Payload: text})
}

// detachIfDone leaves the router when the session has ended and its last message is sent.
func (s *session) detachIfDone() {
	if s.ended != nil && !s.outbox.Sending() {
		s.gateway.node.Detach(s.id)
	}
}

// end ends the session. The peer gets a leave, unless it has ended the call. end does nothing if
// the session has ended.
func (s *session) end(why *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(why)
}

func (s *session) endLocked(why *refusal) {
	if s.ended != nil {
		return
	}
	s.ended = why
	if s.expiry != nil {
		s.expiry.Stop()
	}
	if s.called && why.leave != 0 {
		s.post(s.peer, cluster.Message{Kind: cluster.Leave, Reason: why.leave, Call: callNumber, PeerCall: s.peerNumber})
	}
	s.gateway.node.Release(clusterName(s.name), s.id)
	s.gateway.remove(s)
	s.notify()
	s.detachIfDone()
}

// notify wakes the request that waits for the peer.
func (s *session) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Receive implements cluster.Receiver.
func (s *session) Receive(m cluster.Message, _ cluster.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Kind == cluster.Probe: // another session claims the name, which is a secret
		s.post(m.From, cluster.Message{Kind: cluster.Alive})
	case m.Kind == cluster.Lost:
		s.endLocked(errExpired)
	case s.ended != nil || m.From != s.peer || m.PeerCall != callNumber && (m.Call == 0 || m.Call != s.peerNumber) && !isGone(m):
		switch m.Kind {
		case cluster.Offer, cluster.Answer, cluster.Candidate, cluster.Data:
			s.post(m.From, cluster.Message{Kind: cluster.Gone, PeerCall: m.Call})
		}
	default:
		if m.Call != 0 {
			s.peerNumber = m.Call
		}
		s.handle(m)
	}
}

// isGone reports whether a message says that the peer does not exist any more.
func isGone(m cluster.Message) bool { return m.Kind == cluster.Gone && m.PeerCall == 0 }

// handle handles a message of the call.
func (s *session) handle(m cluster.Message) {
	switch m.Kind {
	case cluster.Offer:
		s.rejectOffer(m.Payload)
	case cluster.Answer:
		var d description
		if json.Unmarshal(m.Payload, &d) != nil || d.Extension != nil && d.Extension.Number != s.number || s.answer != nil {
			return // it answers an earlier offer
		}
		s.answer = &d
		s.notify()
	case cluster.Candidate:
		var c signal.Candidate
		switch err := json.Unmarshal(m.Payload, &c); {
		case err != nil:
			return
		case c.Candidate == "":
			s.complete = true
		case len(s.candidates) < maxPeerCandidates:
			s.candidates = append(s.candidates, c.Candidate)
		}
		s.notify()
	case cluster.Leave:
		if m.Reason == cluster.Draining {
			s.drained()
			return
		}
		s.endLocked(&refusal{status: http.StatusConflict, detail: "the user does not take the call"})
	case cluster.Reject:
		if m.Reason == cluster.TooManyCalls {
			s.endLocked(&refusal{status: http.StatusConflict, detail: "the user is in as many calls as the server allows", retryAfter: retryLater})
			return
		}
		s.endLocked(&refusal{status: http.StatusServiceUnavailable, detail: "too much waits for the user; try again later", retryAfter: retryLater})
	case cluster.Gone:
		if m.Reason == cluster.Disconnected {
			s.endLocked(&refusal{status: http.StatusServiceUnavailable, detail: "the server of the user cannot be reached now; try again later", retryAfter: retryLater})
			return
		}
		s.endLocked(s.absent())
	case cluster.Dropped: // what is missing is asked for again, or not needed
	}
}

// drainedLife is how long a session outlives the call of a user whose server has drained. Media
// goes on, and nothing reports its end.
const drainedLife = time.Hour

// drained handles that the server of the user shuts down.
func (s *session) drained() {
	if s.called = false; s.offer == nil {
		s.endLocked(errClosing)
		return
	}
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.expiry = time.AfterFunc(drainedLife, func() { s.end(errExpired) })
}

// rejectOffer rejects an offer of the peer: no client takes one (RFC 9725 section 4.2).
func (s *session) rejectOffer(payload []byte) {
	var d description
	if json.Unmarshal(payload, &d) != nil || d.Extension == nil {
		return
	}
	s.send(cluster.Answer, description{Type: "answer", Extension: &signal.Extension{
		Version: signal.ExtensionVersion, Number: d.Extension.Number, Rejected: "a client of WHIP or WHEP takes no offers",
	}})
}

// absent returns the refusal of a call to a user who is not signed in.
func (s *session) absent() *refusal { return absentUser(s.protocol, s.user) }

// negotiate sends an offer to the peer, and returns the answer with all candidates. wait bounds the
// time until the answer comes. The error is a *refusal, or the cause of ctx.
func (s *session) negotiate(ctx context.Context, o *offer, wait time.Duration) (*answer, error) {
	text, err := o.text()
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the offer is not SDP")
	}
	if len(text) > s.gateway.limits.SDP {
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the offer is longer than %d bytes", s.gateway.limits.SDP))
	}
	s.mu.Lock()
	s.number++
	s.answer, s.candidates, s.complete, s.called = nil, nil, false, true
	s.send(cluster.Offer, description{Type: "offer", SDP: text, Extension: &signal.Extension{Version: signal.ExtensionVersion, Number: s.number, NoOffers: true}})
	if o.complete {
		s.sendCandidate(o, "", "")
	}
	s.mu.Unlock()
	return s.await(ctx, o, wait)
}

// await waits for the answer to o and for its candidates.
func (s *session) await(ctx context.Context, o *offer, wait time.Duration) (*answer, error) {
	limit := time.NewTimer(wait)
	defer limit.Stop()
	quiet := time.NewTimer(wait)
	defer quiet.Stop()
	answered, known := false, 0
	for {
		s.mu.Lock()
		ended, d, candidates, complete := s.ended, s.answer, s.candidates, s.complete
		s.mu.Unlock()
		switch {
		case d != nil && d.Extension != nil && d.Extension.Rejected != "":
			return nil, refuse(http.StatusUnprocessableEntity, "the user rejects the offer: "+signal.Printable(d.Extension.Rejected))
		case ended != nil:
			return nil, ended
		case d != nil && complete:
			return parseAnswer(o, d.SDP, candidates)
		case d != nil && !answered:
			answered, known = true, len(candidates)
			limit.Reset(s.gateway.options.GatherTimeout)
			quiet.Reset(s.gateway.options.GatherTimeout)
			if known > 0 || hasCandidates(d.SDP) {
				quiet.Reset(s.gateway.options.QuietTime)
			}
		case answered && len(candidates) != known:
			known = len(candidates)
			quiet.Reset(s.gateway.options.QuietTime)
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-quiet.C:
			if answered {
				return parseAnswer(o, d.SDP, candidates)
			}
		case <-limit.C:
			if answered {
				return parseAnswer(o, d.SDP, candidates)
			}
			return nil, &refusal{status: http.StatusGatewayTimeout, detail: fmt.Sprintf("the user has not answered within %s", wait), retryAfter: retryLater}
		}
	}
}

// sendCandidate sends a candidate of the client, or the end of its candidates if line is empty. mu
// is held.
func (s *session) sendCandidate(o *offer, mid, line string) {
	index, name := o.section(mid)
	c := signal.Candidate{Candidate: line, SDPMLineIndex: &index, UsernameFragment: &o.ufrag}
	if name != "" {
		c.SDPMid = &name
	}
	s.send(cluster.Candidate, c)
}

// credentials are what a client has presented for a session.
type credentials struct {
	identity signal.Identity
	token    [sha256.Size]byte // hash of the token
}
