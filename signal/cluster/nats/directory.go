package nats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/names"
)

const (
	// claimTimeout bounds a claim.
	claimTimeout = 10 * time.Second
	// lookupTimeout bounds a lookup.
	lookupTimeout = 3 * time.Second
	// releaseTimeout is how long a release keeps other operations on its name waiting.
	releaseTimeout = 3 * time.Second
	// retryPause is the pause after a request that was not answered.
	retryPause = 200 * time.Millisecond
	// confirmPause is the pause of a lookup that waits for a claim of the same node.
	confirmPause = 10 * time.Millisecond
	// reassertRate bounds the names per second that all nodes together check in reassertInterval,
	// and fastReassertRate those that one node checks after it was out of contact.
	reassertRate     = 1500
	fastReassertRate = 5000
)

// Claim implements cluster.Directory.
func (n *Node) Claim(c cluster.Claim, _ cluster.Batch, done func(error)) {
	if c.Identity != "" {
		hash := sha256.Sum256([]byte(c.Identity))
		c.Identity = base64.RawStdEncoding.EncodeToString(hash[:])
	}
	deadline := time.Now().Add(claimTimeout)
	if !n.names.Enqueue(c.Name, func() {
		ctx, cancel := context.WithDeadline(n.ctx, deadline)
		defer cancel()
		n.names.SetClaiming(c.Name, c.Session)
		lost, err := n.claim(ctx, &c)
		n.names.SetClaiming(c.Name, cluster.SessionID{})
		n.metrics.claim(err)
		done(err)
		lost.send(n, &c)
	}) {
		done(cluster.ErrUnavailable)
	}
}

// loser is a session that loses its name to a claim; zero for none.
type loser struct {
	session  cluster.SessionID
	resume   cluster.SecretHash
	revision uint64 // of the claim
	dead     bool   // its node has no lease, but may have one again by now
}

// send notifies the session.
func (l loser) send(n *Node, c *cluster.Claim) {
	switch {
	case l.session == (cluster.SessionID{}):
	case l.session.Node == n.ID():
		n.Deliver(l.session, c.Lost(l.resume), nil)
	default:
		n.links.SendLost(l.session, c.Name, l.revision, c.Lost(l.resume))
	}
}

