package nats

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"parley/signal/cluster"
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
	// reassertRate bounds the names per second that all nodes together check at reassertInterval,
	// and fastReassertRate those that one node checks after it was out of contact.
	reassertRate     = 1500
	fastReassertRate = 5000
)

// record is the JSON value of a name: who holds it.
type record struct {
	Version  int    `json:"v"`
	Node     string `json:"node"`
	Number   uint64 `json:"session"`
	Identity string `json:"identity,omitempty"` // hashed
	Resume   []byte `json:"resume,omitempty"`   // hash of the secret
}

func newRecord(c *cluster.Claim) record {
	r := record{Version: schemaVersion, Node: c.Session.Node.String(), Number: c.Session.Number, Identity: c.Identity}
	if c.Resume != (cluster.SecretHash{}) {
		r.Resume = c.Resume[:]
	}
	return r
}

// parseRecord parses the value of a name. holder is the session in it.
func parseRecord(value []byte) (r record, holder cluster.SessionID, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return r, holder, fmt.Errorf("value of a name: %w", err)
	}
	id, ok := cluster.ParseNodeID(r.Node)
	if !ok || r.Number == 0 || r.Version != schemaVersion || len(r.Resume) != 0 && len(r.Resume) != len(cluster.SecretHash{}) {
		return r, holder, fmt.Errorf("value of a name: got version %d, node %q and session %d, want version %d", r.Version, r.Node, r.Number, schemaVersion)
	}
	return r, cluster.SessionID{Node: id, Number: r.Number}, nil
}

func (r *record) resume() (hash cluster.SecretHash) {
	copy(hash[:], r.Resume)
	return hash
}

// nameKey returns the key of a name: a KV key may have letters, digits and few other characters.
func nameKey(name cluster.Name) string {
	encode := func(s string) string {
		if s == "" {
			return "="
		}
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	return encode(name.Space) + "." + encode(name.Text)
}

// names are the names that sessions of this node hold or claim.
type names struct {
	mu      sync.Mutex // guards entries, and what is in them
	entries map[cluster.Name]*entry
	leases  atomic.Uint64 // how many leases of this node have ended
}

// entry is a name that a session of this node holds or claims. Its operations run one after the
// other.
type entry struct {
	session    cluster.SessionID // the holder; zero if no session of this node is
	revision   uint64            // of the key
	leases     uint64            // how many leases of this node had ended when the key was written or seen
	record     record
	claiming   cluster.SessionID // whose claim is running
	operations []func()          // the first one is running
}

func (d *names) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if len(e.operations) > 0 {
			return true
		}
	}
	return false
}

// holder returns the session of this node that holds a name, zero if none does.
func (d *names) holder(name cluster.Name) (session cluster.SessionID, revision uint64, r record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entries[name]; e != nil {
		return e.session, e.revision, e.record
	}
	return cluster.SessionID{}, 0, record{}
}

// set makes session the holder of a name. It returns the session of this node that held it before.
func (d *names) set(name cluster.Name, session cluster.SessionID, revision uint64, r record) (before cluster.SessionID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[name] // exists: an operation is running
	before = e.session
	e.session, e.revision, e.leases, e.record = session, revision, d.leases.Load(), r
	return before
}

// setClaiming notes whose claim of a name is running, zero for none.
func (d *names) setClaiming(name cluster.Name, session cluster.SessionID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries[name].claiming = session // exists: an operation is running
}

// find reports whether a session of this node, which is in the key of a name, holds that name, and
// whether its claim is still running.
func (d *names) find(name cluster.Name, session cluster.SessionID) (holds, claiming bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[name]
	return e != nil && e.session == session, e != nil && e.claiming == session
}

// sameLease reports whether no lease of this node has ended since the holder's key was written or
// seen: nobody may have taken the name as that of a node that has failed.
func (d *names) sameLease(name cluster.Name) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[name]
	return e != nil && e.leases == d.leases.Load()
}

// confirm notes the revision with which session holds a name. It reports false if the session does
// not hold the name any more.
func (d *names) confirm(name cluster.Name, session cluster.SessionID, revision uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[name]
	if e == nil || e.session != session {
		return false
	}
	e.revision, e.leases = revision, d.leases.Load()
	return true
}

// clear notes that session does not hold the name any more, and returns the revision of the key. It
// does nothing and reports false if the session does not hold the name with a revision below the
// given one.
func (d *names) clear(name cluster.Name, session cluster.SessionID, below uint64) (revision uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[name]
	if e == nil || e.session != session || e.revision >= below {
		return 0, false
	}
	revision = e.revision
	e.session, e.revision, e.record = cluster.SessionID{}, 0, record{}
	if len(e.operations) == 0 {
		delete(d.entries, name)
	}
	return revision, true
}

