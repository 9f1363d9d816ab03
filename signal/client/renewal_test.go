package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// expiringAuth accepts tokens such as 4s, with which a session lasts so long.
type expiringAuth struct{}

func (expiringAuth) Authorize(_ context.Context, r signal.LoginRequest) (signal.Identity, error) {
	life, err := time.ParseDuration(r.Token)
	if err != nil {
		return signal.Identity{}, &signal.Denied{Reason: "invalid token"}
	}
	return signal.Identity{Expires: time.Now().Add(life)}, nil
}

// TestClientRenewsLogin keeps a client signed in by fresh tokens, and ends it when there are none.
func TestClientRenewsLogin(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			url := signaltest.Start(t, &server.Options{Auth: expiringAuth{}, PingInterval: 25 * time.Millisecond, PongTimeout: time.Minute})
			var asked atomic.Int64
			fresh := make(chan struct{})
			c, reports := returner(t, url, "alice", client.Options{Dialect: dialect, Token: func() (string, error) {
				switch n := asked.Add(1); {
				case n == 3:
					return "", errors.New("the file is being written")
				case n < 5:
					return fmt.Sprintf("%dms", 4000+n), nil
				case n == 5:
					close(fresh)
				}
				return "too late", nil
			}})
			<-fresh
			_, err := c.Receive(wait(t))
			var lost *client.LostError
			if !errors.As(err, &lost) || lost.Code != 4401 || !client.Final(err) {
				t.Errorf("got %v, want the end with 4401", err)
			}
			if n := asked.Load(); n < 5 || n > 20 {
				t.Errorf("the token was read %d times", n)
			}
			select {
			case s := <-reports:
				t.Errorf("a state was reported: %+v", s)
			default:
			}
		})
	}
}
