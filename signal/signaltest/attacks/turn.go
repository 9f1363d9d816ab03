package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// credentials are what a client gets for TURN at its login.
type credentials struct {
	Username   string `json:"username"`
	Credential string `json:"credential"`
}

// credentialsOf logs in under a name and out again, and returns the credentials that it got.
func (s *server) credentialsOf(ctx context.Context, from net.IP, name string) (credentials, error) {
	var none credentials
	ws, err := s.dial(ctx, from, nil)
	if err != nil {
		return none, err
	}
	defer ws.Close()
	m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":%q,"iceServers":true}`, name))
	if err != nil {
		return none, cause(err)
	}
	if !m.Success {
		return none, fmt.Errorf("login refused, %s", m.Code)
	}
	var servers []credentials
	if err := json.Unmarshal(m.ICE, &servers); err != nil {
		return none, fmt.Errorf("ICE servers: %w", err)
	}
	for _, c := range servers {
		if c.Username != "" {
			return c, nil
		}
	}
	return none, errors.New("the login brought no credentials for TURN")
}

// relay is an allocation. Closing it ends the allocation and the connection to the server.
type relay struct {
	client *turn.Client
	conn   net.PacketConn
	relay  net.PacketConn
}

func (r *relay) Close() error {
	if r.relay != nil {
		_ = r.relay.Close()
	}
	r.client.Close()
	return r.conn.Close()
}

// allocate allocates a relay over udp or tcp.
func (s *server) allocate(ctx context.Context, network string, from net.IP, c credentials) (*relay, error) {
	var conn net.PacketConn
	if network == "tcp" {
		stream, err := dialerFrom(from).DialContext(ctx, "tcp", s.turn)
		if err != nil {
			return nil, cause(err)
		}
		conn = turn.NewSTUNConn(stream)
	} else {
		var err error
		if conn, err = net.ListenPacket("udp4", net.JoinHostPort(from.String(), "0")); err != nil {
			return nil, cause(err)
		}
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: s.turn, TURNServerAddr: s.turn, Conn: conn, Username: c.Username, Password: c.Credential, Realm: "parley",
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	r := &relay{client: client, conn: conn}
	if err := client.Listen(); err != nil {
		_ = r.Close()
		return nil, err
	}
	if r.relay, err = client.Allocate(); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// allocateRelays lets a client allocate a relay and give it back, again and again.
func (c *crowd) allocateRelays(ctx context.Context, i int) {
	name, from := fmt.Sprintf("honest-relayed-%d", i), net.IPv4(127, 2, 1, byte(i+1))
	granted, err := c.server.credentialsOf(ctx, from, name)
	if err != nil {
		c.note("no credentials for TURN", err)
		return
	}
	for n := i; pause(ctx, 500*time.Millisecond) == nil; n++ {
		network := []string{"udp", "tcp"}[n%2]
		r, err := c.server.allocate(ctx, network, from, granted)
		if err != nil {
			if ctx.Err() == nil {
				c.note("no relay over "+network, err)
			}
			continue
		}
		_ = r.Close()
	}
}

func anonymousRelays(ctx context.Context, s *server, c *crowd) (string, error) {
	const names, each = 63, 32
	granted := make(chan credentials, names)
	for i := range names {
		g, err := s.credentialsOf(ctx, attacker, fmt.Sprintf("x%d", i+1))
		if err != nil {
			break // as many as it can
		}
		granted <- g
	}
	close(granted)
	var mu sync.Mutex
	var relays []*relay
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for g := range granted {
				for range each {
					r, err := s.allocate(ctx, "udp", attacker, g)
					if err != nil {
						break // the quota of this name, or of all
					}
					mu.Lock()
					relays = append(relays, r)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	err := c.watch(ctx, 3*time.Second)
	got := fmt.Sprintf("%d relays", len(relays))
	if err == nil && !s.refuses(ctx, "--turn", "0.0.0.0:0") {
		err = errors.New("TURN without logins starts on all addresses")
	}
	for _, r := range relays {
		_ = r.conn.Close() // the server goes with the attack; it need not hear of each
		r.client.Close()
	}
	return got, err
}

func turnStreams(ctx context.Context, s *server, c *crowd) (string, error) {
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return "", err
	}
	var answered atomic.Int64
	var workers sync.WaitGroup
	hold, release := context.WithCancel(ctx)
	for range 2000 {
		conn, err := dialerFrom(attacker).DialContext(ctx, "tcp", s.turn)
		if err != nil {
			continue
		}
		workers.Go(func() {
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			_, _ = conn.Write(request.Raw)
			if _, err := io.ReadFull(conn, make([]byte, 20)); err == nil {
				answered.Add(1)
				<-hold.Done()
			}
		})
	}
	err = c.watch(ctx, c.span)
	release()
	workers.Wait()
	return fmt.Sprintf("%d streams", answered.Load()), err
}
