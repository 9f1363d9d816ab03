// Package nats connects the signaling servers of several machines to one cluster, over NATS.
//
// Each node holds a lease in a JetStream bucket and renews it. The names of its sessions are in
// another bucket: a key for each name, whose value is the session that holds it. A name changes its
// holder only by compare-and-set with the revision of the key, and a session whose node has no
// lease any more holds nothing; package names keeps those of this node. Messages between sessions
// go over core NATS to a subject of the receiving node; package links numbers them and sends them
// again, so that each arrives once and in order. Package watches notifies sessions of claims.
package nats

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/links"
	"parley/signal/cluster/nats/names"
	"parley/signal/cluster/nats/watches"
)

// Options configure a Node.
type Options struct {
	// Servers are the URLs of the NATS servers, at least one.
	Servers []string
	// Credentials is a file with a NATS user's JWT and key, "" for none.
	Credentials string
	// Prefix distinguishes the clusters that use the same NATS account: 1 to 32 letters, digits,
	// hyphens and underscores. Default: parley.
	Prefix string
	// Host describes this node to operators, such as its host name.
	Host string
	// Settings is a hash of the settings that all nodes should share. A node that sees another
	// value logs a warning. Default: none.
	Settings string
	// Lease is how long the sessions of a node that has failed keep their names. All nodes of a
	// cluster have the same. It must be longer than an election of JetStream takes, which is up to
	// 10 seconds. Default: 30 seconds.
	Lease time.Duration
	// Logger receives changes of the connection and conflicts, never names. Default: none.
	Logger *slog.Logger
}

const (
	defaultPrefix = "parley"
	defaultLease  = 30 * time.Second
	minLease      = time.Second

	// startTimeout bounds the wait for NATS in Start.
	startTimeout = 10 * time.Second
	// operationTimeout bounds one request to JetStream.
	operationTimeout = 2 * time.Second
	// flushTimeout bounds the delivery of the last messages in Close.
	flushTimeout = 2 * time.Second
	// maxOperations bounds the claims and releases that are at JetStream at the same time.
	maxOperations = 256
	// troubleInterval is how often the log has the same reason for which a lease is not renewed.
	troubleInterval = time.Minute
	// heartbeatsPerLease is how often a lease is renewed before it would end.
	heartbeatsPerLease = 6
)

var validPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Node is the cluster.Node of a process that shares its names with others.
type Node struct {
	*cluster.Sessions
	*watches.Watches
	prometheus.Collector // of metrics
	opts                 Options
	log                  *slog.Logger
	conn                 *natsgo.Conn
	js                   jetstream.JetStream
	metrics              *metrics

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wait   sync.WaitGroup // every goroutine of this node

	spawnMu sync.Mutex // guards closed
	closed  bool

	requests     atomic.Pointer[natsgo.Subscription] // nil if they are not handled
	requestSlots chan struct{}                       // one for each request to another node

	wake chan struct{} // has a value when the connection has changed, or another node has left

	buckets    atomic.Pointer[buckets] // nil until they are known
	validUntil atomic.Int64            // when the lease may end, in nanoseconds since began
	renewed    atomic.Int64            // when the lease was renewed last
	trouble    atomic.Pointer[error]   // why the lease was not renewed last time, nil if it was
	renewNow   atomic.Bool             // the lease is to be renewed at the next wake
	began      time.Time

	lease       lease     // owned by run
	nextCheck   time.Time // when the leases of known nodes are read again; owned by run
	peers       peers
	names       *names.Names
	reasserting atomic.Bool
	lastClaim   atomic.Uint64 // the latest revision in the bucket of names, at the last heartbeat
	links       *links.Links

	startOnce, closeOnce sync.Once
	started              chan error    // the result of the first attempt to get a lease, or a final error
	stop, stopped        chan struct{} // closed when run is to end, and when it has ended
}

var (
	_ cluster.Node    = (*Node)(nil)
	_ cluster.Watcher = (*Node)(nil)
)

// Start returns a node of the cluster. If NATS cannot be reached, or has no leader, it returns a
// node that is not Ready yet and goes on trying. An error that does not go away by itself, such as
// wrong credentials, is returned.
func Start(ctx context.Context, options Options) (*Node, error) {
	opts, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		Sessions: cluster.NewSessions(), opts: opts, log: opts.Logger,
		requestSlots: make(chan struct{}, maxRequests),
		wake:         make(chan struct{}, 1), began: time.Now(), started: make(chan error, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	n.Watches = watches.New(network{n})
	n.peers.live, n.peers.seen = make(map[cluster.NodeID]peer), make(map[cluster.NodeID]sighting)
	n.metrics, n.Collector = newMetrics(n)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.names = names.New(n.ctx, n.spawn, maxOperations)
	n.links = links.New(n.ctx, network{n}, n.metrics.links)
	if err := n.connect(); err != nil {
		n.cancel()
		return nil, err
	}
	n.spawn(n.run)
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case err = <-n.started:
	case <-timeout.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = n.Close()
		return nil, err
	}
	return n, nil
}

