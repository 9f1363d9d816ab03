package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/names"
)

const (
	// schemaVersion is the version of the keys, values and messages.
	schemaVersion = names.Version
	schemaKey     = "parley-schema" // in the metadata of a bucket
	// maxValue bounds a value, in bytes.
	maxValue = 512
	// markerTTL is how long a released name leaves a mark.
	markerTTL = time.Minute
	// wantReplicas is how many NATS servers of a cluster keep each bucket.
	wantReplicas = 3
)

// buckets are the buckets of a cluster.
type buckets struct {
	leases jetstream.KeyValue
	nodes  jetstream.Stream // below leases
	names  jetstream.KeyValue
	claims jetstream.Stream // below names
}

// finalError is an error that does not go away by itself.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// bind returns the buckets, and creates those that do not exist.
func (n *Node) bind() (*buckets, error) {
	if b := n.buckets.Load(); b != nil {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(n.ctx, startTimeout)
	defer cancel()
	_, err := n.js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return nil, &finalError{fmt.Errorf("the NATS server has no JetStream for this account: start it with -js, or enable it for the account: %w", err)}
	}
	if err != nil {
		return nil, err
	}
	replicas := 1
	if n.conn.ConnectedClusterName() != "" {
		replicas = wantReplicas
	}
	config := func(bucket string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: "KV_" + bucket, Subjects: []string{"$KV." + bucket + ".>"}, MaxMsgsPerSubject: 1, MaxMsgSize: maxValue,
			Storage: jetstream.FileStorage, Replicas: replicas, Discard: jetstream.DiscardNew, AllowRollup: true,
			// No reads from followers, which may be behind: AllowDirect is not set.
			Metadata: map[string]string{schemaKey: strconv.Itoa(schemaVersion)},
		}
	}
	b := &buckets{}
	leases := config(n.opts.Prefix + "_nodes")
	leases.MaxAge, leases.Duplicates = n.opts.Lease, min(n.opts.Lease, 2*time.Minute)
	if b.nodes, b.leases, err = n.bucket(ctx, leases); err != nil {
		return nil, err
	}
	names := config(n.opts.Prefix + "_names")
	names.AllowMsgTTL, names.SubjectDeleteMarkerTTL = true, markerTTL
	if b.claims, b.names, err = n.bucket(ctx, names); err != nil {
		return nil, err
	}
	n.buckets.Store(b)
	return b, nil
}

// bucket returns the bucket of a stream with this configuration.
func (n *Node) bucket(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, jetstream.KeyValue, error) {
	bucket := config.Name[len("KV_"):]
	stream, err := n.js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = n.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was faster, or has other settings
			stream, err = n.js.Stream(ctx, config.Name)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	have := stream.CachedInfo().Config
	version := have.Metadata[schemaKey]
	switch {
	case version != strconv.Itoa(schemaVersion):
		return nil, nil, &finalError{fmt.Errorf("bucket %s: schema version %q, want %d: use the same version of parley on all nodes, or another prefix",
			bucket, version, schemaVersion)}
	case have.MaxAge != config.MaxAge:
		return nil, nil, &finalError{fmt.Errorf("bucket %s: leases of %s, want %s: use the same on all nodes, or another prefix", bucket, have.MaxAge, config.MaxAge)}
	case have.MaxMsgsPerSubject != 1 || have.AllowDirect:
		return nil, nil, &finalError{fmt.Errorf("bucket %s: history %d and direct reads %v, want 1 and false: delete the bucket, or use another prefix",
			bucket, have.MaxMsgsPerSubject, have.AllowDirect)}
	}
	kv, err := n.js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return stream, kv, nil
}

// isMissing reports whether err says that a bucket does not exist.
func isMissing(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, natsgo.ErrNoResponders)
}

func leaseKey(id cluster.NodeID) string { return id.String() }