// claim claims a name.
func (n *Node) claim(ctx context.Context, c *cluster.Claim) (lost loser, err error) {
	own := names.NewRecord(c)
	if r, _ := n.names.Holder(c.Name); r != (names.Record{}) && n.hasLease() {
		switch {
		case r == own:
			return loser{}, nil
		case r.Session != c.Session && c.Continues != (cluster.SessionID{}):
			return loser{}, cluster.ErrAbsent // Continues is of another node
		case r.Session != c.Session && !c.Takes(r.Identity, r.Resume):
			return loser{}, &cluster.TakenError{Holder: r.Session}
		}
	}
	key := names.Key(c.Name)
	unanswered := false // a write of the own value may have happened
	for {
		b := n.buckets.Load()
		if b == nil || !n.hasLease() || !n.conn.IsConnected() {
			err = cluster.ErrUnavailable
			if r := n.Ready(); r != nil {
				err = r
			}
			break
		}
		var revision uint64
		revision, lost, err = n.tryClaim(ctx, b, c, key, own, lost)
		var taken *cluster.TakenError
		switch {
		case err == nil && !n.hasLease(): // other nodes may count it as free already
			err = fmt.Errorf("%w: the lease ended meanwhile", cluster.ErrUnavailable)
			unanswered = true
		case err == nil:
			lost.revision = revision
			if before := n.names.Set(c.Name, own, revision); before != (cluster.SessionID{}) && before != c.Session && before != lost.session {
				n.Deliver(before, c.Lost(cluster.SecretHash{}), nil)
			}
			if lost.session != (cluster.SessionID{}) && !lost.dead {
				n.metrics.takeovers.Inc()
			}
			return lost, nil
		case errors.As(err, &taken), errors.Is(err, cluster.ErrAbsent):
			return loser{}, err
		case errors.Is(err, errConflict):
			n.metrics.retries.Inc()
			if pause(ctx, 0) {
				continue
			}
		default:
			unanswered = true
			n.metrics.retries.Inc()
			if pause(ctx, retryPause) {
				continue
			}
		}
		break
	}
	if unanswered {
		n.spawn(func() { n.forget(c.Name, c.Session) })
	}
	if !errors.Is(err, cluster.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	return loser{}, err
}

// pause waits for d. It reports false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errConflict is the error of a write to a key that has changed since it was read.
var errConflict = errors.New("the name has changed its holder meanwhile")

// tryClaim makes one attempt to claim a name. lost is who loses it if an earlier attempt has
// succeeded unnoticed.
func (n *Node) tryClaim(ctx context.Context, b *buckets, c *cluster.Claim, key string, own names.Record, lost loser) (revision uint64, _ loser, err error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	value := own.Value()
	continues := c.Continues != (cluster.SessionID{})
	if !continues {
		revision, err = b.names.Create(ctx, key, value)
		if err == nil {
			return revision, loser{}, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return 0, lost, err
		}
	}
	current, err := b.names.Get(ctx, key)
	switch {
	case continues && errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, lost, cluster.ErrAbsent
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, lost, errConflict
	case err != nil:
		return 0, lost, err
	}
	r, err := names.ParseRecord(current.Value())
	if err != nil {
		return 0, lost, err
	}
	if r == own {
		return current.Revision(), lost, nil
	}
	if r.Session != c.Session {
		if continues && (r.Session != c.Continues || !c.Resumes(r.Resume)) {
			return 0, lost, cluster.ErrAbsent
		}
		takes, dead, err := n.mayTake(ctx, c, &r)
		switch {
		case err != nil:
			return 0, lost, err
		case !takes:
			return 0, lost, &cluster.TakenError{Holder: r.Session}
		case dead && r.Session.Node == n.ID():
			lost = loser{}
		default:
			lost = loser{session: r.Session, resume: r.Resume, dead: dead}
		}
	}
	revision, err = b.names.Update(ctx, key, value, current.Revision())
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, lost, errConflict
	}
	return revision, lost, err
}

// mayTake reports whether a claim takes the name from the session that holds it: by right, or
// because that session is dead.
func (n *Node) mayTake(ctx context.Context, c *cluster.Claim, r *names.Record) (takes, dead bool, err error) {
	switch {
	case r.Session.Node == n.ID():
		// A session that has the name still has it in names, unless its release was not answered.
		local, _ := n.names.Holder(c.Name)
		dead = local.Session != r.Session
	case c.Takes(r.Identity, r.Resume):
		return true, false, nil
	default:
		live, err := n.isLive(ctx, r.Session.Node)
		if err != nil {
			return false, false, err
		}
		dead = !live
	}
	return dead || c.Takes(r.Identity, r.Resume), dead, nil
}

