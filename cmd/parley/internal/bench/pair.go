package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/exit"
	"parley/peer"
	"parley/peer/datachannel"
)

var errHungUp = errors.New("the call was hung up")

// pair is a call within this process with a channel between its two ends.
type pair struct {
	ends [2]*end
	took time.Duration // until the channel was open at both ends
	stop context.CancelFunc
	work sync.WaitGroup
}

// end is one end of a call. It implements peer.Signaler: it delivers its messages to the other end.
type end struct {
	call    *peer.Call
	remote  *end
	opened  chan struct{} // closed when channel is set
	channel *datachannel.Channel
	failed  chan error // why the call ended by itself
}

func (e *end) Offer(_ context.Context, d peer.SessionDescription) error {
	e.remote.call.DeliverOffer(d)
	return nil
}

func (e *end) Answer(_ context.Context, d peer.SessionDescription) error {
	e.remote.call.DeliverAnswer(d)
	return nil
}

func (e *end) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	e.remote.call.DeliverCandidate(c)
	return nil
}

func (e *end) Leave(context.Context) error {
	e.remote.call.DeliverLeave()
	return nil
}

func (e *end) handleEvent(event peer.Event) {
	if opened, ok := event.(peer.ChannelOpened); ok && e.channel == nil {
		opened.Channel.Detach()
		e.channel = opened.Channel
		close(e.opened)
	}
}

// newPair makes a call; close ends it.
func newPair(ctx context.Context, logger *slog.Logger) (*pair, error) {
	p := &pair{}
	for i := range p.ends {
		p.ends[i] = &end{opened: make(chan struct{}), failed: make(chan error, 1)}
	}
	for i, e := range p.ends {
		e.remote = p.ends[1-i]
		cfg := peer.Config{
			Signaler: e, Caller: i == 0, Impolite: i == 0, ICE: peer.ICEConfig{Loopback: true},
			ReceiveBuffer: peer.BulkReceiveBuffer, OnEvent: e.handleEvent, Logger: logger,
		}
		if cfg.Caller {
			cfg.Channels = []datachannel.Options{{Label: "bench", Detached: true}}
		}
		call, err := peer.New(cfg)
		if err != nil {
			return nil, err
		}
		e.call = call
	}
	ctx, p.stop = context.WithCancel(ctx)
	begun := time.Now()
	for _, e := range []*end{p.ends[1], p.ends[0]} {
		p.work.Go(func() {
			_, err := e.call.Run(ctx)
			e.failed <- err
		})
	}
	for _, e := range p.ends {
		select {
		case <-e.opened:
		case err := <-e.failed:
			p.close()
			return nil, exit.Errorf(exit.Connection, "the call within this machine failed: %w", cmp.Or(err, errHungUp))
		}
	}
	p.took = time.Since(begun)
	return p, nil
}

func (p *pair) close() {
	p.stop()
	p.work.Wait()
}

// ping sends n messages there and back, one at a time, and returns how long each took.
func (p *pair) ping(ctx context.Context, n int) ([]time.Duration, error) {
	a, b := p.ends[0].channel, p.ends[1].channel
	echoed := make(chan error, 1)
	p.work.Go(func() { echoed <- echo(ctx, b, n) })
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if err := a.Write(ctx, []byte("ping"), true); err != nil {
			return nil, err
		}
		if _, _, err := a.Receive(ctx); err != nil {
			return nil, err
		}
		took[i] = time.Since(begun)
	}
	return took, <-echoed
}

// echo sends n messages back.
func echo(ctx context.Context, ch *datachannel.Channel, n int) error {
	for range n {
		data, text, err := ch.Receive(ctx)
		if err != nil {
			return err
		}
		if err := ch.Write(ctx, data, text); err != nil {
			return err
		}
	}
	return nil
}

// flood sends messages of size bytes for d, and returns how many bytes a second arrived meanwhile.
func (p *pair) flood(ctx context.Context, d time.Duration, size int) (float64, error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	p.work.Go(func() {
		message := make([]byte, size)
		for p.ends[0].channel.Write(ctx, message, false) == nil {
		}
	})
	begun, bytes := time.Now(), 0
	for {
		data, _, err := p.ends[1].channel.Receive(ctx)
		if ctx.Err() != nil {
			return float64(bytes) / time.Since(begun).Seconds(), nil
		}
		if err != nil {
			return 0, fmt.Errorf("the data stopped: %w", err)
		}
		bytes += len(data)
	}
}