// CheckPrefix returns an error if prefix is not valid in Options.Prefix.
func CheckPrefix(prefix string) error {
	if !validPrefix.MatchString(prefix) {
		return fmt.Errorf("invalid prefix %q: want 1 to 32 letters, digits, hyphens and underscores", prefix)
	}
	return nil
}

// Name returns the name of the node for operators.
func (n *Node) Name() string { return strings.TrimPrefix(n.opts.Host+"/"+n.ID().String()[:8], "/") }

func (o Options) withDefaults() (Options, error) {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.Servers) == 0:
		return o, errors.New("no NATS server: give the URL of at least one")
	case CheckPrefix(o.Prefix) != nil:
		return o, CheckPrefix(o.Prefix)
	case o.Lease < minLease:
		return o, fmt.Errorf("invalid lease %s: want at least %s", o.Lease, minLease)
	}
	if o.Credentials != "" {
		if err := CheckCredentials(o.Credentials); err != nil {
			return o, fmt.Errorf("NATS credentials: %w", err)
		}
	}
	return o, nil
}

// CheckCredentials returns an error if a file is not valid in Options.Credentials.
func CheckCredentials(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	token, err := nkeys.ParseDecoratedJWT(text)
	if err == nil && strings.Count(token, ".") != 2 {
		err = errors.New("no JWT found")
	}
	if err == nil {
		var key nkeys.KeyPair
		if key, err = nkeys.ParseDecoratedUserNKey(text); err == nil {
			key.Wipe()
		}
	}
	if err != nil {
		return fmt.Errorf("invalid %q: %w; want the JWT and the key of a NATS user, as nsc generate creds writes them", file, err)
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for. It reports false if the node is closed.
func (n *Node) spawn(f func()) bool {
	n.spawnMu.Lock()
	defer n.spawnMu.Unlock()
	if n.closed {
		return false
	}
	n.wait.Go(f)
	return true
}

// connect opens the connection. A server that cannot be reached is no error: the connection is made
// later.
func (n *Node) connect() error {
	options := []natsgo.Option{
		natsgo.Name("parley " + n.opts.Host), natsgo.MaxReconnects(-1), natsgo.ReconnectWait(250 * time.Millisecond),
		natsgo.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond), natsgo.Timeout(operationTimeout),
		// What was not sent before the connection broke must not be sent afterwards.
		natsgo.ReconnectBufSize(-1),
		natsgo.PingInterval(5 * time.Second), natsgo.MaxPingsOutstanding(2),
		natsgo.IgnoreAuthErrorAbort(), // credentials may be renewed while the server runs
		natsgo.ConnectHandler(func(*natsgo.Conn) { n.connected() }),
		natsgo.ReconnectHandler(func(*natsgo.Conn) { n.connected() }),
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) {
			if n.ctx.Err() == nil {
				n.log.Warn("the connection to NATS broke", slog.Any("error", err))
			}
		}),
		natsgo.ErrorHandler(n.handleError),
	}
	if n.opts.Credentials != "" {
		options = append(options, natsgo.UserCredentials(n.opts.Credentials))
	}
	servers := strings.Join(n.opts.Servers, ",")
	conn, err := natsgo.Connect(servers, options...)
	if err != nil && !isAuthError(err) && retriableConnect(err) {
		n.log.Warn("NATS cannot be reached yet", slog.Any("error", err), slog.String("servers", n.opts.hosts()))
		conn, err = natsgo.Connect(servers, append(options, natsgo.RetryOnFailedConnect(true))...)
	}
	switch {
	case err != nil && isAuthError(err):
		return fmt.Errorf("NATS refused the credentials: %w, at %s; check the file and the user's account", err, n.opts.hosts())
	case err != nil:
		return fmt.Errorf("NATS at %s: %w%s", n.opts.hosts(), err, connectHint(err))
	}
	n.conn = conn
	if n.js, err = jetstream.New(conn); err == nil {
		err = n.subscribe()
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("NATS: %w", err)
	}
	return nil
}

func isAuthError(err error) bool {
	return errors.Is(err, natsgo.ErrAuthorization) || errors.Is(err, natsgo.ErrAuthExpired) || errors.Is(err, natsgo.ErrAuthRevoked) ||
		errors.Is(err, natsgo.ErrAccountAuthExpired) || strings.Contains(strings.ToLower(err.Error()), "authorization violation")
}