// enqueue runs an operation after the earlier ones on the same name. It reports false if the node
// is closed.
func (n *Node) enqueue(name cluster.Name, operation func()) bool {
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	e := n.names.entries[name]
	if e == nil {
		e = &entry{}
		n.names.entries[name] = e
	}
	if len(e.operations) == 0 && !n.spawn(func() { n.runOperations(name, e) }) {
		return false
	}
	e.operations = append(e.operations, operation)
	return true
}

func (n *Node) runOperations(name cluster.Name, e *entry) {
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	for len(e.operations) > 0 {
		operation := e.operations[0]
		n.names.mu.Unlock()
		select {
		case n.slots <- struct{}{}:
			operation()
			<-n.slots
		case <-n.ctx.Done():
			operation() // ends at once
		}
		n.names.mu.Lock()
		e.operations = e.operations[1:]
	}
	e.operations = nil
	if e.session == (cluster.SessionID{}) {
		delete(n.names.entries, name)
	}
}

// Claim implements cluster.Directory.
func (n *Node) Claim(c cluster.Claim, _ cluster.Batch, done func(error)) {
	if c.Identity != "" {
		hash := sha256.Sum256([]byte(c.Identity))
		c.Identity = base64.RawStdEncoding.EncodeToString(hash[:])
	}
	deadline := time.Now().Add(claimTimeout)
	if !n.enqueue(c.Name, func() {
		ctx, cancel := context.WithDeadline(n.ctx, deadline)
		defer cancel()
		n.names.setClaiming(c.Name, c.Session)
		lost, err := n.claim(ctx, &c)
		n.names.setClaiming(c.Name, cluster.SessionID{})
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
	own := newRecord(c)
	if holder, _, r := n.names.holder(c.Name); holder != (cluster.SessionID{}) && n.hasLease() {
		switch {
		case holder == c.Session && reflect.DeepEqual(r, own):
			return loser{}, nil
		case holder != c.Session && c.Continues != (cluster.SessionID{}):
			return loser{}, cluster.ErrAbsent // Continues is of another node
		case holder != c.Session && !c.Takes(r.Identity, r.resume()):
			return loser{}, &cluster.TakenError{Holder: holder}
		}
	}
	value, err := json.Marshal(own)
	if err != nil {
		return loser{}, err
	}
	key := nameKey(c.Name)
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
		revision, lost, err = n.tryClaim(ctx, b, c, key, value, lost)
		var taken *cluster.TakenError
		switch {
		case err == nil && !n.hasLease(): // other nodes may count it as free already
			err = fmt.Errorf("%w: the lease ended meanwhile", cluster.ErrUnavailable)
			unanswered = true
		case err == nil:
			lost.revision = revision
			if before := n.names.set(c.Name, c.Session, revision, own); before != (cluster.SessionID{}) && before != c.Session && before != lost.session {
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
func (n *Node) tryClaim(ctx context.Context, b *buckets, c *cluster.Claim, key string, value []byte, lost loser) (revision uint64, _ loser, err error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
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
	r, holder, err := parseRecord(current.Value())
	if err != nil {
		return 0, lost, err
	}
	if holder == c.Session && string(current.Value()) == string(value) {
		return current.Revision(), lost, nil
	}
	if holder != c.Session {
		if continues && (holder != c.Continues || !c.Resumes(r.resume())) {
			return 0, lost, cluster.ErrAbsent
		}
		takes, dead, err := n.mayTake(ctx, c, &r, holder)
		switch {
		case err != nil:
			return 0, lost, err
		case !takes:
			return 0, lost, &cluster.TakenError{Holder: holder}
		case dead && holder.Node == n.ID():
			lost = loser{}
		default:
			lost = loser{session: holder, resume: r.resume(), dead: dead}
		}
	}
	revision, err = b.names.Update(ctx, key, value, current.Revision())
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, lost, errConflict
	}
	return revision, lost, err
}

// mayTake reports whether a claim takes the name from a session: by right, or because the session
// is dead.
func (n *Node) mayTake(ctx context.Context, c *cluster.Claim, r *record, holder cluster.SessionID) (takes, dead bool, err error) {
	switch {
	case holder.Node == n.ID():
		// A session that has the name still has it in names, unless its release was not answered.
		local, _, _ := n.names.holder(c.Name)
		dead = local != holder
	case c.Takes(r.Identity, r.resume()):
		return true, false, nil
	default:
		live, err := n.isLive(ctx, holder.Node)
		if err != nil {
			return false, false, err
		}
		dead = !live
	}
	return dead || c.Takes(r.Identity, r.resume()), dead, nil
}

// Lookup implements cluster.Directory.
func (n *Node) Lookup(ctx context.Context, name cluster.Name) (cluster.SessionID, error) {
	if holder, _, _ := n.names.holder(name); holder != (cluster.SessionID{}) {
		return holder, nil
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
	current, err := b.names.Get(attempt, nameKey(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return cluster.SessionID{}, cluster.ErrAbsent
	case err != nil:
		return cluster.SessionID{}, err
	}
	_, holder, err := parseRecord(current.Value())
	switch {
	case err != nil:
		return cluster.SessionID{}, err
	case holder.Node == n.ID():
		switch holds, claiming := n.names.find(name, holder); {
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
	revision, held := n.names.clear(name, session, noRevision)
	n.enqueue(name, func() {
		if !held { // a claim may have been on its way
			if revision, held = n.names.clear(name, session, noRevision); !held {
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

// noRevision is above all revisions.
const noRevision = ^uint64(0)

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
	return b.names.Purge(ctx, nameKey(name), jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
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
	current, err := b.names.Get(ctx, nameKey(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if _, holder, err := parseRecord(current.Value()); err != nil || holder != session {
		return false, nil
	}
	if local, _, _ := n.names.holder(name); local == session {
		return false, nil // the same session has claimed the name again
	}
	return true, n.purgeOnce(ctx, b, name, current.Revision())
}

// sharedReassertRate is the part of this node of reassertRate.
func (n *Node) sharedReassertRate() int { return max(1, reassertRate/(n.peers.count()+1)) }

// reassert checks that the sessions of this node still have their names, and claims those that are
// missing, at most rate names per second. If a check is running, an urgent one makes that begin
// anew, and another one does nothing.
func (n *Node) reassert(rate int, urgent bool) {
	n.names.mu.Lock()
	held := make([]cluster.Name, 0, len(n.names.entries))
	for name, e := range n.names.entries {
		if e.session != (cluster.SessionID{}) {
			held = append(held, name)
		}
	}
	n.names.mu.Unlock()
	if !n.reasserting.CompareAndSwap(false, true) {
		if urgent {
			n.lease.check.Store(true)
		}
		return
	}
	n.spawn(func() {
		defer n.reasserting.Store(false)
		for i, name := range held {
			n.enqueue(name, func() { n.reassertName(name) })
			if i%rate == rate-1 && (!pause(n.ctx, time.Second) || !urgent && n.lease.check.Load()) {
				return // closed, or to be done at once
			}
		}
	})
}

// reassertName claims a name again that is missing, and ends a session that has lost its name.
func (n *Node) reassertName(name cluster.Name) {
	session, _, own := n.names.holder(name)
	b := n.buckets.Load()
	if session == (cluster.SessionID{}) || b == nil || !n.hasLease() {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	current, err := b.names.Get(ctx, nameKey(name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		var revision uint64
		if revision, err = n.writeAgain(ctx, b, name, own); err == nil {
			n.metrics.reasserted.Inc()
			if !n.names.confirm(name, session, revision) { // released meanwhile
				_ = n.purge(ctx, name, revision)
			}
			return
		}
		if isConflict(err) {
			current, err = b.names.Get(ctx, nameKey(name))
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
	_, holder, _ := parseRecord(current.Value())
	if holder == session {
		n.names.confirm(name, session, current.Revision())
		return
	}
	n.loseName(name, session, holder)
}

// writeAgain writes the key of a name that is missing. If another session has held the name
// meanwhile, that is a conflict, unless a lease of this node has ended: then nobody has asked for
// the name by right.
func (n *Node) writeAgain(ctx context.Context, b *buckets, name cluster.Name, own record) (revision uint64, err error) {
	value, err := json.Marshal(own)
	if err != nil {
		return 0, err
	}
	if n.names.sameLease(name) {
		return b.names.Update(ctx, nameKey(name), value, 0) // not on top of the mark that a release leaves
	}
	return b.names.Create(ctx, nameKey(name), value)
}

// isConflict reports whether err says that a key was written by another session.
func isConflict(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// loseName notifies a session of this node that holder has taken its name; zero for one that has
// released it since.
func (n *Node) loseName(name cluster.Name, session, holder cluster.SessionID) {
	if _, ok := n.names.clear(name, session, noRevision); ok {
		n.metrics.conflicts.Inc()
		n.log.Warn("another node has taken a name", slog.String("node", holder.Node.String()))
		n.Deliver(session, cluster.Message{Kind: cluster.Lost, Reason: cluster.Replaced, From: holder, FromName: name.Text}, nil)
	}
}
