package main

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

var errHungUp = errors.New("it was hung up")

// benchPair is a call within this process, with a channel from one end to the
// other.
type benchPair struct {
	ends [2]*benchEnd
	took time.Duration // until the channel was open at both ends
	stop context.CancelFunc
	work sync.WaitGroup
}

// benchEnd is one end, and the peer.Signaler of it: what it says, the other hears.
type benchEnd struct {
	call    *peer.Call
	other   *benchEnd
	opened  chan struct{} // closed when channel is set
	channel *datachannel.Channel
	failed  chan error // why the call ended, if by itself
}

func (e *benchEnd) Offer(_ context.Context, d peer.SessionDescription) error {
	e.other.call.DeliverOffer(d)
	return nil
}

func (e *benchEnd) Answer(_ context.Context, d peer.SessionDescription) error {
	e.other.call.DeliverAnswer(d)
	return nil
}

func (e *benchEnd) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	e.other.call.DeliverCandidate(c)
	return nil
}

func (e *benchEnd) Leave(context.Context) error {
	e.other.call.DeliverLeave()
	return nil
}

func (e *benchEnd) happened(event peer.Event) {
	if e2, ok := event.(peer.ChannelOpened); ok && e.channel == nil {
		e2.Channel.Detach()
		e.channel = e2.Channel
		close(e.opened)
	}
}

// newBenchPair makes a call; close ends it.
func newBenchPair(ctx context.Context, logger *slog.Logger) (*benchPair, error) {
	p := &benchPair{}
	for i := range p.ends {
		p.ends[i] = &benchEnd{opened: make(chan struct{}), failed: make(chan error, 1)}
	}
	for i, e := range p.ends {
		e.other = p.ends[1-i]
		cfg := peer.Config{
			Signaler: e, Caller: i == 0, Impolite: i == 0, ICE: peer.ICEConfig{Loopback: true},
			ReceiveBuffer: peer.BulkReceiveBuffer, OnEvent: e.happened, Logger: logger,
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
	for _, e := range []*benchEnd{p.ends[1], p.ends[0]} {
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

func (p *benchPair) close() {
	p.stop()
	p.work.Wait()
}

// pings sends n messages to and fro, one at a time, and returns how long each took.
func (p *benchPair) pings(ctx context.Context, n int) ([]time.Duration, error) {
	a, b := p.ends[0].channel, p.ends[1].channel
	echoed := make(chan error, 1)
	p.work.Go(func() { echoed <- echoBack(ctx, b, n) })
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

func echoBack(ctx context.Context, ch *datachannel.Channel, n int) error {
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

// flood sends messages of size bytes for d, and returns how many bytes a second
// arrived meanwhile.
func (p *benchPair) flood(ctx context.Context, d time.Duration, size int) (float64, error) {
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
