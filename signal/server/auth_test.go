package server_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// fakeAuth lets in who brings the token "open".
type fakeAuth struct {
	mu    sync.Mutex
	asked []signal.LoginRequest
}

func (a *fakeAuth) Authorize(_ context.Context, l signal.LoginRequest) (signal.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, l)
	switch l.Token {
	case "open":
		return signal.Identity{ICEServers: []signal.ICEServer{{URLs: []string{"stun:granted"}}}}, nil
	case "other":
		return signal.Identity{Name: "renamed"}, nil
	case "broken":
		return signal.Identity{}, errors.New("the disk is on fire")
	}
	return signal.Identity{}, &signal.Denied{Reason: "not with that token"}
}

// lockedBuffer is a log that several write.
type lockedBuffer struct {
	mu  sync.Mutex
	log strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// TestAuth goes through what a server with an Authorizer says, in both dialects.
func TestAuth(t *testing.T) {
	for name, lines := range map[string]string{
		"a granted name": `
			alice > {"type":"login","name":"alice","token":"other"}
			alice < {"type":"login","success":true,"name":"renamed"}
			bob > {"type":"login","name":"bob","token":"other"}
			bob < {"type":"login","success":false,"code":"taken","message":"renamed is signed in already"}`,
		"it cannot be decided": `
			alice > {"type":"login","name":"alice","token":"broken"}
			alice < {"type":"login","success":false,"code":"unavailable","message":"whether this login is good cannot be found out now; try again later"}
			alice closed 4503`,
		"relay, refused": `
			alice > {"inst":"init","id":"alice","reply":true}
			alice < {"type":"login","success":false,"code":"unauthorized","message":"not with that token"}
			alice closed 4401`,
		"relay, refused, who wants errors": `
			alice > {"inst":"init","id":"alice","errors":true}
			alice < {"type":"error","code":"unauthorized","message":"not with that token"}
			alice closed 4401`,
		"relay, refused, who wants nothing": `
			alice > {"inst":"init","id":"alice"}
			alice closed 4401`,
		"relay, granted": `
			alice > {"inst":"init","id":"alice","reply":true,"token":"open","iceServers":true}
			alice < {"type":"login","success":true,"iceServers":[{"urls":["stun:granted"]},{"urls":["turn:ours"],"username":"alice","credential":"c"}]}`,
		"ice servers, for who asks": `
			alice > {"type":"login","name":"alice","token":"open","iceServers":true}
			alice < {"type":"login","success":true,"iceServers":[{"urls":["stun:granted"]},{"urls":["turn:ours"],"username":"alice","credential":"c"}]}
			bob > {"type":"login","name":"bob","token":"open"}
			bob < {"type":"login","success":true}
			carol > {"type":"login","name":"alice","token":"open","iceServers":true}
			carol < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}
			dave > {"type":"login","name":"dave","iceServers":true}
			dave < {"type":"login","success":false,"code":"unauthorized","message":"not with that token"}`,
		"guessing": strings.Repeat(`
			alice > {"type":"login","name":"alice","token":"?"}
			alice < {"type":"login","success":false,"code":"unauthorized","message":"not with that token"}
			alice closed 4401`, 10) + `
			alice > {"type":"login","name":"alice","token":"open"}
			alice < {"type":"login","success":false,"code":"throttled","message":"too many logins from your address were refused; try again later"}
			alice closed 4429`,
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, &server.Options{Auth: &fakeAuth{}, ICEServers: func(name string, _ time.Duration) []signal.ICEServer {
				return []signal.ICEServer{{URLs: []string{"turn:ours"}, Username: name, Credential: "c"}, {URLs: []string{"bad"}}}
			}}, lines)
		})
	}
}

// TestSlowAuth lets one login wait; nobody else does.
func TestSlowAuth(t *testing.T) {
	begun, free := make(chan struct{}), make(chan struct{})
	url := signaltest.Start(t, &server.Options{Auth: authFunc(func(ctx context.Context, l signal.LoginRequest) (signal.Identity, error) {
		if l.Name == "slow" {
			close(begun)
			<-free
		}
		return signal.Identity{}, nil
	})})
	slow := dialRaw(t, url)
	defer slow.Close()
	if err := slow.WriteJSON(map[string]any{"type": "login", "name": "slow"}); err != nil {
		t.Fatal(err)
	}
	<-begun
	play(t, url, signIn("alice", "bob")+aliceCallsBob)
	close(free)
	_ = slow.SetReadDeadline(time.Now().Add(patience))
	if err := means(slow, `{"type":"login","success":true}`); err != nil {
		t.Error(err)
	}
}

type authFunc func(context.Context, signal.LoginRequest) (signal.Identity, error)

func (f authFunc) Authorize(ctx context.Context, l signal.LoginRequest) (signal.Identity, error) {
	return f(ctx, l)
}

// TestCloseEndsAuth closes a server while a login is being decided.
func TestCloseEndsAuth(t *testing.T) {
	begun := make(chan struct{})
	server, url := signaltest.StartServer(t, &server.Options{Auth: authFunc(func(ctx context.Context, _ signal.LoginRequest) (signal.Identity, error) {
		close(begun)
		<-ctx.Done()
		return signal.Identity{}, ctx.Err()
	})})
	ws := dialRaw(t, url)
	defer ws.Close()
	if err := ws.WriteJSON(map[string]any{"type": "login", "name": "alice"}); err != nil {
		t.Fatal(err)
	}
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- server.Close() }()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := closedWith(ws, websocket.CloseGoingAway); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
