package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal/cluster"
)

// bus is the watches.Bus of a node.
type bus struct{ *Node }

func (b bus) topic(n cluster.Name) string {
	return b.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".w." + nameKey(n)
}

// Subscribe implements watches.Bus.
func (b bus) Subscribe(ctx context.Context, n cluster.Name, receive func([]byte)) (end func(), err error) {
	if !b.conn.IsConnected() {
		return nil, fmt.Errorf("%w: no connection to NATS", cluster.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sub, err := b.conn.Subscribe(b.topic(n), func(m *natsgo.Msg) { receive(m.Data) })
	if err != nil {
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	if err := b.conn.FlushWithContext(ctx); err != nil {
		_ = sub.Unsubscribe()
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Publish implements watches.Bus.
func (b bus) Publish(n cluster.Name, data []byte) { _ = b.conn.Publish(b.topic(n), data) }

// Spawn implements watches.Bus.
func (b bus) Spawn(f func()) bool { return b.spawn(f) }

// Done implements watches.Bus.
func (b bus) Done() <-chan struct{} { return b.ctx.Done() }
