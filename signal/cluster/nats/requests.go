package nats

import (
	"context"
	"errors"
	"fmt"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal/cluster"
)

// maxRequests bounds the requests to other nodes that are on their way, and those of other nodes
// that are handled, at the same time.
const maxRequests = 256

var _ cluster.Requester = (*Node)(nil)

// requestSubject is the last part of the subject of requests to a node.
const requestSubject = "request"

// HandleRequests implements cluster.Requester.
func (n *Node) HandleRequests(handle func(context.Context, []byte) []byte) error {
	slots := make(chan struct{}, maxRequests)
	respond := func(m *natsgo.Msg, reply []byte) {
		n.metrics.requestReceived(reply)
		_ = m.Respond(reply)
	}
	sub, err := n.conn.Subscribe(n.nodeSubject(n.ID(), requestSubject), func(m *natsgo.Msg) {
		select {
		case slots <- struct{}{}:
		default:
			respond(m, nil) // too many
			return
		}
		if !n.spawn(func() {
			defer func() { <-slots }()
			respond(m, handle(n.ctx, m.Data))
		}) {
			respond(m, nil) // the node closes
		}
	})
	if err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	n.requests.Store(sub)
	return sub.SetPendingLimits(-1, maxPending)
}

// Request implements cluster.Requester.
func (n *Node) Request(ctx context.Context, node cluster.NodeID, request []byte) (reply []byte, err error) {
	defer func() { n.metrics.requestSent(err) }()
	if !n.conn.IsConnected() {
		return nil, fmt.Errorf("%w: no connection to NATS", cluster.ErrUnavailable)
	}
	select {
	case n.requestSlots <- struct{}{}:
		defer func() { <-n.requestSlots }()
	default:
		return nil, fmt.Errorf("%w: %d requests are on their way", cluster.ErrUnavailable, maxRequests)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if lost := n.peers.lost(node); lost != nil {
		go func() {
			select {
			case <-lost:
				cancel(errNodeLost)
			case <-ctx.Done():
			}
		}()
	}
	m, err := n.conn.RequestWithContext(ctx, n.nodeSubject(node, requestSubject), request)
	switch {
	case err != nil && context.Cause(ctx) == errNodeLost:
		return nil, cluster.ErrAbsent
	case errors.Is(err, natsgo.ErrNoResponders) && !n.peers.has(node):
		if live, err := n.isLive(ctx, node); err == nil && !live {
			return nil, cluster.ErrAbsent
		}
		return nil, fmt.Errorf("%w: the node takes no requests", cluster.ErrUnavailable)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	case len(m.Data) == 0:
		return nil, fmt.Errorf("%w: the node has too much to do, or ends", cluster.ErrUnavailable)
	}
	return m.Data, nil
}

// errNodeLost ends requests to a node.
var errNodeLost = errors.New("the node has no lease")