// connectHint returns what to do about an error of a connection, "" if that is not known.
func connectHint(err error) string {
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &authority):
		return "; add the certificate of its authority to those of this system, or name a file with it in SSL_CERT_FILE"
	case errors.Is(err, natsgo.ErrSecureConnWanted):
		return "; it has no TLS: use nats:// in place of tls://"
	}
	return ""
}

// hosts returns the addresses of the servers, without passwords.
func (o *Options) hosts() string {
	hosts := make([]string, len(o.Servers))
	for i, server := range o.Servers {
		server = strings.TrimRight(server, "/")
		hosts[i] = server[strings.LastIndexAny(server, "/@")+1:]
	}
	return strings.Join(hosts, ",")
}

// retriableConnect reports whether another attempt to connect may succeed.
func retriableConnect(err error) bool {
	var network interface{ Timeout() bool }
	return errors.Is(err, natsgo.ErrNoServers) || errors.Is(err, natsgo.ErrTimeout) || errors.As(err, &network)
}

// connected makes run renew the lease and check the names at once.
func (n *Node) connected() {
	n.log.Info("connected to NATS")
	n.lease.check.Store(true)
	n.renewNow.Store(true)
	n.wakeUp()
}

func (n *Node) wakeUp() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// handleError handles an error that belongs to no call.
func (n *Node) handleError(_ *natsgo.Conn, sub *natsgo.Subscription, err error) {
	if errors.Is(err, natsgo.ErrSlowConsumer) {
		n.metrics.slow.Inc() // the senders send again
	}
	if errors.Is(err, natsgo.ErrPermissionViolation) {
		n.startOnce.Do(func() {
			n.started <- fmt.Errorf("NATS denies the user what a node needs: %w; give it the permissions that the topic cluster lists", err)
		})
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	n.log.Warn("NATS", slog.Any("error", err), slog.String("subject", subject))
}

// now returns the time since the node began, in nanoseconds, at least 1.
func (n *Node) now() int64 { return max(int64(time.Since(n.began)), 1) }

// hasLease reports whether no other node may take the names of this one.
func (n *Node) hasLease() bool { return n.now() < n.validUntil.Load() }

// Ready returns nil if names can be claimed and sessions of other nodes reached, or what is
// missing.
func (n *Node) Ready() error {
	trouble := n.trouble.Load()
	switch {
	case !n.conn.IsConnected():
		return fmt.Errorf("%w: no connection to NATS", cluster.ErrUnavailable)
	case trouble != nil: // NATS does not answer, also if the connection and the lease have not ended yet
		return fmt.Errorf("%w: the lease was not renewed: %w", cluster.ErrUnavailable, *trouble)
	case !n.hasLease():
		return fmt.Errorf("%w: this node has no lease", cluster.ErrUnavailable)
	}
	return nil
}

// LeaseAge returns the time since the lease was renewed, 0 if it never was.
func (n *Node) LeaseAge() time.Duration {
	if renewed := n.renewed.Load(); renewed > 0 {
		return time.Duration(n.now() - renewed)
	}
	return 0
}

// Close ends the lease, after what is on its way was delivered, and closes the connection. The
// sessions must have ended.
func (n *Node) Close() error {
	n.closeOnce.Do(n.close)
	return nil
}

func (n *Node) close() {
	if sub := n.requests.Load(); sub != nil {
		_ = sub.Unsubscribe() // from now on they fail at once
	}
	flushed := time.Now().Add(flushTimeout)
	for n.hasLease() && n.conn.IsConnected() && n.busy() && time.Now().Before(flushed) {
		time.Sleep(5 * time.Millisecond)
	}
	close(n.stop)
	<-n.stopped // before the lease is removed, which a renewal would bring back
	n.spawnMu.Lock()
	n.closed = true
	n.spawnMu.Unlock()
	n.cancel()
	n.wait.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if b := n.buckets.Load(); b != nil && n.conn.IsConnected() {
		if err := b.nodes.Purge(ctx, jetstream.WithPurgeSubject(n.leaseSubject()+leaseKey(n.ID()))); err == nil {
			_ = n.conn.Publish(n.subject(leftSubject), nil)
			_ = n.conn.FlushWithContext(ctx)
		}
	}
	closed := make(chan struct{})
	n.conn.SetClosedHandler(func(*natsgo.Conn) { close(closed) })
	n.conn.Close()
	<-closed
}

// busy reports whether operations or messages are on their way.
func (n *Node) busy() bool {
	return n.names.Busy() || n.links.Busy()
}

// lease is the state of this node's own lease. All but check belong to run.
type lease struct {
	revision uint64      // 0: none
	held     bool        // once, so that its end matters
	logged   time.Time   // when the log had last why it was not renewed
	check    atomic.Bool // the names are to be checked
}

// leaseValue is the JSON value of a lease.
type leaseValue struct {
	Version  int    `json:"v"`
	Host     string `json:"host,omitempty"`
	Settings string `json:"settings,omitempty"`
}

// run renews the lease, and checks which other nodes have one, until Close.
func (n *Node) run() {
	heartbeat := n.opts.Lease / heartbeatsPerLease
	poll := min(heartbeat, max(n.opts.Lease/30, 100*time.Millisecond))
	var nextHeartbeat, nextSweep time.Time
	nextReassert := time.Now().Add(jitter(reassertInterval))
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer close(n.stopped)
	for {
		select {
		case <-n.stop:
			return
		case <-n.wake:
			if n.renewNow.Swap(false) {
				nextHeartbeat = time.Time{}
			}
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(nextHeartbeat) {
			nextHeartbeat = now.Add(heartbeat)
			if err := n.renew(); err != nil {
				n.reportTrouble(err)
				nextHeartbeat = now.Add(min(heartbeat, 500*time.Millisecond))
			}
			n.checkBucket()
		}
		if n.hasLease() {
			n.pollNodes()
			switch {
			case n.lease.check.Swap(false):
				n.reassert(fastReassertRate, true)
			case now.After(nextReassert):
				nextReassert = now.Add(jitter(reassertInterval))
				n.reassert(n.slowReassertRate(), false)
			}
		}
		if now.After(nextSweep) {
			nextSweep = now.Add(links.SweepInterval)
			n.links.Sweep()
		}
		timer.Reset(poll)
	}
}

// reportTrouble notes that the lease was not renewed. The log has the same reason at most once in
// troubleInterval. Only run calls it.
func (n *Node) reportTrouble(err error) {
	n.lease.check.Store(true)
	before := n.trouble.Swap(&err)
	var final *finalError
	if errors.As(err, &final) {
		n.startOnce.Do(func() { n.started <- err })
	}
	if before != nil && (*before).Error() == err.Error() && time.Since(n.lease.logged) < troubleInterval {
		return
	}
	n.lease.logged = time.Now()
	n.log.Warn("the lease of this node was not renewed", slog.Any("error", err))
}

// renew renews the lease, or gets a new one.
func (n *Node) renew() error {
	if !n.conn.IsConnected() {
		return errors.New("no connection to NATS")
	}
	b, err := n.bind()
	if err != nil {
		return err
	}
	value, err := json.Marshal(leaseValue{schemaVersion, n.opts.Host, n.opts.Settings})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	sent := n.now()
	lost := n.lease.held && n.lease.revision == 0 // if there is no other than the one that is made now
	revision, err := b.leases.Update(ctx, leaseKey(n.ID()), value, n.lease.revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		// Nobody else writes this key: an earlier request has succeeded unnoticed, or the lease has
		// ended.
		var current jetstream.KeyValueEntry
		switch current, err = b.leases.Get(ctx, leaseKey(n.ID())); {
		case err == nil:
			lost = false
			revision, err = b.leases.Update(ctx, leaseKey(n.ID()), value, current.Revision())
		case errors.Is(err, jetstream.ErrKeyNotFound):
			lost = n.lease.held
			revision, err = b.leases.Update(ctx, leaseKey(n.ID()), value, 0)
		}
	}
	switch {
	case isMissing(err):
		n.buckets.Store(nil) // they have no leader now, or are lost and have to be made again
		n.lease.revision = 0
		return fmt.Errorf("the buckets do not answer: %w", err)
	case err != nil:
		return err
	}
	// By the clock of another node, the lease may have ended: see peers.see.
	if lost || n.lease.held && n.now()-n.renewed.Load() >= int64(n.opts.Lease) {
		n.metrics.leasesLost.Inc()
		n.names.LeaseEnded()
		n.log.Warn("the lease of this node had ended: other nodes may have taken its names")
		n.links.Reset()
		n.lease.check.Store(true)
	}
	n.lease.revision, n.lease.held = revision, true
	n.renewed.Store(sent)
	n.validUntil.Store(sent + int64(n.opts.Lease-n.opts.Lease/heartbeatsPerLease))
	if n.trouble.Swap(nil) != nil {
		n.log.Info("the lease of this node was renewed")
	}
	n.startOnce.Do(func() { n.started <- nil })
	return nil
}