// Lookup implements cluster.Directory.
func (n *Node) Lookup(ctx context.Context, name cluster.Name) (cluster.SessionID, error) {
	if r, _ := n.names.Holder(name); r != (names.Record{}) {
		return r.Session, nil
	}
	b := n.buckets.Load()
	if b == nil || !n.conn.IsConnected() {
		return cluster.SessionID{}, cluster.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for {
		session, err := n.tryLookup(ctx, b, name)
		wait := retryPause
		switch {
		case err == nil || errors.Is(err, cluster.ErrAbsent):
			return session, err
		case errors.Is(err, errUnconfirmed):
			wait = confirmPause
		}
		if !pause(ctx, wait) {
			return cluster.SessionID{}, fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
		}
	}
}

// errUnconfirmed is the error of a lookup that has found a session of this node whose claim is
// running.
var errUnconfirmed = errors.New("the claim of the name is not confirmed yet")

func (n *Node) tryLookup(ctx context.Context, b *buckets, name cluster.Name) (cluster.SessionID, error) {
	attempt, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	current, err := b.names.Get(attempt, names.Key(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return cluster.SessionID{}, cluster.ErrAbsent
	case err != nil:
		return cluster.SessionID{}, err
	}
	r, err := names.ParseRecord(current.Value())
	holder := r.Session
	switch {
	case err != nil:
		return cluster.SessionID{}, err
	case holder.Node == n.ID():
		switch holds, claiming := n.names.Find(name, holder); {
		case holds:
			return holder, nil
		case claiming:
			return cluster.SessionID{}, errUnconfirmed
		}
		return cluster.SessionID{}, cluster.ErrAbsent // released
	case n.peers.has(holder.Node):
		return holder, nil
	}
	live, err := n.isLive(attempt, holder.Node)
	switch {
	case err != nil:
		return cluster.SessionID{}, err
	case !live:
		return cluster.SessionID{}, cluster.ErrAbsent
	}
	return holder, nil
}

// Release implements cluster.Directory.
func (n *Node) Release(name cluster.Name, session cluster.SessionID) {
	revision, held := n.names.Clear(name, session, names.NoRevision)
	n.names.Enqueue(name, func() {
		if !held { // a claim may have been on its way
			if revision, held = n.names.Clear(name, session, names.NoRevision); !held {
				return
			}
		}
		n.metrics.releases.Inc()
		ctx, cancel := context.WithTimeout(n.ctx, releaseTimeout)
		defer cancel()
		if err := n.purge(ctx, name, revision); err != nil {
			n.spawn(func() { n.forget(name, session) })
		}
	})
}

// purge removes a key that has the given revision, and leaves one with another revision as it is:
// that belongs to a successor. It returns an error if that cannot be known.
func (n *Node) purge(ctx context.Context, name cluster.Name, revision uint64) error {
	for {
		err := error(cluster.ErrUnavailable)
		if b := n.buckets.Load(); b != nil {
			err = n.purgeOnce(ctx, b, name, revision)
		}
		if err == nil || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return nil
		}
		n.metrics.retries.Inc()
		if !pause(ctx, retryPause) {
			return err
		}
	}
}

func (n *Node) purgeOnce(ctx context.Context, b *buckets, name cluster.Name, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	return b.names.Purge(ctx, names.Key(name), jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
}

// forget removes the record that an unanswered write of a session may leave behind, and goes on
// until a late request must have arrived.
func (n *Node) forget(name cluster.Name, session cluster.SessionID) {
	for missing := 0; missing < 3; {
		found, err := n.removeRecord(name, session)
		if err == nil && !found {
			missing++
		}
		if !pause(n.ctx, operationTimeout) {
			return
		}
	}
}

// removeRecord removes the record of a session that does not hold the name.
func (n *Node) removeRecord(name cluster.Name, session cluster.SessionID) (found bool, err error) {
	b := n.buckets.Load()
	if b == nil {
		return false, cluster.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	current, err := b.names.Get(ctx, names.Key(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if r, err := names.ParseRecord(current.Value()); err != nil || r.Session != session {
		return false, nil
	}
	if local, _ := n.names.Holder(name); local.Session == session {
		return false, nil // the same session has claimed the name again
	}
	return true, n.purgeOnce(ctx, b, name, current.Revision())
}

// checkBucket makes the node check its names at once if the bucket of names has lost revisions that
// were there: the NATS servers have lost data. Only run calls it.
func (n *Node) checkBucket() {
	b := n.buckets.Load()
	if b == nil || !n.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	info, err := b.claims.Info(ctx)
	if err != nil {
		return
	}
	if last := info.State.LastSeq; n.lastClaim.Swap(last) > last {
		n.log.Warn("the NATS servers have lost names, which are claimed again")
		n.lease.check.Store(true)
	}
}

// slowReassertRate is the rate at which this node checks its names within three quarters of
// reassertInterval, or its part of reassertRate if that is less.
func (n *Node) slowReassertRate() int {
	share := max(1, reassertRate/(n.peers.count()+1))
	return min(share, n.names.Count()/int((reassertInterval*3/4).Seconds())+1)
}

// reassert checks that the sessions of this node still have their names, and claims those that are
// missing, at most rate names per second. If a check is running, an urgent one makes that begin
// anew, and another one does nothing.
func (n *Node) reassert(rate int, urgent bool) {
	if !n.reasserting.CompareAndSwap(false, true) {
		if urgent {
			n.lease.check.Store(true)
		}
		return
	}
	held := n.names.Held()
	n.spawn(func() {
		defer n.reasserting.Store(false)
		for i, name := range held {
			n.names.Enqueue(name, func() { n.reassertName(name) })
			if i%rate == rate-1 && (!pause(n.ctx, time.Second) || !urgent && n.lease.check.Load()) {
				return // closed, or to be done at once
			}
		}
	})
}

// reassertName claims a name again that is missing, and ends a session that has lost its name.
func (n *Node) reassertName(name cluster.Name) {
	own, _ := n.names.Holder(name)
	session := own.Session
	b := n.buckets.Load()
	if own == (names.Record{}) || b == nil || !n.hasLease() {
		return
	}
	if revision, ok := n.find(b, name, own); ok {
		n.names.Confirm(name, session, revision)
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	current, err := b.names.Get(ctx, names.Key(name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		var revision uint64
		if revision, err = n.writeAgain(ctx, b, name, own); err == nil {
			n.metrics.reasserted.Inc()
			if !n.names.Confirm(name, session, revision) { // released meanwhile
				_ = n.purge(ctx, name, revision)
			}
			return
		}
		if isConflict(err) {
			current, err = b.names.Get(ctx, names.Key(name))
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				n.loseName(name, session, cluster.SessionID{})
				return
			}
		}
	}
	if err != nil {
		n.lease.check.Store(true)
		return
	}
	r, _ := names.ParseRecord(current.Value())
	if r.Session == session {
		n.names.Confirm(name, session, current.Revision())
		return
	}
	n.loseName(name, session, r.Session)
}

// find returns the revision of the key of a name, and false if it was not found with this record.
// It makes less garbage than a read of the bucket does.
func (n *Node) find(b *buckets, name cluster.Name, own names.Record) (revision uint64, ok bool) {
	bucket := b.names.Bucket()
	request := `{"last_by_subj":"$KV.` + bucket + "." + names.Key(name) + `"}`
	m, err := n.conn.Request("$JS.API.STREAM.MSG.GET.KV_"+bucket, []byte(request), operationTimeout)
	if err != nil {
		return 0, false
	}
	// The other fields of the answer have none of these texts, because keys and values are encoded.
	_, value, _ := bytes.Cut(m.Data, []byte(`"data":"`))
	_, digits, _ := bytes.Cut(m.Data, []byte(`"seq":`))
	end := bytes.IndexByte(digits, ',')
	if end < 0 || !bytes.HasPrefix(value, append(base64.StdEncoding.AppendEncode(nil, own.Value()), '"')) {
		return 0, false
	}
	revision, err = strconv.ParseUint(string(digits[:end]), 10, 64)
	return revision, err == nil
}

// writeAgain writes the key of a name that is missing. If another session has held the name
// meanwhile, that is a conflict, unless a lease of this node has ended: then nobody has asked for
// the name by right.
func (n *Node) writeAgain(ctx context.Context, b *buckets, name cluster.Name, own names.Record) (revision uint64, err error) {
	if n.names.SameLease(name) {
		return b.names.Update(ctx, names.Key(name), own.Value(), 0) // not on top of the mark that a release leaves
	}
	return b.names.Create(ctx, names.Key(name), own.Value())
}

// isConflict reports whether err says that a key was written by another session.
func isConflict(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// loseName notifies a session of this node that holder has taken its name; zero for one that has
// released it since.
func (n *Node) loseName(name cluster.Name, session, holder cluster.SessionID) {
	if _, ok := n.names.Clear(name, session, names.NoRevision); ok {
		n.metrics.conflicts.Inc()
		n.log.Warn("another node has taken a name", slog.String("node", holder.Node.String()))
		n.Deliver(session, cluster.Message{Kind: cluster.Lost, Reason: cluster.Replaced, From: holder, FromName: name.Text}, nil)
	}
}
