package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"parley/signal"
	signalclient "parley/signal/client"
	"parley/signal/signaltest/deployment"
)

const (
	againUsers = 60
	// callInterval is the time between two attempts to call a user.
	callInterval = 100 * time.Millisecond
	againTimeout = 60 * time.Second
)

// user is a client that comes back when its node ends.
type user struct {
	*signalclient.Client
	name   string
	lost   chan time.Time // when the connection broke
	called chan time.Time // when an offer arrived
}

// newUser signs a user in. The user has a Client, also with an error, if the server was reached.
func newUser(ctx context.Context, url, name string) (*user, error) {
	u := &user{name: name, lost: make(chan time.Time, 16), called: make(chan time.Time, 1)}
	var err error
	u.Client, err = signalclient.Dial(ctx, url, &signalclient.Options{Resume: true, NoPacing: true, MaxElapsedTime: againTimeout, OnState: func(s signalclient.State) {
		if s.Lost {
			select {
			case u.lost <- time.Now():
			default:
			}
		}
	}})
	if err == nil {
		err = u.Login(ctx, name)
	}
	return u, err
}

// receive notes offers until the client is closed.
func (u *user) receive(ctx context.Context) {
	for {
		m, err := u.Receive(ctx)
		if err != nil {
			return
		}
		if m.Type == signal.Offer {
			select {
			case u.called <- time.Now():
			default:
			}
		}
	}
}

// measureAgain kills servers, and measures how long it takes until each user who was there can be
// called: the single server is started again at once, the users of a node go to another.
func (b *bench) measureAgain(ctx context.Context) error {
	for i, d := range []*deployment.Deployment{b.single, b.cluster} {
		times, err := again(ctx, d, b.rounds)
		if err != nil {
			return err
		}
		b.f.again[i] = times
	}
	return nil
}

func again(ctx context.Context, d *deployment.Deployment, rounds int) (times []time.Duration, err error) {
	var wait sync.WaitGroup
	var users []*user
	defer func() {
		for _, u := range users {
			wait.Go(func() { _ = u.Close() })
		}
		wait.Wait()
	}()
	for i := range againUsers {
		u, err := newUser(ctx, d.Server, fmt.Sprint("again-", i))
		if u.Client != nil {
			users = append(users, u)
		}
		if err != nil {
			return nil, err
		}
		wait.Go(func() { u.receive(ctx) })
	}
	for round := range rounds {
		victim := d.Nodes[round%len(d.Nodes)]
		for _, u := range users {
			for len(u.lost) > 0 {
				<-u.lost
			}
		}
		killed := time.Now()
		victim.Kill()
		if len(d.Nodes) == 1 {
			if err := victim.Start(); err != nil {
				return nil, err
			}
		}
		took, err := callAgain(ctx, d, round, users, killed)
		if err != nil {
			return nil, err
		}
		note("round %d: %d users can be called again, median %s", round+1, len(took), quantile(took, 50).Round(time.Millisecond))
		times = append(times, took...)
		if !victim.Running() {
			if err := victim.Start(); err != nil {
				return nil, err
			}
		}
		if err := victim.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// callAgain calls the users who have lost their connection, until each has been called.
func callAgain(ctx context.Context, d *deployment.Deployment, round int, users []*user, killed time.Time) (times []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, againTimeout)
	defer cancel()
	caller, err := newUser(ctx, d.Nodes[(round+1)%len(d.Nodes)].Server, fmt.Sprint("caller-", round))
	for errors.Is(err, signalclient.ErrUnreachable) && ctx.Err() == nil { // the single server is starting
		time.Sleep(10 * time.Millisecond)
		caller, err = newUser(ctx, d.Nodes[(round+1)%len(d.Nodes)].Server, fmt.Sprint("caller-", round))
	}
	if caller.Client != nil {
		defer caller.Close()
	}
	if err != nil {
		return nil, err
	}
	go caller.receive(ctx)
	var mu sync.Mutex // guards times
	err = together(len(users), func(i int) error {
		u := users[i]
		select {
		case <-u.lost:
		case <-time.After(time.Second): // at another node
			return nil
		}
		for len(u.called) > 0 {
			<-u.called
		}
		ticker := time.NewTicker(callInterval)
		defer ticker.Stop()
		for {
			offer := signal.Message{Type: signal.Offer, Peer: u.name, SDP: "v=0"}
			if err := caller.Send(ctx, offer); err != nil {
				return err
			}
			select {
			case at := <-u.called:
				mu.Lock()
				defer mu.Unlock()
				times = append(times, at.Sub(killed))
				return nil
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("%s cannot be called within %s", u.name, againTimeout)
			}
		}
	})
	if err == nil && len(times) == 0 {
		err = errors.New("the node had no users")
	}
	return times, err
}
